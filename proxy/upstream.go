package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Reasons why no upstream connection could be had. Nothing was sent.
var (
	errUnreachable = errors.New("upstream unreachable")
	errBusy        = errors.New("no upstream connection became free in time")
	errStopping    = errors.New("shutting down")
)

// pool keeps connections to LiteLLM: at most max in use, the last one returned
// goes out first, and none goes out that LiteLLM might just be closing. It sends
// nothing itself and so can never send twice.
type pool struct {
	address string // host:port to dial
	host    string // for a Host line, where the client sent none
	tls     *tls.Config
	dialer  net.Dialer
	max     int
	maxIdle time.Duration // a connection idle for longer is closed; below the upstream's own limit
	queue   time.Duration // how long a call may wait for a connection
	metrics *Metrics

	mu      sync.Mutex
	inUse   int
	idle    []*upstreamConn // oldest first
	waiting []*poolWaiter   // first come, first served
	closed  bool
	reaper  *time.Timer // set while idle holds anything
}

// poolWaiter is a call that waits for a connection. granted is closed under the
// pool's lock.
type poolWaiter struct {
	granted chan struct{}
	ok      bool
}

// parseUpstream reads proxy.upstream: http or https, a host or IP, nothing else.
func parseUpstream(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("proxy.upstream: not a URL; write it like http://127.0.0.1:4000")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("proxy.upstream: scheme %q is neither http nor https", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("proxy.upstream: names no host; write it like http://127.0.0.1:4000")
	case u.User != nil:
		return nil, errors.New("proxy.upstream: must not hold a user or password")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("proxy.upstream: must end after the port; paths are forwarded as they come, so remove %q", u.RequestURI())
	}
	return u, nil
}

func newPool(u *url.URL, o *Options) *pool {
	p := &pool{
		host: u.Host, max: o.MaxUpstream, maxIdle: o.UpstreamIdle, queue: o.QueueTimeout, metrics: o.Metrics,
		dialer: net.Dialer{Timeout: o.DialTimeout, KeepAliveConfig: clientKeepAlive},
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	if u.Scheme == "https" {
		if u.Port() == "" {
			port = "443"
		}
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLS != nil {
			p.tls = o.TLS.Clone()
		}
		if p.tls.ServerName == "" {
			p.tls.ServerName = strings.Trim(u.Hostname(), "[]")
		}
		p.tls.NextProtos = []string{"http/1.1"}
	}
	p.address = net.JoinHostPort(u.Hostname(), port)
	return p
}

// take returns a connection that is open and unused: an idle one unless fresh is
// asked for, else a new one. It waits while max are in use. Its error is one of
// the above, perhaps wrapped.
func (p *pool) take(ctx context.Context, fresh bool) (*upstreamConn, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	if !fresh {
		if up := p.takeIdle(); up != nil {
			return up, nil
		}
	}
	up, err := p.dial(ctx)
	if err != nil {
		p.leave()
		return nil, err
	}
	return up, nil
}

// enter takes one of the max places, perhaps after waiting.
func (p *pool) enter(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return errStopping
	}
	if p.inUse < p.max && len(p.waiting) == 0 {
		p.inUse++
		p.mu.Unlock()
		p.metrics.upstreamInUse.Inc()
		return nil
	}
	w := &poolWaiter{granted: make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	return p.wait(ctx, w)
}

func (p *pool) wait(ctx context.Context, w *poolWaiter) error {
	t := time.NewTimer(p.queue)
	defer t.Stop()
	var err error
	select {
	case <-w.granted:
	case <-t.C:
		err = errBusy
	case <-ctx.Done():
		err = errStopping
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.ok { // also when the place came at the very end of the wait
		return nil
	}
	p.forget(w)
	if err == nil {
		err = errStopping // woken by close
	}
	return err
}

func (p *pool) forget(w *poolWaiter) {
	for i := range p.waiting {
		if p.waiting[i] == w {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return
		}
	}
}

// leave gives a place back, or on to the first who waits.
func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked()
}

func (p *pool) leaveLocked() {
	if len(p.waiting) > 0 {
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		w.ok = true
		close(w.granted)
		return
	}
	p.inUse--
	p.metrics.upstreamInUse.Dec()
}

// takeIdle returns the connection that was used last and is still good.
func (p *pool) takeIdle() *upstreamConn {
	now := time.Now()
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		up := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		p.metrics.upstreamIdle.Dec()
		if now.Sub(up.idleSince) < p.maxIdle && up.quiet() {
			return up
		}
		up.close()
	}
}

// put returns a connection on which one whole answer has been read and nothing
// more has come.
func (p *pool) put(up *upstreamConn) {
	up.idleSince = time.Now()
	up.used = true
	if up.br.Size() > upstreamReadBuffer { // grown for one large head
		up.br = bufio.NewReaderSize(up.nc, upstreamReadBuffer)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked()
	if p.closed {
		up.close()
		return
	}
	p.idle = append(p.idle, up)
	p.metrics.upstreamIdle.Inc()
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.maxIdle, p.reap)
	}
}

// drop closes a connection and gives its place back.
func (p *pool) drop(up *upstreamConn) {
	up.close()
	p.leave()
}

// reap closes what has been idle for too long, and comes again while anything is
// idle.
func (p *pool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now, old := time.Now(), 0
	for old < len(p.idle) && now.Sub(p.idle[old].idleSince) >= p.maxIdle {
		p.idle[old].close()
		old++
	}
	p.metrics.upstreamIdle.Sub(float64(old))
	rest := copy(p.idle, p.idle[old:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	if rest == 0 {
		p.reaper = nil
		return
	}
	p.reaper.Reset(max(p.maxIdle-now.Sub(p.idle[0].idleSince), time.Millisecond))
}

// close closes what is idle and turns everyone away.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	for _, up := range p.idle {
		up.close()
	}
	p.metrics.upstreamIdle.Sub(float64(len(p.idle)))
	p.idle = nil
	for _, w := range p.waiting {
		close(w.granted)
	}
	p.waiting = nil
}

func (p *pool) dial(ctx context.Context) (*upstreamConn, error) {
	nc, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	up := &upstreamConn{nc: nc, raw: nc}
	if sc, ok := nc.(syscall.Conn); ok {
		up.peek.prepare(sc)
	}
	if p.tls != nil {
		secure := tls.Client(nc, p.tls)
		ctx, cancel := context.WithTimeout(ctx, p.dialer.Timeout)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, fmt.Errorf("%w: TLS handshake: %w", errUnreachable, err)
		}
		up.nc, up.secure = secure, true
	}
	up.br = bufio.NewReaderSize(up.nc, upstreamReadBuffer)
	return up, nil
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
