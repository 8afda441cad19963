package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// OpenOptions are the shape of an open-loop run.
type OpenOptions struct {
	Rate   float64       // calls per second, > 0
	Length time.Duration // calls are begun for this long
	// Conns is how many connections are made before the first call: enough for
	// the calls that are in flight when the server does not stall.
	Conns int
	// MaxConns bounds all connections, those included that are made later, when all
	// are busy; at least Conns, and 1. Calls beyond wait for a connection; their
	// time runs from when they were due.
	MaxConns int
}

// Open begins calls at a fixed rate and measures each from the instant at which
// it was due. It returns when all have been answered, or answerGrace after the
// last was due.
func Open(ctx context.Context, addr string, request []byte, o OpenOptions) (*Result, error) {
	g := &openLoop{addr: addr, request: request, max: max(o.MaxConns, o.Conns, 1), result: &Result{}}
	defer g.close()
	for range o.Conns {
		c, err := g.connect(ctx)
		if err != nil {
			return nil, fmt.Errorf("open connections: %w", err)
		}
		g.idle = append(g.idle, c)
	}
	ticks, err := newPacer(max(time.Duration(float64(time.Second)/o.Rate), 100*time.Microsecond))
	if err != nil {
		return nil, err
	}
	defer ticks.close()
	g.run(ctx, ticks, o)
	g.drain(ctx)
	return g.result, nil
}

// openLoop is one run. One goroutine, run, sends; each connection has another
// that reads its answers.
type openLoop struct {
	addr    string
	request []byte
	max     int
	result  *Result
	readers sync.WaitGroup
	pending atomic.Int64 // due, not yet answered

	mu      sync.Mutex
	idle    []*openConn // the last used on top
	all     []*openConn
	waiting []time.Time // due, without a connection
	closed  bool
}

type openConn struct {
	*conn
	due atomic.Pointer[time.Time] // of the call in flight; nil: none
}

// run dispatches calls as they fall due.
func (g *openLoop) run(ctx context.Context, ticks *pacer, o OpenOptions) {
	start := time.Now()
	total := int(o.Rate * o.Length.Seconds())
	gap := float64(time.Second) / o.Rate
	for sent := 0; sent < total && ctx.Err() == nil; {
		if err := ticks.wait(); err != nil {
			g.result.fail(fmt.Errorf("pace calls: %w", err))
			break
		}
		now := time.Since(start)
		for sent < total {
			due := time.Duration(float64(sent) * gap)
			if due > now {
				break
			}
			g.dispatch(ctx, start.Add(due))
			sent++
		}
	}
	g.result.Elapsed = max(time.Since(start), time.Duration(float64(total)*gap))
}

// dispatch sends the call that was due at an instant, on an idle connection or
// a new one, or leaves it to the next connection that becomes idle.
func (g *openLoop) dispatch(ctx context.Context, due time.Time) {
	g.pending.Add(1)
	g.mu.Lock()
	var c *openConn
	full := len(g.all) >= g.max
	if n := len(g.idle); n > 0 {
		c, g.idle = g.idle[n-1], g.idle[:n-1]
	} else if full {
		g.waiting = append(g.waiting, due)
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	g.result.Late.Record(time.Since(due))
	if c == nil {
		var err error
		if c, err = g.connect(ctx); err != nil {
			g.pending.Add(-1)
			g.result.fail(err)
			return
		}
	}
	g.send(c, due)
}

// send begins a call. The connection's reader takes over from here, also when
// the sending fails: it sees the same broken connection.
func (g *openLoop) send(c *openConn, due time.Time) {
	c.due.Store(&due)
	if _, err := c.Write(g.request); err != nil {
		_ = c.Close() // wakes the reader
	}
}

func (g *openLoop) connect(ctx context.Context) (*openConn, error) {
	raw, err := dial(ctx, g.addr, "", 8<<10)
	if err != nil {
		return nil, err
	}
	c := &openConn{conn: raw}
	g.mu.Lock()
	g.all = append(g.all, c)
	g.mu.Unlock()
	g.readers.Go(func() { g.read(c) })
	return c, nil
}

// read takes answers until the connection ends.
func (g *openLoop) read(c *openConn) {
	for {
		answer, reusable, err := c.receive()
		due := c.due.Swap(nil)
		if due != nil {
			if err != nil {
				g.result.fail(err)
			} else {
				g.result.take(answer, time.Since(*due))
			}
			g.pending.Add(-1)
		}
		if err != nil || !reusable {
			g.retire(c)
			return
		}
		if next, ok := g.release(c); ok {
			g.send(c, next)
		}
	}
}

// release makes a connection idle, unless a call waits for it.
func (g *openLoop) release(c *openConn) (due time.Time, waiting bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 {
		due, g.waiting = g.waiting[0], g.waiting[1:]
		return due, true
	}
	g.idle = append(g.idle, c)
	return due, false
}

// retire forgets a connection that has ended; a call that waits gets a new one.
func (g *openLoop) retire(c *openConn) {
	c.vanish()
	g.mu.Lock()
	g.all = remove(g.all, c)
	g.idle = remove(g.idle, c)
	var due time.Time
	again := len(g.waiting) > 0 && !g.closed
	if again {
		due, g.waiting = g.waiting[0], g.waiting[1:]
	}
	g.mu.Unlock()
	if !again {
		return
	}
	next, err := g.connect(context.Background()) // bounded by the dialer's own timeout
	if err != nil {
		g.result.fail(err)
		g.pending.Add(-1)
		return
	}
	g.send(next, due)
}

func remove(list []*openConn, c *openConn) []*openConn {
	i := slices.Index(list, c)
	if i < 0 {
		return list
	}
	return slices.Delete(list, i, i+1)
}

var errUnanswered = errors.New("no answer when the run ended")

// drain waits for the calls in flight; those that are not answered in time are
// errors.
func (g *openLoop) drain(ctx context.Context) {
	deadline := time.Now().Add(answerGrace)
	for g.pending.Load() > 0 && time.Now().Before(deadline) && ctx.Err() == nil {
		pause(ctx, 5*time.Millisecond)
	}
}

// close ends all connections and waits for their readers, which count what they
// had not got as errors.
func (g *openLoop) close() {
	g.mu.Lock()
	g.closed = true
	for range g.waiting {
		g.result.fail(errUnanswered)
	}
	g.waiting = nil
	all := slices.Clone(g.all)
	g.mu.Unlock()
	for _, c := range all {
		c.vanish()
	}
	g.readers.Wait()
}
