package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// A long upload passes without being kept, in both framings, also on a route
// that costs money and as a form, and arrives whole.
func TestUploadInFlatMemory(t *testing.T) {
	const size = 20 << 20
	piece := []byte(repeat("0123456789abcdef", 4096))
	for name, framing := range map[string]string{
		"known length": fmt.Sprintf("Content-Length: %d", size),
		"chunks":       "Transfer-Encoding: chunked",
	} {
		got := make(chan int64, 1)
		r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
			chunked := false
			for line := ""; line != "\r\n"; {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
				chunked = chunked || strings.HasPrefix(line, "Transfer-Encoding")
			}
			var n int64
			if chunked {
				d := chunkReader{}
				for {
					data, err := d.next(r)
					if err != nil {
						break
					}
					n += int64(len(data))
				}
			} else {
				n, _ = io.CopyN(io.Discard, r, size)
			}
			got <- n
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}))
		c := r.dial(t)
		before := totalAlloc()
		c.send("POST /v1/audio/transcriptions HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\n%s\r\n\r\n", framing)
		for range size / len(piece) {
			if name == "chunks" {
				c.send("%x\r\n%s\r\n", len(piece), piece)
			} else if _, err := c.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if name == "chunks" {
			c.send("0\r\n\r\n")
		}
		a := c.receive("POST")
		limit := uint64(4 << 20)
		if name == "chunks" {
			limit += 2 * size // Fprintf in this test; see the known length for the proxy
		}
		if grown := totalAlloc() - before; grown > limit {
			t.Errorf("%s: allocated %d MiB for an upload of %d MiB", name, grown>>20, size>>20)
		}
		if n := <-got; n != size || a.StatusCode != 200 || a.Close {
			t.Errorf("%s: %d bytes arrived, answered %d, closes: %v", name, n, a.StatusCode, a.Close)
		}
	}
}

// An upstream that refuses before it has read all, and closes or just stops
// reading, is heard, every time.
func TestEarlyAnswers(t *testing.T) {
	t.Parallel()
	const size = 20 << 20
	for name, stays := range map[string]bool{"closes": false, "stops reading": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
				if _, err := io.CopyN(io.Discard, r, 100<<10); err != nil {
					return
				}
				fmt.Fprint(c, "HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
				if stays {
					<-t.Context().Done()
				}
			}))
			for range 10 {
				c := r.dial(t)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = fmt.Fprintf(c, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
					piece := []byte(repeat("x", 64<<10))
					for range size / len(piece) {
						if _, err := c.Write(piece); err != nil {
							return
						}
					}
				}()
				a := c.receive("POST")
				if a.StatusCode != 413 || string(a.body) != "{}" || !a.Close {
					t.Fatalf("got %d %q, closes: %v", a.StatusCode, a.body, a.Close)
				}
				_ = c.Close()
				<-done
			}
			r.led.allEnded(t)
			for _, s := range r.led.settlements() {
				if s.Provenance != budget.FromError || s.Cost != 0 {
					t.Errorf("a refused upload is settled %+v", s)
				}
			}
		})
	}
}

// An upstream that answers 200 while it still reads gets the rest.
func TestAnswerWhileUploading(t *testing.T) {
	t.Parallel()
	const size = 2 << 20
	got := make(chan int64, 1)
	r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		for line := ""; line != "\r\n"; {
			line, _ = r.ReadString('\n')
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		n, _ := io.CopyN(io.Discard, r, size)
		got <- n
		fmt.Fprint(c, "2\r\nhi\r\n0\r\n\r\n")
	}))
	c := r.dial(t)
	c.send("POST /key/info HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
	for range size / (64 << 10) {
		c.send("%s", repeat("x", 64<<10))
	}
	if a := c.receive("POST"); string(a.body) != "hi" || <-got != size {
		t.Errorf("got %q", a.body)
	}
}

// Our own refusal of an upload is read by a client that is still sending.
func TestRefusalDuringUploadIsRead(t *testing.T) {
	t.Parallel()
	r := startProxy(t, answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false), func(o *Options) { o.MaxBody = 4 << 20 })
	r.led.decide = block(budget.OverBlockPoint)
	for name, c := range map[string]struct {
		head string
		code int
	}{
		"402":                     {"Content-Length: 3000000", 402},
		"413 by the length":       {"Content-Length: 20000000", 413},
		"413 of a free call":      {"Transfer-Encoding: chunked", 413},
		"a name that is no token": {"B ad: x\r\nContent-Length: 20000000", 400},
	} {
		for range 5 {
			path := "/v1/audio/transcriptions"
			if c.head == "Transfer-Encoding: chunked" {
				path = "/key/info"
			}
			cl := r.dial(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = fmt.Fprintf(cl, "POST %s HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", path, c.head)
				piece := []byte("10000\r\n" + repeat("x", 64<<10) + "\r\n")
				for range 100 {
					if _, err := cl.Write(piece); err != nil {
						return
					}
				}
			}()
			if a := cl.receive("POST"); a.StatusCode != c.code || a.err != nil || len(a.body) == 0 {
				t.Errorf("%s: got %d %q, %v", name, a.StatusCode, a.body, a.err)
			}
			_ = cl.Close()
			<-done
		}
	}
}

// The upstream never sees a request whose body breaks off as a whole one, and
// such a call costs nothing.
func TestBodyThatStops(t *testing.T) {
	t.Parallel()
	var whole counter32
	up := rawUpstream(t, func(_ net.Conn, r *bufio.Reader) {
		if _, err := readRequest(r); err == nil {
			whole.add()
		}
	})
	for name, head := range map[string]string{
		"small":             "Content-Length: 100\r\n\r\n{",
		"prefix not whole":  "Content-Length: 100000\r\n\r\n{",
		"large, in between": "Content-Length: 3000000\r\n\r\n" + repeat("x", 300<<10),
		"chunks":            "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
	} {
		for _, path := range []string{"/v1/chat/completions", "/key/info"} {
			r := startProxy(t, up, func(o *Options) { o.BodyTimeout = 100 * time.Millisecond })
			c := r.dial(t)
			c.send("POST %s HTTP/1.1\r\nHost: h\r\n%s", path, head)
			if a := c.receive("POST"); a.StatusCode != 408 || !a.Close {
				t.Errorf("%s to %s: silence is answered %d, closes: %v", name, path, a.StatusCode, a.Close)
			}
			c = r.dial(t)
			c.send("POST %s HTTP/1.1\r\nHost: h\r\n%s", path, head)
			_ = c.Close()
			r.led.allEnded(t)
			if _, settled, _, _ := r.led.counts(); settled != 0 {
				t.Errorf("%s to %s: %d settled", name, path, settled)
			}
		}
	}
	if whole.get() != 0 {
		t.Errorf("%d broken requests arrived whole", whole.get())
	}
}

// Expect is answered with 100 before the body comes, however it is written.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	r := startProxy(t, echoUpstream(t))
	for _, name := range []string{"Expect", "expect", "EXPECT"} {
		c := r.dial(t)
		c.send("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n%s: 100-continue\r\nContent-Length: 2\r\n\r\n", name)
		if line, err := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" || err != nil {
			t.Fatalf("%s: got %q, %v", name, line, err)
		}
		_, _ = c.r.ReadString('\n')
		c.send("{}")
		if a := c.receive("POST"); a.StatusCode != 200 || !strings.HasSuffix(string(a.body), "\r\n\r\n{}") || strings.Contains(string(a.body), "100-c") {
			t.Errorf("%s: got %d %q", name, a.StatusCode, a.body)
		}
	}
}

// One connection serves many requests, one after the other and all at once,
// also after a refusal and after a body that was read in pieces.
func TestPipelining(t *testing.T) {
	t.Parallel()
	r := startProxy(t, echoUpstream(t))
	c := r.dial(t)
	var in strings.Builder
	for i := range 20 {
		fmt.Fprintf(&in, "POST /x/%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n%02d", i, i)
		fmt.Fprintf(&in, "POST /y/%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n%02d\r\n0\r\n\r\n", i, i)
	}
	c.send("%s", in.String())
	for i := range 20 {
		for _, path := range []string{"x", "y"} {
			a := c.receive("POST")
			if !strings.HasPrefix(string(a.body), fmt.Sprintf("POST /%s/%d ", path, i)) || !strings.HasSuffix(string(a.body), fmt.Sprintf("\r\n\r\n%02d", i)) {
				t.Fatalf("answer %d is %q", i, a.body)
			}
		}
	}
}
