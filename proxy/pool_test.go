package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// A request that the upstream has read and not answered is never sent again,
// whatever its method, on a new connection and on one that was used before.
func TestSendsOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "QUERY"} {
		for _, used := range []bool{false, true} {
			for _, path := range []string{"/v1/chat/completions", "/key/info"} {
				t.Run(fmt.Sprintf("%s %s used=%v", method, path, used), func(t *testing.T) {
					t.Parallel()
					var seen counter32
					r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
						for {
							q, err := readRequest(r)
							if err != nil {
								return
							}
							if !strings.Contains(q.head, "/warm") {
								seen.add()
								return
							}
							fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
						}
					}))
					if used {
						r.call(t, "GET /warm HTTP/1.1\r\nHost: h\r\n\r\n")
					}
					a := r.call(t, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", method, path))
					if a.StatusCode != 502 {
						t.Errorf("answered %d", a.StatusCode)
					}
					if seen.get() != 1 {
						t.Errorf("sent %d times", seen.get())
					}
					r.led.allEnded(t)
					for _, s := range r.led.settlements() {
						if s.Cost <= 0 || s.Provenance != budget.FromEstimate || s.Accepted {
							t.Errorf("a call that was sent and not answered is settled %+v", s)
						}
					}
				})
			}
		}
	}
}

// An upstream that closes idle connections loses no request, though a call comes
// the moment after and the connection's age says nothing.
func TestStaleKeepAlive(t *testing.T) {
	t.Parallel()
	closed := make(chan bool)
	r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := readRequest(r); err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") // and no word of closing
		<-closed
		_ = c.Close()
		<-closed
	}))
	c := r.dial(t)
	for i := range 100 {
		c.send("%s", chat(`{}`))
		if a := c.receive("POST"); a.StatusCode != 200 {
			t.Fatalf("request %d: %d %s", i, a.StatusCode, a.body)
		}
		closed <- true
		closed <- true // the FIN is on its way
	}
}

// A connection on which bytes have come unasked is not used again: they would
// be taken for the next answer.
func TestUnaskedBytesAreNotTheNextAnswer(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string]string{
		"with the answer": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
		"one byte":        "\n",
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s secure=%v", name, secure), func(t *testing.T) {
				t.Parallel()
				serve := func(c net.Conn, r *bufio.Reader) {
					for {
						if _, err := readRequest(r); err != nil {
							return
						}
						fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"+extra)
					}
				}
				var r *rig
				if secure {
					address, config := tlsUpstream(t, "127.0.0.1:0", serve)
					r = startProxy(t, "https://"+address, config)
				} else {
					r = startProxy(t, rawUpstream(t, serve))
				}
				for range 20 {
					if a := r.call(t, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"); string(a.body) != "good" {
						t.Fatalf("got %q", a.body)
					}
				}
			})
		}
	}
}

// tlsUpstream is rawListener behind TLS.
func tlsUpstream(t testing.TB, address string, serve func(net.Conn, *bufio.Reader)) (string, func(*Options)) {
	t.Helper()
	like := httptest.NewTLSServer(http.NotFoundHandler())
	like.Close()
	certificate := like.TLS.Certificates[0]
	at := rawListener(t, address, func(c net.Conn, _ *bufio.Reader) {
		secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
		serve(secure, bufio.NewReader(secure))
	})
	roots := x509.NewCertPool()
	roots.AddCert(like.Certificate())
	return at, func(o *Options) { o.TLS = &tls.Config{RootCAs: roots} }
}

// LiteLLM may stand behind http and https, an IPv4 or IPv6 address or a name.
func TestUpstreamForms(t *testing.T) {
	t.Parallel()
	serve := func(c net.Conn, r *bufio.Reader) {
		for {
			q, err := readRequest(r)
			if err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(q.body), q.body)
		}
	}
	v6 := "http://" + rawListener(t, "[::1]:0", serve)
	_, port, _ := net.SplitHostPort(rawListener(t, "127.0.0.1:0", serve))
	s4, config := tlsUpstream(t, "127.0.0.1:0", serve)
	s6, config6 := tlsUpstream(t, "[::1]:0", serve)
	large := repeat("x", 3<<20)
	for upstream, change := range map[string]func(*Options){
		v6: func(*Options) {}, "http://localhost:" + port: func(*Options) {}, "https://" + s4: config, "https://" + s6: config6,
	} {
		r := startProxy(t, upstream, change)
		for range 3 {
			if a := r.call(t, chat(`{"a":1}`)); a.StatusCode != 200 || string(a.body) != `{"a":1}` {
				t.Errorf("%s: got %d %q", upstream, a.StatusCode, a.body)
			}
		}
		if a := r.call(t, chat(large)); a.StatusCode != 200 || string(a.body) != large {
			t.Errorf("%s: a large body comes back with %d and %d bytes", upstream, a.StatusCode, len(a.body))
		}
		if n := value(t, r, "pursestring_upstream_connections_idle"); n != 1 {
			t.Errorf("%s: %v idle connections", upstream, n)
		}
	}
}

// An upstream that cannot be reached, or not trusted, is a 502 and costs
// nothing.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	_ = ln.Close()
	untrusted, _ := tlsUpstream(t, "127.0.0.1:0", func(net.Conn, *bufio.Reader) {})
	for _, upstream := range []string{"http://" + nobody, "https://" + untrusted} {
		r := startProxy(t, upstream)
		a := r.call(t, chat(`{}`))
		if a.StatusCode != 502 || !strings.Contains(string(a.body), "upstream_unreachable") || strings.Contains(string(a.body), nobody) {
			t.Errorf("%s: got %d %s", upstream, a.StatusCode, a.body)
		}
		if _, settled, released, _ := r.led.counts(); settled != 0 || released != 1 {
			t.Errorf("%s: %d settled, %d released", upstream, settled, released)
		}
	}
}

// At the cap calls wait in a queue, in order, and no longer than its deadline.
func TestUpstreamCap(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	r := startProxy(t, httpUpstream(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/hold" {
			<-hold
		}
		w.Header().Set("Content-Length", "0")
	}), func(o *Options) { o.MaxUpstream, o.QueueTimeout = 2, 150*time.Millisecond })
	var held sync.WaitGroup
	for range 2 {
		c := r.dial(t)
		c.send("GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
		held.Go(func() {
			if a := c.receive("GET"); a.StatusCode != 200 {
				t.Errorf("a call that had its connection got %d", a.StatusCode)
			}
		})
	}
	waitFor(t, "both connections to be taken", func() bool { return value(t, r, "pursestring_upstream_connections_in_use") == 2 })
	a := r.call(t, chat(`{}`))
	if a.StatusCode != 503 || a.Header.Get("Retry-After") != "1" || !strings.Contains(string(a.body), "upstream_busy") {
		t.Errorf("over the cap: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	if _, _, released, _ := r.led.counts(); released != 1 {
		t.Errorf("%d released", released)
	}
	c := r.dial(t)
	c.send("%s", chat(`{}`))
	waitFor(t, "a call to wait", func() bool { r.pool.mu.Lock(); defer r.pool.mu.Unlock(); return len(r.pool.waiting) == 1 })
	close(hold)
	if a := c.receive("POST"); a.StatusCode != 200 {
		t.Errorf("a waiting call got %d", a.StatusCode)
	}
	held.Wait()
	waitFor(t, "the connections to be free", func() bool { return value(t, r, "pursestring_upstream_connections_in_use") == 0 })
}

// The connection that was used last goes out first, and the idle ones are closed
// in time.
func TestPoolIsLIFOAndAges(t *testing.T) {
	t.Parallel()
	address := rawListener(t, "127.0.0.1:0", func(c net.Conn, _ *bufio.Reader) { _, _ = io.Copy(io.Discard, c) })
	o := Options{Upstream: "http://" + address, UpstreamIdle: 100 * time.Millisecond}.withDefaults()
	u, _ := url.Parse(o.Upstream)
	p := newPool(u, &o)
	defer p.close()
	var conns []*upstreamConn
	for range 3 {
		up, err := p.take(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, up)
	}
	for _, up := range conns {
		p.put(up)
	}
	up, err := p.take(t.Context(), false)
	if err != nil || up != conns[2] {
		t.Errorf("got another connection than the last returned, %v", err)
	}
	p.put(up)
	waitFor(t, "idle connections to be closed", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.idle) == 0 && p.reaper == nil })
	up.idleSince = time.Now()
	if up.quiet() {
		t.Error("a closed connection looks usable")
	}
}

func TestParseUpstream(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ftp://h": "scheme", "h:4000": "scheme", "": "scheme", "http://": "no host", "http://u:p@h": "user or password",
		"http://h/base": "end after the port", "http://h?x": "end after the port", "http://h:99999999999999999999x": "not a URL",
	} {
		if _, err := parseUpstream(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", in, err, want)
		}
	}
	for _, in := range []string{"http://127.0.0.1:4000", "https://[::1]:4000/", "http://litellm"} {
		if _, err := parseUpstream(in); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}
