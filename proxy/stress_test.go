package proxy

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Size of the crowd.
const (
	crowd         = 60
	crowdRequests = 40 // of each client
	crowdConns    = 40 // upstream connections: some calls have to wait for one
)

// TestCrowd: many clients at once, of which some leave at any moment, share the
// proxy's pooled connections, exchanges and buffers. Each answer is the one to
// its own request, no call is made twice, each hold ends once and each upstream
// connection is given back or closed.
func TestCrowd(t *testing.T) {
	for watch, newWatch := range watches {
		t.Run(watch, func(t *testing.T) {
			u := newCrowdUpstream(t)
			r := startProxy(t, u.url, func(o *Options) {
				o.watch, o.MaxUpstream, o.MaxDrains = newWatch, crowdConns, crowdConns/2
				o.QueueTimeout, o.UpstreamIdle = 30*time.Second, time.Hour
			})
			var all sync.WaitGroup
			members := make([]*member, crowd)
			for i := range members {
				members[i] = &member{id: i, rig: r, rnd: rand.New(rand.NewPCG(uint64(i), 1)), t: t}
				all.Go(members[i].run)
			}
			all.Wait()
			u.settled(t, r)
			var answers, left int
			for _, m := range members {
				answers, left = answers+m.answers, left+m.left
			}
			if answers < crowd*crowdRequests/3 || left < crowd {
				t.Errorf("%d answers and %d that left are no crowd", answers, left)
			}
			t.Logf("%d answers, %d clients left", answers, left)
		})
	}
}

// call is one request of a member and what its answer must be. Everything in it
// follows from its id, on both sides of the proxy.
type call struct {
	id   string
	kind callKind
	size int // of the answer: bytes, or events
}

type callKind int

const (
	callSmall  callKind = iota // JSON that is answered in one write
	callLarge                  // JSON of a known length that streams
	callEvents                 // SSE
	callFree                   // no hold
	callKinds
)

func (c call) request() string {
	method, path, body := "POST", "/v1/chat/completions", `{"id":"`+c.id+`"}`
	switch c.kind {
	case callEvents:
		body = `{"id":"` + c.id + `","stream":true}`
	case callFree:
		path = "/key/info"
	case callSmall, callLarge, callKinds:
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nX-Id: %s\r\nX-Kind: %d\r\nX-Size: %d\r\nContent-Length: %d\r\n\r\n%s",
		method, path, testKey, c.id, c.kind, c.size, len(body), body)
}

// cost is what the upstream says that the call cost: no two calls cost the same.
func (c call) cost() budget.Money {
	var client, n int64
	_, _ = fmt.Sscanf(c.id, "%d-%d", &client, &n)
	return budget.Money(client*1_000_000+n*1000) + 1000
}

// body is the answer's.
func (c call) body() string {
	if c.kind != callEvents {
		return `{"id":"` + c.id + `","pad":"` + repeat("x", c.size) + `"}`
	}
	return repeat(c.event(), c.size)
}

func (c call) event() string { return `data: {"id":"` + c.id + `"}` + "\n\n" }

// member is one client of the crowd.
type member struct {
	id  int
	rig *rig
	rnd *rand.Rand
	t   *testing.T

	conn    *net.TCPConn
	br      *bufio.Reader
	n       int // calls made
	answers int
	left    int
}

func (m *member) run() {
	defer m.hangUp()
	for m.n < crowdRequests {
		if m.conn == nil && !m.dial() {
			return
		}
		calls := []call{m.next()}
		if m.rnd.IntN(4) == 0 {
			calls = append(calls, m.next())
		}
		if !m.make(calls) {
			return
		}
	}
}

func (m *member) dial() bool {
	c, err := net.Dial("tcp", m.rig.addr)
	if err != nil {
		m.t.Error(err)
		return false
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	m.conn, m.br = c.(*net.TCPConn), bufio.NewReader(c)
	return true
}

func (m *member) hangUp() {
	if m.conn != nil {
		_ = m.conn.Close()
		m.conn = nil
	}
}

func (m *member) next() call {
	m.n++
	c := call{id: fmt.Sprintf("%d-%d", m.id, m.n), kind: callKind(m.rnd.IntN(int(callKinds)))}
	switch c.kind {
	case callLarge:
		c.size = wholeAnswer + m.rnd.IntN(wholeAnswer)
	case callEvents:
		c.size = 1 + m.rnd.IntN(20)
	default:
		c.size = m.rnd.IntN(2000)
	}
	return c
}

// make sends calls in one write and reads their answers, or leaves before or in
// the middle of any of them. It reports whether the member goes on.
func (m *member) make(calls []call) bool {
	var all strings.Builder
	for _, c := range calls {
		all.WriteString(c.request())
	}
	if _, err := io.WriteString(m.conn, all.String()); err != nil {
		m.t.Errorf("%s: %v", calls[0].id, err)
		return false
	}
	for _, c := range calls {
		if m.rnd.IntN(6) == 0 {
			m.leave()
			return true
		}
		if !m.read(c) {
			return false
		}
	}
	return true
}

// leave reads a little of what comes, or nothing, and goes by FIN or RST.
func (m *member) leave() {
	if most := m.rnd.IntN(3) * m.rnd.IntN(600); most > 0 {
		_, _ = m.br.Read(make([]byte, most))
	}
	if m.rnd.IntN(2) == 0 {
		_ = m.conn.SetLinger(0)
	}
	m.hangUp()
	m.left++
}

func (m *member) read(c call) bool {
	resp, err := http.ReadResponse(m.br, &http.Request{Method: "POST"})
	if err != nil {
		m.t.Errorf("%s: %v", c.id, err)
		return false
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	m.answers++
	switch {
	case err != nil:
		m.t.Errorf("%s: %v", c.id, err)
	case resp.StatusCode != 200 || resp.Close:
		m.t.Errorf("%s: answered %d, closes: %v: %.300s", c.id, resp.StatusCode, resp.Close, body)
	case resp.Header.Get("X-Id") != c.id || string(body) != c.body():
		m.t.Errorf("%s: got the answer of %s: %.100q", c.id, resp.Header.Get("X-Id"), body)
	case c.kind == callSmall && resp.Header.Get(headerCost) != string(c.cost().AppendDecimal(nil)):
		m.t.Errorf("%s: cost %s, want %s", c.id, resp.Header.Get(headerCost), c.cost().AppendDecimal(nil))
	default:
		return true
	}
	return false
}

// crowdUpstream answers each call as its id says, a little later.
type crowdUpstream struct {
	url string

	mu    sync.Mutex
	times map[string]int // that each id has come
	conns int            // open
	seed  uint64
}

func newCrowdUpstream(t testing.TB) *crowdUpstream {
	u := &crowdUpstream{times: map[string]int{}}
	u.url = rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		rnd := u.opened()
		defer u.closed()
		for {
			q, err := readRequest(r)
			if err != nil || !u.answer(c, rnd, callOf(q)) {
				return
			}
		}
	})
	return u
}

func (u *crowdUpstream) opened() *rand.Rand {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns++
	u.seed++
	return rand.New(rand.NewPCG(u.seed, 2))
}

func (u *crowdUpstream) closed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns--
}

// callOf reads a call from its request; the body names the id a second time.
func callOf(q rawRequest) (c call) {
	for line := range strings.SplitSeq(q.head, "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "X-Id":
			c.id = value
		case "X-Kind":
			n, _ := strconv.Atoi(value)
			c.kind = callKind(n)
		case "X-Size":
			c.size, _ = strconv.Atoi(value)
		}
	}
	if !strings.Contains(q.body, `"id":"`+c.id+`"`) {
		c.id = "the body of another call than " + c.id
	}
	return c
}

func (u *crowdUpstream) answer(w io.Writer, rnd *rand.Rand, c call) bool {
	u.mu.Lock()
	u.times[c.id]++
	u.mu.Unlock()
	dawdle(rnd)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: %s\r\nx-litellm-response-cost: %s\r\n", c.id, c.cost().AppendDecimal(nil))
	if c.kind == callEvents {
		if _, err := io.WriteString(w, head+"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			return false
		}
		for range c.size {
			dawdle(rnd)
			if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", len(c.event()), c.event()); err != nil {
				return false
			}
		}
		_, err := io.WriteString(w, lastChunk)
		return err == nil
	}
	body := c.body()
	half := rnd.IntN(len(body))
	if _, err := fmt.Fprintf(w, "%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body[:half]); err != nil {
		return false
	}
	dawdle(rnd)
	_, err := io.WriteString(w, body[half:])
	return err == nil
}

// dawdle lets up to two milliseconds pass, mostly none: upstreams are slow.
func dawdle(rnd *rand.Rand) {
	if n := rnd.IntN(8); n < 2 {
		<-time.After(time.Duration(rnd.IntN(2000)) * time.Microsecond)
	}
}

// settled checks what is left when all clients have gone: nothing.
func (u *crowdUpstream) settled(t *testing.T, r *rig) {
	t.Helper()
	r.led.allEnded(t)
	for _, gauge := range []string{"pursestring_connections", "pursestring_upstream_connections_in_use", "pursestring_drains"} {
		waitFor(t, gauge+" to fall to 0", func() bool { return value(t, r, gauge) == 0 })
	}
	waitFor(t, "the upstream to have open just the idle connections", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return float64(u.conns) == value(t, r, "pursestring_upstream_connections_idle")
	})
	if admitted, settled, released, _ := r.led.counts(); admitted != settled+released {
		t.Errorf("%d admitted, but %d settled and %d released", admitted, settled, released)
	}
	for _, counter := range []string{"pursestring_panics_total", "pursestring_accept_errors_total"} {
		if n := value(t, r, counter); n != 0 {
			t.Errorf("%s is %v", counter, n)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, n := range u.times {
		if n != 1 {
			t.Errorf("call %s was made %d times", id, n)
		}
	}
}
