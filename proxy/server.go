package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Server is the data plane: it proxies LiteLLM and admits what costs money.
// fasthttp accepts connections, parses and writes heads; everything that can
// block, be cancelled, retried or counted is ours.
type Server struct {
	o           Options
	enforcer    Enforcer
	routes      routeRules
	credentials credentialRules
	planner     planner
	denier      denier

	http       *fasthttp.Server
	conns      *connections
	pool       *pool
	watch      goneWatch
	log        *slog.Logger
	complaints *complaints
	metrics    *Metrics

	ctx      context.Context // ends when the rest is to be given up
	cancel   context.CancelFunc
	serving  sync.WaitGroup
	watching sync.Once
	once     sync.Once // of Shutdown
	done     error     // what it returned
}

// New returns a server for o. It starts nothing. The error names every setting
// that is wrong.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.fitFiles()
	u, err := parseUpstream(o.Upstream)
	if err != nil {
		return nil, err
	}
	s := &Server{
		o: o, enforcer: o.Enforcer, log: o.Logger, metrics: o.Metrics,
		routes:      routeRules{rootPaths: o.RootPaths},
		credentials: credentialRules{keyHeader: lower(o.KeyHeader), rootPaths: o.RootPaths},
		planner:     planner{prices: o.Prices, unpriced: o.Unpriced},
		denier:      denier{hideAmounts: o.HideAmounts},
		complaints:  newComplaints(o.Logger),
	}
	s.pool = newPool(u, &s.o)
	s.watch, err = o.watch(func(id uint64) *clientConn { return s.conns.find(id) })
	if err != nil {
		return nil, err
	}
	s.conns = newConnections(s.watch, &drains{most: int32(o.MaxDrains), metrics: o.Metrics}, o.Metrics, s.complaints, o.WriteTimeout)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = s.newHTTP()
	return s, nil
}

// fitFiles lowers the number of connections to what the limit of open files
// bears: two for each call, and some for the rest of the process.
func (o *Options) fitFiles() {
	const others = 128
	o.MaxDrains = min(o.MaxDrains, math.MaxInt32)
	files := openFiles()
	if files == 0 || files > math.MaxInt32 {
		return
	}
	if bearable := max(16, (int(files)-others)/2); o.MaxConnections > bearable {
		o.Logger.Warn("the limit of open files is too low for proxy.max_connections: raise it, or lower the setting",
			"max_connections", o.MaxConnections, "using", bearable, "open_files", files)
		o.MaxConnections = bearable
	}
}

func (s *Server) newHTTP() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:        s.handle,
		ErrorHandler:   s.handleBadRequest,
		HeaderReceived: s.headerReceived,
		Logger:         quietLogger{s.complaints},

		NoDefaultServerHeader:         true,
		NoDefaultDate:                 true,
		NoDefaultContentType:          true,
		DisableHeaderNamesNormalizing: true,
		SecureErrorLogMessage:         true,
		StreamRequestBody:             true,
		DisablePreParseMultipartForm:  true,
		CloseOnShutdown:               true,

		ReadBufferSize:  s.o.MaxHeader,
		WriteBufferSize: 8 << 10,
		ReadTimeout:     s.o.HeadTimeout,
		IdleTimeout:     s.o.IdleTimeout,
		WriteTimeout:    0, // fasthttp's is absolute and would cut streams; clientConn has its own
		Concurrency:     s.o.MaxConnections,
	}
}

// headerReceived runs between a head and its body. It gives the body's first
// bytes the body's time rather than the head's, and lets fasthttp see an Expect
// line in any case: its own look-up is case-sensitive here.
func (s *Server) headerReceived(h *fasthttp.RequestHeader) (c fasthttp.RequestConfig) {
	if n := h.ContentLength(); n == 0 || n == int(noBody) {
		return c
	}
	if bytes.Contains(h.RawHeaders(), []byte("xpect")) || bytes.Contains(h.RawHeaders(), []byte("XPECT")) {
		canonicalExpect(h)
	}
	c.ReadTimeout = s.o.BodyTimeout
	return c
}

func canonicalExpect(h *fasthttp.RequestHeader) {
	for rest := h.RawHeaders(); ; {
		line, next, ok := cutLine(rest)
		if !ok || len(line) == 0 {
			return
		}
		rest = next
		if f, ok := parseField(line); ok && equalFold(f.name, "expect") {
			h.SetBytesV("Expect", f.value)
			return
		}
	}
}

// Serve accepts connections on ln and serves them until Shutdown. It may be
// called for several listeners, before Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	if s.ctx.Err() != nil {
		return errStopping
	}
	s.serving.Add(1)
	defer s.serving.Done()
	s.watching.Do(func() { s.serving.Go(s.watch.run) })
	if err := s.http.Serve(newListener(ln, s.conns)); err != nil {
		return fmt.Errorf("serve data plane: %w", err)
	}
	return nil
}

// killPatience is how long handlers may take to notice that both their sockets
// are closed.
const killPatience = 5 * time.Second

// Shutdown stops accepting and lets the calls in flight end. Idle connections
// are closed at once; a request that still comes on a busy one is answered with
// Connection: close. When ctx ends, what is left is closed on both sides. All
// holds have ended when Shutdown returns, but for a handler that does not notice
// within a few seconds, which the error reports. A second call returns what the
// first did.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(func() { s.done = s.shutdown(ctx) })
	return s.done
}

func (s *Server) shutdown(ctx context.Context) error {
	err := s.http.ShutdownWithContext(ctx)
	if ctx.Err() != nil {
		err = nil // the deadline is what the rest of this is for
	}
	_ = s.conns.wait(ctx) // tunnels and HTTP/1.0 answers, which fasthttp does not count
	s.cancel()
	if n := s.conns.killAll(); n > 0 {
		s.log.Warn("closed connections that had not ended by the deadline", "connections", n)
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), killPatience)
	defer stop()
	if s.conns.wait(last) != nil {
		err = errors.Join(err, errors.New("some connections did not end within 5 s of being closed"))
	}
	s.pool.close()
	s.watch.close()
	s.serving.Wait()
	return err
}

// quietLogger takes what fasthttp logs. Its lines name addresses and may quote
// requests, so only the fact is passed on, throttled.
type quietLogger struct{ c *complaints }

// Printf logs that fasthttp has something to say.
func (l quietLogger) Printf(format string, _ ...any) {
	l.c.warn("the HTTP server reports a problem with a connection", "kind", format)
}

func lower(s string) string { return string(bytes.ToLower([]byte(s))) }
