package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pursestring/pursestring/bench/internal/mock"
)

// serve runs a mock upstream on a free port.
func serve(t *testing.T) (*mock.Server, string) {
	t.Helper()
	ln := listen(t)
	s := mock.NewServer()
	go func() { _ = s.Serve(ln) }()
	return s, ln.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// raw answers each request with the bytes that answer returns for its number,
// and closes the connection after an answer that ends with closeMark.
func raw(t *testing.T, answer func(n int64) string) string {
	t.Helper()
	ln := listen(t)
	var served atomic.Int64
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					text, closes := strings.CutSuffix(answer(served.Add(1)), closeMark)
					if _, err := io.WriteString(c, text); err != nil || closes {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

const closeMark = "<close>"

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// At a known delay, all calls are made at their rate, the total contains the
// delay and the hop does not.
func TestOpenMeasuresAKnownDelay(t *testing.T) {
	t.Parallel()
	upstream, addr := serve(t)
	const delay = 40 * time.Millisecond
	r, err := Open(t.Context(), addr, Chat(mock.Wish{Delay: delay}), OpenOptions{Rate: 250, Length: 600 * time.Millisecond, Conns: 20, MaxConns: 200})
	if err != nil {
		t.Fatal(err)
	}
	if r.Calls.Load() != 150 || r.Errors.Load() != 0 {
		t.Fatalf("calls %d, errors %d (%v); want 150 and 0", r.Calls.Load(), r.Errors.Load(), r.FirstError())
	}
	if p50 := r.Total.Quantile(0.5); p50 < delay {
		t.Errorf("median %v is below the upstream's own %v", p50, delay)
	}
	if p10 := r.Hop.Quantile(0.1); p10 >= delay {
		t.Errorf("hop %v still contains the upstream's %v", p10, delay)
	}
	if got := upstream.Report().Calls; got != 150 {
		t.Errorf("the upstream saw %d calls, want 150", got)
	}
	if r.Elapsed < 590*time.Millisecond {
		t.Errorf("150 calls at 250/s were begun within %v", r.Elapsed)
	}
}

// A server that answers nothing for 400 ms delays all the calls that were due
// meanwhile, and each is charged with its own wait.
func TestOpenDoesNotOmitTheCallsThatAStallKeepsWaiting(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	addr := raw(t, func(int64) string {
		time.Sleep(time.Until(begin.Add(400 * time.Millisecond)))
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	})
	r, err := Open(t.Context(), addr, Chat(mock.Wish{}), OpenOptions{Rate: 100, Length: 400 * time.Millisecond, Conns: 1, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Calls.Load() != 40 {
		t.Fatalf("calls %d (%v), want 40", r.Calls.Load(), r.FirstError())
	}
	// Due at 0, 10, … 390 ms, none answered before 400 ms: the mean wait is at
	// least 205 ms less what passed between begin and the first call.
	if mean := r.Total.Mean(); mean < 150*time.Millisecond {
		t.Errorf("mean %v: the calls that waited were not charged", mean)
	}
	if r.Total.Quantile(0.02) > r.Total.Max()-200*time.Millisecond {
		t.Errorf("first and last call waited alike: %v and %v", r.Total.Max(), r.Total.Quantile(0.02))
	}
}

// Without a single connection to begin with, one is made when a call is due.
func TestOpenMakesItsConnections(t *testing.T) {
	t.Parallel()
	_, addr := serve(t)
	r, err := Open(t.Context(), addr, Chat(mock.Wish{}), OpenOptions{Rate: 200, Length: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Calls.Load() != 20 || r.Errors.Load() != 0 {
		t.Errorf("calls %d, errors %d (%v); want 20 and 0", r.Calls.Load(), r.Errors.Load(), r.FirstError())
	}
}

// Calls that get no answer are errors, not silence.
func TestOpenCountsTheUnanswered(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	ln := listen(t) // accepts in the kernel, answers never
	r, err := Open(ctx, ln.Addr().String(), Chat(mock.Wish{}), OpenOptions{Rate: 100, Length: 100 * time.Millisecond, Conns: 2, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	if r.Calls.Load() != 0 || r.Errors.Load() != 10 {
		t.Errorf("calls %d, errors %d; want 0 and 10", r.Calls.Load(), r.Errors.Load())
	}
}

// The clients count each body and each error, on whatever framing.
func TestClosedCountsBodiesAndErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer string
		ok     bool
		body   int64
	}{
		{"a body of a known length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, 5},
		{"names of headers in any case", "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\nhello", true, 5},
		{"no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 0},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", true, 5},
		{"chunks with a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", true, 5},
		{"an interim answer first", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, 5},
		{"the connection is closed after each answer", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello" + closeMark, true, 5},
		{"the body ends with the connection", "HTTP/1.0 200 OK\r\n\r\nhello" + closeMark, true, 5},
		{"an error status", "HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nhello", false, 0},
		{"a refusal", "HTTP/1.1 402 Payment Required\r\nContent-Length: 5\r\n\r\nhello", false, 0},
		{"a body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello" + closeMark, false, 0},
		{"chunks cut short", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + closeMark, false, 0},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n" + closeMark, false, 0},
		{"no answer", closeMark, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Int64
			addr := raw(t, func(int64) string {
				served.Add(1)
				return c.answer
			})
			r := Closed(t.Context(), addr, Chat(mock.Wish{}), 2, 50*time.Millisecond)
			n := served.Load()
			if n == 0 {
				t.Fatal("the server saw no call")
			}
			good, bad := n, int64(0)
			if !c.ok {
				good, bad = 0, n
			}
			if r.Calls.Load() != good || r.Errors.Load() != bad || r.Body.Load() != good*c.body {
				t.Errorf("of %d calls: good %d, errors %d, body %d bytes (%v); want %d, %d, %d",
					n, r.Calls.Load(), r.Errors.Load(), r.Body.Load(), r.FirstError(), good, bad, good*c.body)
			}
			if !c.ok && r.FirstError() == nil {
				t.Error("no error was kept")
			}
		})
	}
}

// A hop that answers sometimes: good and bad are counted apart.
func TestClosedMixesGoodAndBad(t *testing.T) {
	t.Parallel()
	addr := raw(t, func(n int64) string {
		if n%3 == 0 {
			return "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
	})
	r := Closed(t.Context(), addr, Chat(mock.Wish{}), 1, 100*time.Millisecond)
	good, bad := r.Calls.Load(), r.Errors.Load()
	if good == 0 || bad == 0 || good/2 < bad-1 || good/2 > bad+1 {
		t.Errorf("good %d, errors %d; want two to one", good, bad)
	}
	if r.Total.Count() != uint64(good) {
		t.Errorf("%d durations for %d good calls", r.Total.Count(), good)
	}
}

func TestStreamsReadEveryEvent(t *testing.T) {
	t.Parallel()
	_, addr := serve(t)
	s, err := OpenStreams(t.Context(), addr, StreamOptions{Count: 20, PerSecond: 1000,
		Wish: mock.Wish{Events: 6, Interval: 5 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	s.Wait(t.Context())
	if s.Errors.Load() != 0 || s.Completed.Load() != 20 || s.Events.Load() != 120 {
		t.Errorf("errors %d (%v), completed %d, events %d; want 0, 20, 120",
			s.Errors.Load(), s.FirstError(), s.Completed.Load(), s.Events.Load())
	}
	if s.First.Count() != 20 || s.Event.Count() != 100 {
		t.Errorf("first events %d, later events %d; want 20 and 100", s.First.Count(), s.Event.Count())
	}
}

// A stream that ends before [DONE] is an error, unless we left it.
func TestStreamCutShort(t *testing.T) {
	t.Parallel()
	addr := raw(t, func(int64) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\ndata: {%s12}\n\n\r\n", len("data: {12}\n\n")+len(mock.EventMark), mock.EventMark) + closeMark
	})
	s, err := OpenStreams(t.Context(), addr, StreamOptions{Count: 3, PerSecond: 1000, Wish: mock.Wish{Events: 2}})
	if err != nil {
		t.Fatal(err)
	}
	s.Wait(t.Context())
	if s.Errors.Load() != 3 || !errors.Is(s.FirstError(), io.ErrUnexpectedEOF) {
		t.Errorf("errors %d, first %v; want 3 and an unexpected EOF", s.Errors.Load(), s.FirstError())
	}
	if s.Opened.Load() != 3 || s.Events.Load() != 3 {
		t.Errorf("opened %d, events %d; want 3 and 3", s.Opened.Load(), s.Events.Load())
	}
}

// The mock sees each stream's client leave, by FIN and by RST, also in silence.
func TestLeaveIsSeenByTheMock(t *testing.T) {
	t.Parallel()
	upstream, addr := serve(t)
	s, err := OpenStreams(t.Context(), addr, StreamOptions{Count: 10, PerSecond: 1000,
		Wish: mock.Wish{Events: 1, Hold: true, ID: 41}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Opened.Load(); got != 10 {
		t.Fatalf("opened %d of 10: %v", got, s.FirstError())
	}
	if seen := len(upstream.Report().Gone); seen != 0 {
		t.Fatalf("%d streams are gone before any client left", seen)
	}
	closed := s.Leave()
	if len(closed) != 10 || s.Errors.Load() != 0 {
		t.Errorf("left %d, errors %d (%v); want 10 and 0", len(closed), s.Errors.Load(), s.FirstError())
	}
	eventually(t, "all ten seen gone", func() bool { return len(upstream.Report().Gone) == 10 })
	for id, at := range upstream.Report().Gone {
		if id < 41 || id > 50 {
			t.Errorf("stream %d was never opened", id)
		}
		if at < closed[id] {
			t.Errorf("stream %d was seen gone %d ns before it was closed", id, closed[id]-at)
		}
	}
}

func TestUploadsArriveWhole(t *testing.T) {
	t.Parallel()
	upstream, addr := serve(t)
	const size = 3<<20 + 17
	r := Uploads(t.Context(), addr, 4, size)
	if r.Calls.Load() != 4 || r.Errors.Load() != 0 {
		t.Fatalf("calls %d, errors %d: %v", r.Calls.Load(), r.Errors.Load(), r.FirstError())
	}
	if got := upstream.Report().Bytes; got < 4*size || got > 4*(size+200) {
		t.Errorf("the upstream read %d bytes, want four bodies of %d and a little", got, size)
	}
}
