package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/pursestring/pursestring/internal/budget"
)

// slowUpstream answers in steps that the test sets off, and says when the proxy
// has closed its connection.
type slowUpstream struct {
	url    string
	begun  chan struct{} // a whole request has come
	step   chan string   // bytes to send; closing it ends the answer
	closed chan struct{} // the proxy has closed the connection
}

func newSlowUpstream(t testing.TB) *slowUpstream {
	u := &slowUpstream{begun: make(chan struct{}, 100), step: make(chan string), closed: make(chan struct{}, 100)}
	u.url = rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := readRequest(r); err != nil {
			return
		}
		u.begun <- struct{}{}
		var writer sync.WaitGroup
		gone := make(chan struct{})
		writer.Go(func() {
			for {
				select {
				case s, more := <-u.step:
					if !more {
						return
					}
					if _, err := io.WriteString(c, s); err != nil {
						return
					}
				case <-gone:
					return
				}
			}
		})
		_, _ = io.Copy(io.Discard, r) // returns when the proxy closes
		close(gone)
		writer.Wait()
		u.closed <- struct{}{}
	})
	return u
}

const (
	sseHead  = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	sseEvent = "9\r\ndata: x\n\n\r\n"
)

func oneChunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// leave closes a client's side in one of the ways that clients have.
func (c *client) leave(how string) {
	c.t.Helper()
	var err error
	switch how {
	case "FIN":
		err = c.Close()
	case "RST":
		err = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	case "half-closed":
		err = c.Conn.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

var watches = map[string]func(func(uint64) *clientConn) (goneWatch, error){
	"system":   newGoneWatch,
	"portable": func(func(uint64) *clientConn) (goneWatch, error) { return portableWatch{}, nil },
}

// A client that leaves a stream that has begun ends it upstream at once, however
// it leaves and whatever the stream is doing.
func TestLeavingClosesTheUpstream(t *testing.T) {
	t.Parallel()
	for watch, newWatch := range watches {
		for _, mode := range []string{GoneAuto, GoneAbort} {
			for _, how := range []string{"FIN", "RST", "half-closed"} {
				for _, begun := range []bool{true, false} {
					if !begun && mode == GoneAuto {
						continue // see TestDraining
					}
					t.Run(fmt.Sprintf("%s/%s/%s/begun=%v", watch, mode, how, begun), func(t *testing.T) {
						t.Parallel()
						u := newSlowUpstream(t)
						r := startProxy(t, u.url, func(o *Options) { o.watch, o.OnClientGone = newWatch, mode })
						c := r.dial(t)
						c.send("%s", chat(`{"stream":true}`))
						<-u.begun
						if begun {
							u.step <- sseHead + sseEvent
							if _, err := io.ReadFull(c.r, make([]byte, 200)); err != nil {
								t.Fatal(err)
							}
						}
						left := time.Now()
						c.leave(how)
						waitSignal(t, u.closed, "the upstream to be closed")
						t.Logf("closed after %v", time.Since(left))
						r.led.allEnded(t)
						if s := r.led.settlements(); len(s) != 1 || s[0].Cost <= 0 {
							t.Errorf("settled %+v; a call that may have cost something is never 0", s)
						}
					})
				}
			}
		}
	}
}

func waitSignal(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
}

// What is not a stream that has begun is read to its end and settled at what it
// really cost.
func TestDraining(t *testing.T) {
	t.Parallel()
	const jsonAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-litellm-response-cost: 0.25\r\nContent-Length: 2\r\n\r\n{}"
	for name, c := range map[string]struct {
		mode          string
		body          string
		before, after string // what the upstream sends before and after the client leaves
		read          int    // bytes that the client reads before it leaves
		want          budget.Provenance
	}{
		"JSON before its head":        {GoneAuto, `{}`, "", jsonAnswer, 0, budget.FromHeader},
		"a large document in between": {GoneAuto, `{}`, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-litellm-response-cost: 0.25\r\nContent-Length: 100000\r\n\r\n{", repeat(" ", 99998) + "}", 100, budget.FromHeader},
		"a stream, where all drain": {GoneDrain, `{"stream":true}`, sseHead + sseEvent,
			oneChunk("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"cost\":0.25}}\n\n") + "0\r\n\r\n", 100, budget.FromUsageCost},
	} {
		for watch, newWatch := range watches {
			t.Run(name+"/"+watch, func(t *testing.T) {
				t.Parallel()
				u := newSlowUpstream(t)
				r := startProxy(t, u.url, func(o *Options) { o.watch, o.OnClientGone = newWatch, c.mode })
				cl := r.dial(t)
				cl.send("%s", chat(c.body))
				<-u.begun
				if c.before != "" {
					u.step <- c.before
				}
				if _, err := io.ReadFull(cl.r, make([]byte, c.read)); err != nil {
					t.Fatal(err)
				}
				cl.leave("FIN")
				waitFor(t, "the proxy to notice", func() bool { return value(t, r, "pursestring_drains") == 1 })
				u.step <- c.after
				r.led.allEnded(t)
				if s := r.led.settlements(); len(s) != 1 || s[0].Cost != budget.Dollar/4 || s[0].Provenance != c.want || !s[0].Accepted {
					t.Errorf("settled %+v", s)
				}
				waitFor(t, "the drain to be counted", func() bool {
					return value(t, r, "pursestring_drains") == 0 && value(t, r, "pursestring_client_gone_total", goneDrained) == 1
				})
			})
		}
	}
}

// A stream whose client left before its first byte is aborted when that comes:
// LiteLLM would not have heard an earlier close, and now ends its provider.
func TestStreamIsAbortedAtItsFirstByte(t *testing.T) {
	t.Parallel()
	u := newSlowUpstream(t)
	r := startProxy(t, u.url)
	c := r.dial(t)
	c.send("%s", chat(`{"stream":true}`))
	<-u.begun
	c.leave("FIN")
	waitFor(t, "the proxy to notice", func() bool { return value(t, r, "pursestring_drains") == 1 })
	u.step <- sseHead
	waitSignal(t, u.closed, "the upstream to be closed")
	r.led.allEnded(t)
	if s := r.led.settlements(); len(s) != 1 || s[0].Cost <= 0 {
		t.Errorf("settled %+v", s)
	}
}

// Draining ends at its bounds of time and number, and a drained call then costs
// at least its mean.
func TestDrainBounds(t *testing.T) {
	t.Parallel()
	t.Run("number", func(t *testing.T) {
		t.Parallel()
		u := newSlowUpstream(t)
		r := startProxy(t, u.url, func(o *Options) { o.MaxDrains = 2 })
		for range 5 {
			c := r.dial(t)
			c.send("%s", chat(`{}`))
			<-u.begun
			c.leave("FIN")
		}
		for range 3 {
			waitSignal(t, u.closed, "the third and later calls to be cut")
		}
		if n := value(t, r, "pursestring_drains"); n != 2 {
			t.Errorf("%v drains", n)
		}
		close(u.step)
		_, settled, _, _ := r.led.counts()
		if settled > 3 {
			t.Errorf("%d settled", settled)
		}
	})
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		u := newSlowUpstream(t)
		r := startProxy(t, u.url, func(o *Options) { o.DrainTimeout, o.OnClientGone = 100*time.Millisecond, GoneDrain })
		c := r.dial(t)
		c.send("%s", chat(`{"stream":true}`))
		<-u.begun
		u.step <- sseHead + sseEvent
		_, _ = io.ReadFull(c.r, make([]byte, 100))
		c.leave("FIN")
		waitFor(t, "the proxy to notice", func() bool { return value(t, r, "pursestring_drains") == 1 })
		u.step <- sseEvent
		waitSignal(t, u.closed, "the drain to end")
		r.led.allEnded(t)
		if s := r.led.settlements(); len(s) != 1 || s[0].Cost <= 0 {
			t.Errorf("settled %+v", s)
		}
	})
}

// A call that costs nothing is not drained: there is no figure to wait for.
func TestFreeCallIsNotDrained(t *testing.T) {
	t.Parallel()
	u := newSlowUpstream(t)
	r := startProxy(t, u.url)
	c := r.dial(t)
	c.send("GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
	<-u.begun
	c.leave("FIN")
	waitSignal(t, u.closed, "the upstream to be closed")
}

// A client that stops reading ends its call after write_timeout.
func TestClientThatStopsReading(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 1)
	r := startProxy(t, rawUpstream(t, func(c net.Conn, q *bufio.Reader) {
		if _, err := readRequest(q); err != nil {
			return
		}
		_, _ = io.WriteString(c, sseHead)
		for event := "1000\r\n" + repeat("x", 4096) + "\r\n"; ; {
			if _, err := io.WriteString(c, event); err != nil {
				closed <- struct{}{}
				return
			}
		}
	}), func(o *Options) { o.WriteTimeout = 200 * time.Millisecond })
	c := r.dial(t)
	c.send("%s", chat(`{"stream":true}`))
	waitSignal(t, closed, "the call to be ended")
	r.led.allEnded(t)
}

// value reads one metric; label is the value of its only label, if it has one.
func value(t testing.TB, r *rig, name string, label ...string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(label) == 0 || strings.Join(labels(m), ",") == strings.Join(label, ",") {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %q", name, label)
	return 0
}

func labels(m *dto.Metric) (all []string) {
	for _, l := range m.GetLabel() {
		all = append(all, l.GetValue())
	}
	return all
}
