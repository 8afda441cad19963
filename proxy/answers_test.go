package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// answering is an upstream that answers each request with the given bytes, and
// closes when close is set.
func answering(t testing.TB, answer string, closes bool) string {
	return rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		for {
			if _, err := readRequest(r); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil || closes {
				return
			}
		}
	})
}

// What a client gets for what the upstream says, with the connection that it
// can go on using.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request, answer string
		closes          bool
		status          int
		body            string
		header          string // one that must be there, "name: value"
		goes            bool   // the client's connection stays open
	}{
		"a known length":           {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, 200, "hi", "Content-Length: 2", true},
		"an empty body":            {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 200, "", "Content-Length: 0", true},
		"chunks":                   {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, 200, "hi", "", true},
		"to the end":               {"GET", "HTTP/1.1 200 OK\r\n\r\nhi", true, 200, "hi", "", true},
		"HTTP/1.0":                 {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", true, 200, "hi", "", true},
		"an upstream that closes":  {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", true, 200, "hi", "", true},
		"HEAD":                     {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", false, 200, "", "Content-Length: 77", true},
		"HEAD of chunks":           {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, 200, "", "", true},
		"204":                      {"GET", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", false, 204, "", "X: y", true},
		"304":                      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", false, 304, "", "", true},
		"interim answers":          {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, 200, "hi", "", true},
		"an odd status and reason": {"GET", "HTTP/1.1 299 Rather Fine\r\nContent-Length: 0\r\n\r\n", false, 299, "", "", true},
		"a 402 of the upstream's":  {"GET", "HTTP/1.1 402 Payment Required\r\nContent-Length: 2\r\n\r\nhi", false, 402, "hi", "", true},
		"a date is passed, once":   {"GET", "HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 14:11:00 GMT\r\nContent-Length: 0\r\n\r\n", false, 200, "", "Date: Tue, 24 Nov 2026 14:11:00 GMT", true},
		"a large head":             {"GET", "HTTP/1.1 200 OK\r\nX-Large: " + repeat("x", 40<<10) + "\r\nContent-Length: 2\r\n\r\nhi", false, 200, "hi", "", true},
		"an enormous head":         {"GET", "HTTP/1.1 200 OK\r\nX-Large: " + repeat("x", 200<<10) + "\r\nContent-Length: 2\r\n\r\nhi", true, 502, "", "", true},
		"a body cut off":           {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", true, 502, "", "", true},
		"chunks cut off":           {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", true, 200, "", "", false},
		"broken chunks":            {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n", false, 200, "", "", false},
		"a head cut off":           {"GET", "HTTP/1.1 200 OK\r\nContent-Le", true, 502, "", "", true},
		"no answer":                {"GET", "", true, 502, "", "", true},
		"garbage":                  {"GET", "SSH-2.0-OpenSSH_9.2\r\n\r\n", false, 502, "", "", true},
		"a garbled status":         {"GET", "HTTP/1.1 2x0 OK\r\n\r\n", false, 502, "", "", true},
		"two lengths":              {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", false, 502, "", "", true},
		"a coding we do not know":  {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi", false, 502, "", "", true},
		"101 that nobody asked":    {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", false, 502, "", "", true},
		"endless interim answers":  {"GET", repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 50), false, 502, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startProxy(t, answering(t, c.answer, c.closes))
			cl := r.dial(t)
			for range 2 {
				cl.send("%s /x HTTP/1.1\r\nHost: h\r\n\r\n", c.request)
				a := cl.receive(c.request)
				if a.StatusCode != c.status || c.status == 200 && c.goes && string(a.body) != c.body {
					t.Fatalf("got %d %q, want %d %q", a.StatusCode, a.body, c.status, c.body)
				}
				if a.ProtoMinor != 1 {
					t.Errorf("answered in HTTP/1.%d", a.ProtoMinor)
				}
				if name, value, ok := strings.Cut(c.header, ": "); ok && !slices.Equal(a.Header[name], []string{value}) {
					t.Errorf("header %s is %q, want %q", name, a.Header[name], value)
				}
				if a.Close && c.goes {
					t.Error("closes the client's connection")
				}
				if c.status == 502 && !strings.Contains(string(a.body), `"code":"upstream_`) {
					t.Errorf("the error has no code of its own: %s", a.body)
				}
				if !c.goes {
					if a.err == nil {
						t.Error("a part was passed off as the whole")
					}
					return
				}
			}
		})
	}
}

// Hop-by-hop lines of an answer end here, in whatever case, with what
// Connection names; duplicates and everything else pass.
func TestAnswerHeadPasses(t *testing.T) {
	t.Parallel()
	r := startProxy(t, answering(t, "HTTP/1.1 200 OK\r\nconnection: keep-alive, X-Private\r\nkeep-alive: timeout=5\r\nProxy-Connection: x\r\nTRAILER: X-T\r\nupgrade: h2c\r\nte: x\r\n"+
		"x-private: 1\r\ndate: Tue, 24 Nov 2026 14:11:00 GMT\r\nX-Dup: 1\r\nx-dup: 2\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nserver: uvicorn\r\nllm_provider-x: y\r\nContent-Length: 2\r\n\r\nhi", false))
	c := r.dial(t)
	c.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
	got := c.receive("GET").Header
	for _, gone := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Trailer", "Upgrade", "Te", "X-Private"} {
		if len(got[gone]) > 0 {
			t.Errorf("%s passed: %q", gone, got[gone])
		}
	}
	for name, want := range map[string][]string{"X-Dup": {"1", "2"}, "Set-Cookie": {"a=1", "b=2"}, "Server": {"uvicorn"}, "Date": {"Tue, 24 Nov 2026 14:11:00 GMT"}, "Llm_provider-X": {"y"}} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "X-Budget") {
			t.Errorf("%s was added", name)
		}
	}
}

// HTTP/1.0 clients know no chunks: a body of unknown length ends with the
// connection.
func TestHTTP10Client(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		keeps  bool
	}{
		"chunks":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false},
		"a known length": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startProxy(t, answering(t, c.answer, false))
			cl := r.dial(t)
			cl.send("POST /v1/chat/completions HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}")
			head, err := http.ReadResponse(cl.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer head.Body.Close()
			if len(head.TransferEncoding) > 0 || head.Close == c.keeps {
				t.Errorf("coding %q, closes: %v", head.TransferEncoding, head.Close)
			}
			if head.Header.Get("X-Budget-State") != "ok" {
				t.Errorf("no budget in the head: %v", head.Header)
			}
			if body, err := io.ReadAll(head.Body); string(body) != "hi" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
			r.led.allEnded(t)
			if _, settled, _, _ := r.led.counts(); settled != 1 {
				t.Errorf("%d settlements", settled)
			}
		})
	}
}

// Event N arrives before the upstream sends N+1, and the head before the first
// event.
func TestEventsPassAtOnce(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"chunks":       "Transfer-Encoding: chunked\r\n",
		"to the end":   "",
		"known length": fmt.Sprintf("Content-Length: %d\r\n", 70<<10+20*len("data: 00\n\n")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turn := make(chan bool)
			event := func(s string) string {
				if name == "chunks" {
					return fmt.Sprintf("%x\r\n%s", len(s), s) // its CRLF comes with the next
				}
				return s
			}
			r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
				if _, err := readRequest(r); err != nil {
					return
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n", head)
				for i := range 20 {
					select {
					case <-turn:
					case <-t.Context().Done():
						return
					}
					end := ""
					if name == "chunks" && i > 0 {
						end = "\r\n"
					}
					fmt.Fprint(c, end+event(fmt.Sprintf("data: %02d\n\n", i)))
				}
				if name == "chunks" {
					fmt.Fprint(c, "\r\n0\r\n\r\n")
				}
			}))
			c := r.dial(t)
			c.send("%s", chat(`{"stream":true}`))
			a, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Body.Close()
			for i := range 20 {
				turn <- true
				got := make([]byte, len("data: 00\n\n"))
				if _, err := io.ReadFull(a.Body, got); err != nil || string(got) != fmt.Sprintf("data: %02d\n\n", i) {
					t.Fatalf("event %d: got %q, %v", i, got, err)
				}
			}
		})
	}
}

// A long answer passes without being kept.
func TestLongAnswerInFlatMemory(t *testing.T) {
	const size = 100 << 20
	for name, head := range map[string]string{
		"known length": fmt.Sprintf("Content-Length: %d\r\n", size),
		"to the end":   "",
	} {
		r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
			if _, err := readRequest(r); err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%s\r\n", head)
			piece := []byte(repeat("0123456789abcdef", 4096))
			for range size / len(piece) {
				if _, err := c.Write(piece); err != nil {
					return
				}
			}
		}))
		before := totalAlloc()
		c := r.dial(t)
		c.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
		a, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		if n != size || err != nil {
			t.Errorf("%s: got %d bytes, %v", name, n, err)
		}
		if grown := totalAlloc() - before; grown > 8<<20 {
			t.Errorf("%s: allocated %d MiB in passing %d MiB", name, grown>>20, size>>20)
		}
	}
}

func totalAlloc() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// An upstream that goes silent in the middle is given up after stream_timeout,
// one that never answers after first_byte_timeout.
func TestSilentUpstream(t *testing.T) {
	t.Parallel()
	r := startProxy(t, answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi", false),
		func(o *Options) { o.StreamTimeout = 50 * time.Millisecond })
	if a := r.call(t, chat(`{}`)); a.err == nil {
		t.Error("a part was passed off as the whole")
	}
	r = startProxy(t, answering(t, "", false), func(o *Options) { o.FirstByteTimeout = 50 * time.Millisecond })
	if a := r.call(t, chat(`{}`)); a.StatusCode != 504 || !strings.Contains(string(a.body), "upstream_timeout") {
		t.Errorf("got %d %s", a.StatusCode, a.body)
	}
	r.led.allEnded(t)
	if s := r.led.settlements(); len(s) != 1 || s[0].Provenance != budget.FromEstimate || s[0].Cost == 0 || s[0].Accepted {
		t.Errorf("a call that was never answered is settled %+v", s)
	}
}
