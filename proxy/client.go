package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// clientConn is one client's connection. The goroutine that serves it and the
// one that watches for clients that leave meet here, and only here: the watcher
// closes the upstream socket of the call in flight and touches nothing else.
type clientConn struct {
	net.Conn
	id    uint64
	owner *connections

	gone   atomic.Bool // the client has left, or we have given it up; never goes back
	linger atomic.Bool // the client may still be sending when we close
	closed atomic.Bool

	writeUntil time.Time // the write deadline; only the writing goroutine's
	ahead      readAhead // only used where the system cannot watch sockets for us

	mu       sync.Mutex
	flight   *upstreamConn // of the call in flight; nil: none
	drain    bool          // when the client goes, the flight is read to its end
	draining bool          // it is being read so, and counted in drains
	cut      bool          // the flight's socket was closed by another goroutine
	killed   bool
	goneAt   time.Time
	orphan   func() // ends what a hijack was to take over, when it never ran
}

// Read reads what the client sends.
func (c *clientConn) Read(p []byte) (int, error) {
	if c.ahead.full && len(p) > 0 {
		c.ahead.full = false
		p[0] = c.ahead.b
		return 1, nil
	}
	return c.Conn.Read(p)
}

// Write writes under a deadline of its own, so that a client that stops reading
// does not hold its call for ever. The deadline is renewed coarsely: a timer per
// event would cost more than the write.
func (c *clientConn) Write(p []byte) (int, error) {
	if t := c.owner.writeTimeout; t > 0 {
		now := time.Now()
		if c.writeUntil.Sub(now) < t-t/8 {
			c.writeUntil = now.Add(t)
			if err := c.Conn.SetWriteDeadline(c.writeUntil); err != nil {
				return 0, err
			}
		}
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline is what a hijack calls to clear deadlines.
func (c *clientConn) SetWriteDeadline(t time.Time) error {
	c.writeUntil = t
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is what a hijack calls to clear deadlines.
func (c *clientConn) SetDeadline(t time.Time) error {
	c.writeUntil = t
	return c.Conn.SetDeadline(t)
}

// attach ties a call's upstream connection to this client: from now on the
// client's leaving closes it, or with drain leaves it to be read to its end. It
// reports false, and ties nothing, when the client has already left.
func (c *clientConn) attach(up *upstreamConn, drain bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone.Load() {
		return false
	}
	c.flight, c.drain, c.cut = up, drain, false
	return true
}

// setDrain changes what the client's leaving means for the flight. It reports
// false when the client has left and the flight was cut.
func (c *clientConn) setDrain(drain bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain = drain
	if c.gone.Load() {
		c.applyLeave()
	}
	return !c.cut
}

// detach unties the flight. It reports false when its socket was closed under
// us, so that nobody may use it again.
func (c *clientConn) detach() (usable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	usable = c.flight != nil && !c.cut
	c.flight = nil
	c.stopDraining()
	return usable
}

// leave is called when the client has gone. It may be called more than once,
// from any goroutine.
func (c *clientConn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone.Load() {
		c.goneAt = time.Now()
		c.gone.Store(true)
	}
	c.applyLeave()
}

// applyLeave cuts the flight or counts it as draining. c.mu is held.
func (c *clientConn) applyLeave() {
	switch {
	case c.flight == nil || c.cut:
	case c.drain && !c.killed && (c.draining || c.owner.drains.take()):
		c.draining = true
	default:
		c.cut = true
		c.flight.cut()
		c.stopDraining()
	}
}

func (c *clientConn) stopDraining() {
	if c.draining {
		c.draining = false
		c.owner.drains.give()
	}
}

// leftAt returns when the client left, and whether its call is to be read to
// its end all the same.
func (c *clientConn) leftAt() (at time.Time, draining bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.goneAt, c.draining
}

// kill ends both sides at once, at shutdown.
func (c *clientConn) kill() {
	c.mu.Lock()
	if !c.gone.Load() {
		c.goneAt = time.Now()
		c.gone.Store(true)
	}
	c.killed = true
	c.applyLeave()
	c.mu.Unlock()
	_ = c.Conn.Close() // its owner closes it again and hears of it there
}

// adoptOrphan keeps f for the case that the connection closes before the hijack
// handler has begun; fasthttp then never runs it.
func (c *clientConn) adoptOrphan(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orphan = f
}

// takeOrphan returns what adoptOrphan kept, once.
func (c *clientConn) takeOrphan() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.orphan
	c.orphan = nil
	return f
}

// Close closes the client's side; gently where it may still be sending.
func (c *clientConn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	if end := c.takeOrphan(); end != nil {
		end()
	}
	if c.linger.Load() && !c.gone.Load() {
		closeGently(c.Conn)
	}
	c.owner.remove(c)
	return c.Conn.Close()
}

// drains bounds the answers that are read to their end for nobody.
type drains struct {
	most    int32
	now     atomic.Int32
	metrics *Metrics
}

func (d *drains) take() bool {
	if d.now.Add(1) > d.most {
		d.now.Add(-1)
		return false
	}
	d.metrics.draining.Inc()
	return true
}

func (d *drains) give() {
	d.now.Add(-1)
	d.metrics.draining.Dec()
}

// goneWatch notices clients that leave and calls their leave.
type goneWatch interface {
	add(c *clientConn)   // once, for a new connection
	begin(c *clientConn) // the request has been read; nothing reads from c now
	end(c *clientConn)   // the answer is done, or something wants to read from c
	run()                // returns after close
	close()
}

// readAhead is one byte that a watcher had to read to find out.
type readAhead struct {
	b    byte
	full bool
	done chan struct{} // closed when the reader has ended; nil: none runs
}

// portableWatch is the watcher for systems without epoll: a goroutine per
// request that reads one byte ahead, as net/http does. It is blind once a
// pipelined byte has come.
type portableWatch struct{}

func (portableWatch) add(*clientConn) {}
func (portableWatch) run()            {}
func (portableWatch) close()          {}

func (portableWatch) begin(c *clientConn) {
	if c.ahead.full || c.ahead.done != nil || c.Conn.SetReadDeadline(time.Time{}) != nil {
		return
	}
	c.ahead.done = make(chan struct{})
	go c.readAhead()
}

func (c *clientConn) readAhead() {
	defer close(c.ahead.done)
	var b [1]byte
	n, err := c.Conn.Read(b[:])
	switch {
	case n == 1:
		c.ahead.b, c.ahead.full = b[0], true
	case !isTimeout(err):
		c.leave()
	}
}

func (portableWatch) end(c *clientConn) {
	if c.ahead.done == nil {
		return
	}
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // fails only when c is closed, which ends the read too
	<-c.ahead.done
	c.ahead.done = nil
	_ = c.Conn.SetReadDeadline(time.Time{})
}
