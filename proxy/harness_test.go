package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
	"github.com/pursestring/pursestring/internal/litellm"
)

// recorder is an Enforcer that keeps real holds and writes down what happens to
// them. Every test ends with none open and none ended twice.
type recorder struct {
	holds *ledger.Memory

	mu       sync.Mutex
	open     map[ledger.Hold]bool
	admitted int
	settled  []enforce.Settlement
	released int
	renewed  int
	wrong    []string

	decide  func(ask *enforce.Ask) enforce.Decision // nil: allow
	status  enforce.Status
	refused func(r budget.UpstreamRefusal) budget.Reason
}

func newRecorder() *recorder {
	return &recorder{holds: ledger.NewMemory(), open: map[ledger.Hold]bool{}, status: enforce.Status{
		TenantID: "acme", Known: true, State: budget.StateOK, GraceThreshold: 110,
		Points: budget.Points{Limit: 500 * budget.Dollar, Alert: 400 * budget.Dollar, Block: 550 * budget.Dollar},
		Window: budget.Window{Number: 1, End: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)},
	}}
}

func (r *recorder) Admit(ctx context.Context, ask *enforce.Ask) enforce.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.admitted++
	d := enforce.Decision{Verdict: budget.Allow, Reason: budget.WithinBudget, Mode: budget.Enforce, Status: r.status}
	if r.decide != nil {
		d = r.decide(ask)
		d.Status = r.status
	}
	if !d.Goes() {
		return d
	}
	held, err := r.holds.Hold(ctx, ledger.Request{
		Account: ledger.Key{Owner: "acme", Window: 1}, Estimate: ask.Estimate, Force: true,
		Deadline: time.Now().Add(time.Hour),
	})
	if err != nil {
		r.wrong = append(r.wrong, err.Error())
	}
	d.Hold = held.Hold
	r.open[d.Hold] = true
	return d
}

func (r *recorder) end(h ledger.Hold) {
	if !r.open[h] {
		r.wrong = append(r.wrong, "a hold was ended that is not open")
	}
	delete(r.open, h)
}

func (r *recorder) Settle(d *enforce.Decision, s enforce.Settlement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(d.Hold)
	r.settled = append(r.settled, s)
	r.holds.Settle(d.Hold, s.Cost)
	r.status.Spent = r.status.Spent.Add(s.Cost)
	d.Status = r.status
}

func (r *recorder) Release(d *enforce.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(d.Hold)
	r.released++
	r.holds.Release(d.Hold)
}

func (r *recorder) Renew(d *enforce.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open[d.Hold] {
		r.wrong = append(r.wrong, "a hold was renewed that is not open")
	}
	r.renewed++
}

func (r *recorder) StatusOf(_ context.Context, key budget.KeyHash) (enforce.Status, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status, key == budget.HashKey([]byte(testKey))
}

func (r *recorder) UpstreamRefused(_ context.Context, _ *enforce.Ask, _ *enforce.Decision, refusal budget.UpstreamRefusal) budget.Reason {
	if r.refused == nil {
		return ""
	}
	return r.refused(refusal)
}

// counts returns what has happened so far.
func (r *recorder) counts() (admitted, settled, released, open int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admitted, len(r.settled), r.released, len(r.open)
}

func (r *recorder) settlements() []enforce.Settlement {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]enforce.Settlement(nil), r.settled...)
}

// allEnded waits until no hold is open, and fails on any that ended wrongly.
func (r *recorder) allEnded(t testing.TB) {
	t.Helper()
	waitFor(t, "every hold to end", func() bool { _, _, _, open := r.counts(); return open == 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.wrong {
		t.Error(w)
	}
	if _, holds := r.holds.Size(); holds != 0 {
		t.Errorf("the ledger still has %d holds", holds)
	}
}

const testKey = "sk-test-1234567890abcdef"

// rig is a proxy that serves on loopback.
type rig struct {
	*Server
	addr string
	led  *recorder
	reg  *prometheus.Registry
}

// startProxy serves a proxy in front of upstream until the test ends, and then
// checks that every hold has ended once.
func startProxy(t testing.TB, upstream string, change ...func(*Options)) *rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, upstream, change...)
	r.addr = ln.Addr().String()
	r.serve(t, ln)
	return r
}

func newRig(t testing.TB, upstream string, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{led: newRecorder(), reg: prometheus.NewRegistry()}
	o := Options{Upstream: upstream, Enforcer: r.led, Prices: rigPrices(t), Metrics: NewMetrics(r.reg), MaxConnections: 4096}
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	return r
}

func (r *rig) serve(t testing.TB, ln net.Listener) {
	var served sync.WaitGroup
	served.Go(func() {
		if err := r.Serve(ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		served.Wait()
		r.led.allEnded(t)
	})
}

func rigPrices(t testing.TB) *litellm.Prices {
	t.Helper()
	return litellm.NewPrices(nil)
}

// waitFor waits until ok holds, and fails the test when it does not in time.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// httpUpstream is an upstream that net/http serves.
func httpUpstream(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// rawUpstream is an upstream whose every connection is served by f.
func rawUpstream(t testing.TB, f func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	return "http://" + rawListener(t, "127.0.0.1:0", f)
}

func rawListener(t testing.TB, address string, f func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				defer func() {
					_ = c.Close()
					mu.Lock()
					delete(open, c)
					mu.Unlock()
				}()
				f(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}

// rawRequest is what a raw upstream has read.
type rawRequest struct {
	head string // with the blank line
	body string // decoded
}

// readRequest reads one request as strictly as possible.
func readRequest(r *bufio.Reader) (rawRequest, error) {
	var q rawRequest
	for {
		line, err := r.ReadString('\n')
		q.head += line
		if err != nil {
			return q, err
		}
		if line == "\r\n" {
			break
		}
	}
	length, chunked, err := framingOf(q.head)
	switch {
	case err != nil:
		return q, err
	case chunked:
		q.body, err = readChunked(r)
		return q, err
	}
	body := make([]byte, length)
	n, err := io.ReadFull(r, body)
	q.body = string(body[:n])
	return q, err
}

var (
	requestLine = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ \\x00-\\x20\\x7f]+ HTTP/1\\.1\r\n")
	headerLine  = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\\x00-\\x08\\x0a-\\x1f\\x7f]*)\r\n")
)

// framingOf checks every line of a head and returns what frames its body.
func framingOf(head string) (length int, chunked bool, err error) {
	rest := []byte(head)
	first := requestLine.Find(rest)
	if first == nil {
		return 0, false, fmt.Errorf("malformed request line")
	}
	framed := 0
	for rest = rest[len(first):]; string(rest) != "\r\n"; {
		m := headerLine.FindSubmatch(rest)
		if m == nil {
			return 0, false, fmt.Errorf("malformed header line")
		}
		rest = rest[len(m[0]):]
		switch strings.ToLower(string(m[1])) {
		case "content-length":
			framed++
			if length, err = strconv.Atoi(strings.Trim(string(m[2]), " \t")); err != nil {
				return 0, false, err
			}
		case "transfer-encoding":
			framed++
			chunked = true
		}
	}
	if framed > 1 {
		return 0, false, fmt.Errorf("framed %d times", framed)
	}
	return length, chunked, nil
}

func readChunked(r *bufio.Reader) (string, error) {
	var out strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return out.String(), err
		}
		var n int
		if _, err := fmt.Sscanf(line, "%x\r\n", &n); err != nil {
			return out.String(), err
		}
		if _, err := io.CopyN(&out, r, int64(n)); err != nil {
			return out.String(), err
		}
		if crlf, err := r.ReadString('\n'); err != nil || crlf != "\r\n" {
			return out.String(), fmt.Errorf("chunk ends in %q, %w", crlf, err)
		}
		if n == 0 {
			return out.String(), nil
		}
	}
}

// dial opens a raw client connection that is closed with the test.
func (r *rig) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: c, r: bufio.NewReader(c), t: t}
}

// client is a raw client.
type client struct {
	net.Conn
	r *bufio.Reader
	t testing.TB
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// response is an answer as a client got it.
type response struct {
	*http.Response
	body []byte
	err  error // of reading the body
}

func (c *client) receive(method string) response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading the answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return response{resp, body, err}
}

// call sends one request on a connection of its own.
func (r *rig) call(t testing.TB, request string) response {
	t.Helper()
	c := r.dial(t)
	c.send("%s", request)
	method, _, _ := strings.Cut(request, " ")
	return c.receive(method)
}

// chat is a call that costs money.
func chat(body string) string {
	return fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", testKey, len(body), body)
}

func repeat(s string, n int) string { return string(bytes.Repeat([]byte(s), n)) }

type (
	askType      = enforce.Ask
	decisionType = enforce.Decision
)

func allow() enforce.Decision {
	return enforce.Decision{Verdict: budget.Allow, Reason: budget.WithinBudget, Mode: budget.Enforce}
}

func block(r budget.Reason) func(*enforce.Ask) enforce.Decision {
	return func(*enforce.Ask) enforce.Decision {
		return enforce.Decision{Verdict: budget.Block, Reason: r, Mode: budget.Enforce}
	}
}

// counter32 counts from several goroutines.
type counter32 struct{ n atomic.Int32 }

func (c *counter32) add()     { c.n.Add(1) }
func (c *counter32) get() int { return int(c.n.Load()) }

func mustReadHead(t testing.TB, raw []byte) *fasthttp.RequestHeader {
	t.Helper()
	q := &fasthttp.RequestHeader{}
	q.DisableNormalizing()
	if err := q.Read(bufio.NewReaderSize(bytes.NewReader(raw), 64<<10)); err != nil {
		t.Fatal(err)
	}
	return q
}
