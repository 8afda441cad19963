package proxy

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// shortListener has too few descriptors for its first accepts.
type shortListener struct {
	net.Listener
	mu     sync.Mutex
	errors []error
}

func (l *shortListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errors) > 0 {
		err := l.errors[0]
		l.errors = l.errors[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
	}
	return l.Listener.Accept()
}

// A lack of descriptors or memory stops no server.
func TestAcceptOutlivesShortage(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, echoUpstream(t))
	r.addr = ln.Addr().String()
	r.serve(t, &shortListener{Listener: ln, errors: []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}})
	if a := r.call(t, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"); a.StatusCode != 200 {
		t.Errorf("got %d", a.StatusCode)
	}
	if n := value(t, r, "pursestring_accept_errors_total"); n != 4 {
		t.Errorf("%v shortages counted", n)
	}
}

// Shutdown does not wait for a pause between accepts.
func TestShutdownDuringShortage(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 1000)
	for i := range errs {
		errs[i] = syscall.EMFILE
	}
	r := newRig(t, echoUpstream(t))
	r.serve(t, &shortListener{Listener: ln, errors: errs})
	waitFor(t, "the shortage", func() bool { return value(t, r, "pursestring_accept_errors_total") > 3 })
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Closed connections leave the registry, and what is watched can be reused: ids
// are not descriptors.
func TestConnectionsAreForgotten(t *testing.T) {
	t.Parallel()
	r := startProxy(t, echoUpstream(t))
	for range 50 {
		c := r.dial(t)
		c.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
		c.receive("GET")
		_ = c.Close()
	}
	waitFor(t, "connections to be forgotten", func() bool { return value(t, r, "pursestring_connections") == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := r.conns.wait(ctx); err != nil {
		t.Error(err)
	}
}
