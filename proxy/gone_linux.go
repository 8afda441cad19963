package proxy

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// epollWatch watches all client connections with one epoll set. A client that
// leaves shows at once, whatever the connection is doing and whatever bytes are
// still unread, and a watched connection costs nothing per request.
type epollWatch struct {
	set   *os.File // the epoll set, itself polled by the runtime: no thread waits for it
	raw   syscall.RawConn
	fd    int
	find  func(id uint64) *clientConn
	ready [128]unix.EpollEvent
}

// newGoneWatch returns the watcher of this system. find maps a connection's id,
// which unlike its descriptor is never reused, to the connection.
func newGoneWatch(find func(id uint64) *clientConn) (goneWatch, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll set: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("set up epoll set: %w", err)
	}
	set := os.NewFile(uintptr(fd), "epoll")
	raw, err := set.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("set up epoll set: %w", err)
	}
	return &epollWatch{set: set, raw: raw, fd: fd, find: find}, nil
}

// add watches for the peer's FIN, a reset and errors. Edge-triggered: each
// connection reports once. Closing it takes it out of the set.
func (w *epollWatch) add(c *clientConn) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	event := unix.EpollEvent{
		Events: unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLET,
		Fd:     int32(uint32(c.id)), Pad: int32(uint32(c.id >> 32)),
	}
	// An unwatched connection still ends by its failing writes.
	_ = raw.Control(func(fd uintptr) {
		if err := unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, int(fd), &event); err != nil {
			c.owner.log.warn("cannot watch a client connection", "err", err)
		}
	})
}

// run reports clients that leave until close.
func (w *epollWatch) run() {
	for {
		n := 0
		err := w.raw.Read(func(uintptr) bool {
			var err error
			n, err = unix.EpollWait(w.fd, w.ready[:], 0)
			return n > 0 || err != nil && err != unix.EINTR
		})
		if err != nil {
			return
		}
		for _, e := range w.ready[:max(n, 0)] {
			if c := w.find(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32); c != nil {
				c.leave()
			}
		}
	}
}

func (w *epollWatch) begin(*clientConn) {}
func (w *epollWatch) end(*clientConn)   {}
func (w *epollWatch) close()            { _ = w.set.Close() }

// openFiles returns how many descriptors the process may hold; 0: not known.
func openFiles() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}

// peeker looks at a socket without taking anything from it, without waiting and
// without allocating.
type peeker struct {
	raw   syscall.RawConn
	look  func(fd uintptr)
	fds   [1]unix.PollFd
	still bool
}

func (p *peeker) prepare(sc syscall.Conn) {
	if raw, err := sc.SyscallConn(); err == nil {
		p.raw, p.look = raw, p.poll
	}
}

func (p *peeker) poll(fd uintptr) {
	p.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	n, err := unix.Poll(p.fds[:], 0)
	p.still = n == 0 && err == nil
}

// quiet reports a socket that is open in both directions and holds nothing to
// read.
func (p *peeker) quiet() bool {
	if p.raw == nil {
		return true
	}
	return p.raw.Control(p.look) == nil && p.still
}
