package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// listener hands fasthttp connections that we keep a hand on. It outlives a
// lack of file descriptors: an accept error of that kind would otherwise end
// the server for good.
type listener struct {
	net.Listener
	conns *connections
	stop  chan struct{}
	once  sync.Once
}

func newListener(ln net.Listener, conns *connections) *listener {
	return &listener{Listener: ln, conns: conns, stop: make(chan struct{})}
}

// Pauses between accepts while descriptors or memory are short.
const (
	firstAcceptPause = 5 * time.Millisecond
	mostAcceptPause  = time.Second
)

// Accept waits for the next connection, through shortages of descriptors and
// memory.
func (l *listener) Accept() (net.Conn, error) {
	pause := firstAcceptPause
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			return l.conns.adopt(c), nil
		}
		if !isShortage(err) {
			return nil, err
		}
		l.conns.metrics.acceptErrors.Inc()
		l.conns.log.warn("cannot accept connections: raise the limit of open files or of memory", "err", err)
		if !l.sleep(pause) {
			return nil, net.ErrClosed
		}
		pause = min(2*pause, mostAcceptPause)
	}
}

func (l *listener) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.stop:
		return false
	}
}

// Close stops Accept. Open connections stay.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.stop) })
	return l.Listener.Close()
}

func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// clientKeepAlive finds peers that vanished without a word, in half a minute.
var clientKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// connections are all open client connections, hijacked ones included.
type connections struct {
	watch        goneWatch
	drains       *drains
	metrics      *Metrics
	log          *complaints
	writeTimeout time.Duration

	mu     sync.Mutex
	byID   map[uint64]*clientConn
	lastID uint64
	empty  chan struct{} // closed when byID becomes empty; nil: nobody waits
}

func newConnections(watch goneWatch, drains *drains, m *Metrics, log *complaints, writeTimeout time.Duration) *connections {
	return &connections{watch: watch, drains: drains, metrics: m, log: log, writeTimeout: writeTimeout, byID: map[uint64]*clientConn{}}
}

// adopt registers a new connection and begins to watch it.
func (cs *connections) adopt(nc net.Conn) *clientConn {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(clientKeepAlive) // without it the connection still serves
	}
	c := &clientConn{Conn: nc, owner: cs}
	cs.mu.Lock()
	cs.lastID++
	c.id = cs.lastID
	cs.byID[c.id] = c
	cs.mu.Unlock()
	cs.metrics.connections.Inc()
	cs.watch.add(c)
	return c
}

func (cs *connections) find(id uint64) *clientConn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byID[id]
}

func (cs *connections) remove(c *clientConn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.byID, c.id)
	cs.metrics.connections.Dec()
	if len(cs.byID) == 0 && cs.empty != nil {
		close(cs.empty)
		cs.empty = nil
	}
}

// wait returns when no connection is open any more, or ctx's error.
func (cs *connections) wait(ctx context.Context) error {
	cs.mu.Lock()
	if len(cs.byID) == 0 {
		cs.mu.Unlock()
		return nil
	}
	if cs.empty == nil {
		cs.empty = make(chan struct{})
	}
	empty := cs.empty
	cs.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// killAll closes both sides of every exchange. Whoever serves one notices by
// its failing reads and writes.
func (cs *connections) killAll() int {
	cs.mu.Lock()
	all := make([]*clientConn, 0, len(cs.byID))
	for _, c := range cs.byID {
		all = append(all, c)
	}
	cs.mu.Unlock()
	for _, c := range all {
		c.kill()
	}
	return len(all)
}

// Bounds of a gentle close.
const (
	lingerTime  = time.Second
	lingerBytes = 32 << 20
)

// closeGently lets the peer read our answer although it was still sending:
// closing at once would reset the connection, and a reset throws away what the
// peer has not read yet.
func closeGently(c net.Conn) {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	buf := pool8K.get()
	defer pool8K.put(buf)
	for left := lingerBytes; left > 0; {
		n, err := c.Read(*buf)
		if err != nil {
			return
		}
		left -= n
	}
}

var _ io.Closer = (*listener)(nil)
