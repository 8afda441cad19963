package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pursestring/pursestring/bench/internal/hist"
	"github.com/pursestring/pursestring/bench/internal/mock"
	"github.com/pursestring/pursestring/bench/internal/mono"
)

// StreamSet is a number of streams that are open at once.
type StreamSet struct {
	// First is from sending the request to the first event.
	First hist.Hist
	// Event is from the upstream's writing an event to our having it, for all
	// events but the first of each stream.
	Event hist.Hist
	// Events is the number of events received, the first ones included.
	Events atomic.Int64
	// Opened is the number of streams that have had their first event.
	Opened atomic.Int64
	// Completed is the number of streams that ended with [DONE].
	Completed atomic.Int64
	// Errors are streams that were not 200 or broke off before we left them.
	Errors atomic.Int64

	mu    sync.Mutex
	first error
	conns map[int]watched // by stream number
	left  bool
	wg    sync.WaitGroup
}

// watched is a stream's connection and its id.
type watched struct {
	*conn
	id int64
}

// StreamOptions are the shape of a StreamSet.
type StreamOptions struct {
	Count int
	// PerSecond is how fast streams are opened.
	PerSecond float64
	// Wish of each stream. Its ID, when not zero, is the first stream's; the others
	// count on from there.
	Wish mock.Wish
}

// sources are the addresses that streams come from in turn: one address alone
// has not ports enough for the largest set.
var sources = []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"}

// OpenStreams opens streams at their pace and returns when all have had their
// first event or failed, or when ctx ends. Leave or Wait must follow.
func OpenStreams(ctx context.Context, addr string, o StreamOptions) (*StreamSet, error) {
	s := &StreamSet{conns: make(map[int]watched, o.Count)}
	stop := context.AfterFunc(ctx, func() { s.abandon() })
	defer stop()
	ticks, err := newPacer(max(time.Duration(float64(time.Second)/o.PerSecond), 100*time.Microsecond))
	if err != nil {
		return nil, err
	}
	defer ticks.close()
	start := time.Now()
	var opening sync.WaitGroup
	for i := range o.Count {
		for time.Since(start).Seconds()*o.PerSecond < float64(i) {
			if err := ticks.wait(); err != nil {
				return s, fmt.Errorf("pace streams: %w", err)
			}
		}
		if ctx.Err() != nil {
			break
		}
		wish := o.Wish
		if wish.ID != 0 {
			wish.ID += int64(i)
		}
		opening.Add(1)
		s.wg.Go(func() {
			var once sync.Once
			opened := func() { once.Do(opening.Done) }
			defer opened()
			if err := s.stream(ctx, addr, i, wish, opened); err != nil {
				s.fail(err)
			}
		})
	}
	opening.Wait()
	return s, ctx.Err()
}

// stream reads one stream until it ends or is left.
func (s *StreamSet) stream(ctx context.Context, addr string, i int, wish mock.Wish, opened func()) error {
	c, err := dial(ctx, addr, sources[i%len(sources)], 4<<10)
	if err != nil {
		return err
	}
	defer c.vanish()
	if !s.keep(i, wish.ID, c) {
		return nil
	}
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second)) // for the head and the first event
	sent := mono.Now()
	if _, err := c.Write(Chat(wish)); err != nil {
		return s.unlessLeft(err)
	}
	h, err := c.readHead()
	if err != nil {
		return s.unlessLeft(err)
	}
	if h.Status != 200 {
		return fmt.Errorf("status %d", h.Status)
	}
	lines := bufio.NewReaderSize(c.body(h), 1<<10)
	for n := 0; ; {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return s.unlessLeft(err)
		}
		if bytes.HasPrefix(line, []byte("data: [DONE]")) {
			s.Completed.Add(1)
			return nil
		}
		written, ok := stamp(line)
		if !ok {
			continue
		}
		now := mono.Now()
		if n++; n == 1 {
			s.First.Record(time.Duration(now - sent))
			s.Opened.Add(1)
			_ = c.SetReadDeadline(time.Time{})
			opened()
		} else {
			s.Event.Record(time.Duration(now - written))
		}
		s.Events.Add(1)
	}
}

// stamp finds when an event was written.
func stamp(line []byte) (int64, bool) {
	_, after, ok := bytes.Cut(line, []byte(mock.EventMark))
	if !ok {
		return 0, false
	}
	digits, _, ok := bytes.Cut(after, []byte("}"))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, err == nil
}

// keep registers a connection for Leave; false when that has been called.
func (s *StreamSet) keep(i int, id int64, c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.conns[i] = watched{conn: c, id: id}
	}
	return !s.left
}

func (s *StreamSet) unlessLeft(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // before [DONE], any end is too early
	}
	return err
}

func (s *StreamSet) fail(err error) {
	s.Errors.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = err
	}
}

// FirstError is the first stream's error, nil when there was none.
func (s *StreamSet) FirstError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// Wait returns when all streams have ended by themselves, or leaves them when
// ctx ends.
func (s *StreamSet) Wait(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { s.abandon() })
	defer stop()
	s.wg.Wait()
}

// abandon closes all streams, and those that are still to come.
func (s *StreamSet) abandon() {
	s.mu.Lock()
	s.left = true
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for _, c := range conns {
		c.vanish()
	}
}

// Leave closes all streams from the client's side, by RST and every other one
// by FIN, and waits for their end here. It returns for each stream's id the
// mono.Now just before it was closed.
func (s *StreamSet) Leave() map[int64]int64 {
	s.mu.Lock()
	s.left = true
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	closed := make(map[int64]int64, len(conns))
	for i, c := range conns {
		closed[c.id] = mono.Now()
		if i%2 == 0 {
			_ = c.Close() // FIN: all that has come was read
		} else {
			c.vanish()
		}
	}
	s.wg.Wait()
	return closed
}
