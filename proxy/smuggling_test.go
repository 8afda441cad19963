package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// recordingUpstream answers each request with 200 and keeps what it was sent,
// head and body.
type recordingUpstream struct {
	url string

	mu   sync.Mutex
	seen []string
}

func newRecordingUpstream(t testing.TB) *recordingUpstream {
	u := &recordingUpstream{}
	u.url = rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		for {
			q, err := readRequest(r)
			if err != nil {
				return
			}
			u.mu.Lock()
			u.seen = append(u.seen, q.head+q.body)
			u.mu.Unlock()
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	return u
}

func (u *recordingUpstream) requests() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.seen...)
}

// oddRequest is a request that two parsers might read differently, and what
// becomes of it here.
type oddRequest struct {
	in     string
	status int
	code   string // of our own answer; "" when the request is forwarded
	up     string // what goes upstream, where that differs from in; UPSTREAM and UUID stand for what varies
	closes bool   // nothing more is read from the client's connection
}

// What follows each odd request on its connection. A parser that ends the odd
// one in the wrong place would see something else.
const oddFollower = "GET /follower HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: f\r\n\r\n"

// refused is an odd request that we answer ourselves and that ends its
// connection.
func refused(in string, status int, code string) oddRequest {
	return oddRequest{in: in, status: status, code: code, closes: true}
}

const (
	oddHead = " HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: i\r\n"
	oddPost = "POST /x" + oddHead
	oddChat = "POST /v1/chat/completions" + oddHead
	// oddInner is what a smuggler hides in a body.
	oddInner = "GET /inner HTTP/1.1\r\nHost: h\r\n\r\n"
)

var oddRequests = map[string]oddRequest{
	// Framing.
	"a length and chunks": refused(
		oddPost+"Content-Length: 38\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+oddInner, 400, "ambiguous_length"),
	"chunks and a length": refused(
		oddPost+"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"+oddInner, 400, "ambiguous_length"),
	"chunks and a length of 0, on a route that costs": refused(
		oddChat+"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400, "ambiguous_length"),
	"a coding behind chunked": refused(
		oddPost+"Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n"+oddInner, 400, "malformed_request"),
	"a coding that only ends like chunked": refused(
		oddPost+"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"+oddInner, 400, "malformed_request"),
	"chunked with a parameter": refused(
		oddPost+"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"+oddInner, 400, "malformed_request"),
	"a vertical tab before chunked": refused(
		oddPost+"Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"+oddInner, 400, "malformed_request"),
	"an empty coding beside a length": refused(
		oddPost+"Content-Length: 2\r\nTransfer-Encoding:\r\n\r\nab", 400, "malformed_request"),
	"identity alone": refused(
		oddPost+"Transfer-Encoding: identity\r\n\r\n", 400, "ambiguous_length"),
	"chunked, twice": refused(
		oddPost+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_request"),
	"chunks in HTTP/1.0": refused(
		"POST /x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_request"),
	"chunked in capitals": {
		in: oddPost + "TRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nab\r\n0\r\n\r\n", status: 200,
		up: oddPost + "Transfer-Encoding: chunked\r\n\r\nab"},
	"two different lengths": refused(
		oddPost+"Content-Length: 2\r\nContent-Length: 0\r\n\r\nab", 400, "malformed_request"),
	"the same length twice": refused(
		oddPost+"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400, "malformed_request"),
	"a list of lengths": refused(
		oddPost+"Content-Length: 2, 2\r\n\r\nab", 400, "malformed_request"),
	"a signed length": refused(
		oddPost+"Content-Length: +2\r\n\r\nab", 400, "malformed_request"),
	"a negative length": refused(
		oddPost+"Content-Length: -2\r\n\r\nab", 400, "malformed_request"),
	"a hexadecimal length": refused(
		oddPost+"Content-Length: 0x2\r\n\r\nab", 400, "malformed_request"),
	"an empty length": refused(
		oddPost+"Content-Length:\r\n\r\nab", 400, "malformed_request"),
	"a length with a blank inside": refused(
		oddPost+"Content-Length: 1 2\r\n\r\nab", 400, "malformed_request"),
	"a length beyond all bounds": refused(
		oddPost+"Content-Length: 99999999999999999999\r\n\r\nab", 400, "malformed_request"),
	"a length over max_body_bytes": refused(
		oddPost+"Content-Length: 999999999999999999\r\n\r\n"+repeat("x", 9<<10), 413, "body_too_large"),
	"blanks around a length are allowed": {
		in: oddPost + "Content-Length: \t 2 \t\r\n\r\nab", status: 200,
		up: oddPost + "Content-Length: 2\r\n\r\nab"},
	"a length with leading zeros": {
		in: oddPost + "Content-Length: 0002\r\n\r\nab", status: 200,
		up: oddPost + "Content-Length: 2\r\n\r\nab"},
	"a request inside a body stays there": {
		in: oddPost + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(oddInner), oddInner), status: 200},
	"a GET with a body": {
		in: "GET /x" + oddHead + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(oddInner), oddInner), status: 200},
	"a HEAD with a body": {
		in: "HEAD /x" + oddHead + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(oddInner), oddInner), status: 200},
	"a GET with chunks": {
		in: "GET /x" + oddHead + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", status: 200,
		up: "GET /x" + oddHead + "Transfer-Encoding: chunked\r\n\r\nab"},
	"a chunk with a signed size": refused(
		oddChat+"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n", 400, "malformed_body"),
	"a chunk longer than its size": refused(
		oddChat+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n", 400, "malformed_body"),
	"a chunk size too large for any number": refused(
		oddChat+"Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n{}\r\n0\r\n\r\n", 400, "malformed_body"),
	"LF ends a chunk's extension": refused(
		oddChat+"Transfer-Encoding: chunked\r\n\r\n2;a\nxx\r\n{}\r\n0\r\n\r\n", 400, "malformed_body"),
	"LF ends a chunk's size": refused(
		oddChat+"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", 400, "malformed_body"),

	// Header lines.
	"a continuation line": refused(
		oddPost+"X: 1\r\n 2\r\nContent-Length: 0\r\n\r\n", 400, "malformed_header"),
	"a continued length": refused(
		oddPost+"Content-Length:\r\n 2\r\n\r\nab", 400, "ambiguous_length"),
	"a continuation as the first line": refused(
		"GET /x HTTP/1.1\r\n X: 1\r\nHost: h\r\n\r\n", 400, "malformed_request"),
	"a bare LF inside a head": refused(
		"GET /x HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n", 400, "malformed_header"),
	"bare LF throughout": refused(
		"GET /x HTTP/1.1\nHost: h\n\n", 400, "malformed_header"),
	"a bare CR": refused(
		"GET /x HTTP/1.1\r\nHost: h\r\nX: 1\rY: 2\r\n\r\n", 400, "malformed_request"),
	"NUL in a value": refused(
		"GET /x HTTP/1.1\r\nHost: h\r\nX: 1\x002\r\n\r\n", 400, "malformed_request"),
	"NUL in a name": refused(
		"GET /x HTTP/1.1\r\nHost: h\r\nX\x00: 1\r\n\r\n", 400, "malformed_request"),
	"a blank before the colon": refused(
		oddPost+"Content-Length : 2\r\n\r\nab", 400, "malformed_request"),
	"a tab before the colon": refused(
		oddPost+"Content-Length\t: 2\r\n\r\nab", 400, "malformed_request"),
	"a blank inside a name": refused(
		"GET /x"+oddHead+"Content Length: 2\r\n\r\n", 400, "malformed_header"),
	"a line without a colon": refused(
		"GET /x"+oddHead+"nonsense\r\n\r\n", 400, "malformed_request"),
	"no name": refused(
		"GET /x"+oddHead+": 1\r\n\r\n", 400, "malformed_request"),
	"a head over the limit": refused(
		"GET /x"+oddHead+"X: "+repeat("x", 17<<10)+"\r\n\r\n", 431, "head_too_large"),
	"10,000 headers": refused(
		"GET /x"+oddHead+repeat("a: b\r\n", 10_000)+"\r\n", 431, "head_too_large"),
	"as many headers as fit": {
		in: "GET /x" + oddHead + repeat("a: b\r\n", 2_700) + "\r\n", status: 200},

	// Hosts and targets.
	"no host": refused(
		"GET /x HTTP/1.1\r\n\r\n", 400, "malformed_request"),
	"an empty host": refused(
		"GET /x HTTP/1.1\r\nHost:\r\n\r\n", 400, "malformed_request"),
	"two hosts": refused(
		"GET /x HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400, "malformed_request"),
	"credentials in the host": refused(
		"GET /x HTTP/1.1\r\nHost: u:p@h\r\n\r\n", 400, "bad_host"),
	"credentials in the target": refused(
		"GET http://u@h/x"+oddHead+"\r\n", 400, "bad_host"),
	"an absolute target names another host": {
		in: "GET http://other/x?y" + oddHead + "\r\n", status: 200,
		up: "GET /x?y HTTP/1.1\r\nHost: other\r\nx-litellm-call-id: i\r\n\r\n"},
	"an absolute target without a host": refused(
		"GET http:///x"+oddHead+"\r\n", 400, "bad_target"),
	"another scheme": refused(
		"GET ftp://h/x"+oddHead+"\r\n", 400, "bad_target"),
	"an authority as the target": refused(
		"GET h:80"+oddHead+"\r\n", 400, "malformed_request"),
	"CONNECT": refused(
		"CONNECT h:443"+oddHead+"\r\n", 400, "bad_target"),
	"OPTIONS *": {in: "OPTIONS *" + oddHead + "\r\n", status: 200},
	"GET *": refused(
		"GET *"+oddHead+"\r\n", 400, "malformed_request"),

	// Request lines.
	"three blanks": refused(
		"GET /x y HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed_request"),
	"two blanks before the target": refused(
		"GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed_request"),
	"two blanks before the version": refused(
		"GET /x  HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed_request"),
	"a control byte in the target": refused(
		"GET /x\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed_request"),
	"a method in lower case is another method": {
		in: "get /x" + oddHead + "\r\n", status: 200},
	"an empty line before the request": {
		in: "\r\nGET /x" + oddHead + "\r\n", status: 200,
		up: "GET /x" + oddHead + "\r\n"},
	"an empty HTTP/1.0 head that ends in LF is read, and nothing behind it": {
		in: "GET /x HTTP/1.0\r\n\n" + oddInner, status: 200, closes: true,
		up: "GET /x HTTP/1.1\r\nHost: UPSTREAM\r\nx-litellm-call-id: UUID\r\n\r\n"},
	"HTTP/0.9": refused(
		"GET /x\r\n", 400, "malformed_request"),
	"HTTP/1.2 is none that we know": refused(
		"GET /x HTTP/1.2\r\nHost: h\r\n\r\n", 505, "http_version"),
	"the preface of HTTP/2": refused(
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed_request"),
	"TLS on a plain port": refused(
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "malformed_request"),

	// Credentials.
	"two different keys in one place": refused(
		oddChat+"Authorization: Bearer sk-test-1\r\nauthorization: Bearer sk-test-2\r\nContent-Length: 2\r\n\r\n{}", 400, "duplicate_credential"),
	"two different keys, without a body": {
		in: "GET /x" + oddHead + "Authorization: Bearer sk-test-1\r\nauthorization: Bearer sk-test-2\r\n\r\n", status: 400, code: "duplicate_credential"},
	"the same key twice": {
		in: oddChat + "Authorization: Bearer sk-test-1\r\nAuthorization: Bearer sk-test-1\r\nContent-Length: 2\r\n\r\n{}", status: 200},
	"an empty key": {
		in: oddChat + "Authorization: Bearer \r\nContent-Length: 2\r\n\r\n{}", status: 200},
	"a key that is not UTF-8": {
		in: oddChat + "Authorization: Bearer sk-\xff\xfe\x80\r\nContent-Length: 2\r\n\r\n{}", status: 200},
	"a key of 64 KiB": refused(
		oddChat+"Authorization: Bearer "+repeat("k", 64<<10)+"\r\nContent-Length: 2\r\n\r\n{}", 431, "head_too_large"),
	"a key of 15 KiB": {
		in: oddChat + "Authorization: Bearer " + repeat("k", 15<<10) + "\r\nContent-Length: 2\r\n\r\n{}", status: 200},

	// Bodies.
	"a chat body that is not JSON": {
		in: oddChat + "Content-Length: 9\r\n\r\n{\"model\":", status: 200},
	"a chat body of any bytes": {
		in: oddChat + "Content-Length: 4\r\n\r\n\x00\xff\r\n", status: 200},
	"a chat without a body": {
		in: oddChat + "\r\n", status: 200},
}

// Each odd request is refused with a code, or goes upstream once and in one
// reading; what follows it on its connection is answered by itself or not at all.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	for name, c := range oddRequests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newRecordingUpstream(t)
			r := startProxy(t, u.url, func(o *Options) { o.HeadTimeout = 5 * time.Second })
			cl := r.dial(t)
			// In one write: what comes after a close would reset the connection.
			cl.send("%s%s", c.in, oddFollower)
			method, _, _ := strings.Cut(strings.TrimLeft(c.in, "\r\n"), " ")
			a := cl.receive(method)
			c.checkAnswer(t, a)
			if !c.closes {
				if f := cl.receive("GET"); f.StatusCode != 200 || a.Close {
					t.Errorf("the request behind it was answered %d; the answer before said close: %v", f.StatusCode, a.Close)
				}
			} else if !a.Close {
				t.Error("the answer does not say that the connection closes")
			} else if rest, err := io.ReadAll(cl.r); err != nil || len(rest) != 0 {
				t.Errorf("after the refusal came %q, %v", rest, err)
			}
			c.up = strings.Replace(c.up, "UPSTREAM", strings.TrimPrefix(u.url, "http://"), 1)
			c.checkUpstream(t, u.requests())
			if n := value(t, r, "pursestring_panics_total"); n != 0 {
				t.Errorf("%v panics", n)
			}
		})
	}
}

var ownError = regexp.MustCompile(`"code":\s*"([a-z_]+)"`)

func (c *oddRequest) checkAnswer(t *testing.T, a response) {
	t.Helper()
	if a.StatusCode != c.status || a.err != nil {
		t.Errorf("answered %d %q, %v, want %d", a.StatusCode, a.body, a.err, c.status)
	}
	if c.code == "" {
		return
	}
	if got := ownError.FindSubmatch(a.body); len(got) != 2 || string(got[1]) != c.code || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("answered %s %q, want code %q", a.Header.Get("Content-Type"), a.body, c.code)
	}
	for _, quoted := range []string{"nonsense", "sk-test-", "u:p"} {
		if strings.Contains(string(a.body), quoted) {
			t.Errorf("the answer quotes the request: %q", a.body)
		}
	}
}

// madeUp is a call id that we have made up.
var madeUp = regexp.MustCompile(`(x-litellm-call-id: )[0-9a-f-]{36}`)

func (c *oddRequest) checkUpstream(t *testing.T, seen []string) {
	t.Helper()
	var want []string
	if c.code == "" {
		want = append(want, c.in)
		if c.up != "" {
			want[0] = c.up
		}
	}
	if !c.closes {
		want = append(want, oddFollower)
	}
	if len(seen) != len(want) {
		t.Fatalf("upstream saw %d requests, want %d: %.500q", len(seen), len(want), seen)
	}
	for i := range want {
		if seen[i] = madeUp.ReplaceAllString(seen[i], "${1}UUID"); seen[i] != want[i] {
			t.Errorf("upstream saw\n%.500q, want\n%.500q", seen[i], want[i])
		}
	}
}

// A head of bare LFs has no end for us: it is answered when its time is over,
// and nothing of it goes upstream.
func TestHeadThatNeverEnds(t *testing.T) {
	t.Parallel()
	u := newRecordingUpstream(t)
	r := startProxy(t, u.url, func(o *Options) { o.HeadTimeout = 100 * time.Millisecond })
	for _, in := range []string{"GET /x HTTP/1.1\nHost: h\n\n", "GET /x HTTP/1.1\r\nHost: h\r\n", "GET /x"} {
		a := r.call(t, in)
		if got := ownError.FindSubmatch(a.body); a.StatusCode != 408 || !a.Close || len(got) != 2 || string(got[1]) != "request_timeout" {
			t.Errorf("%q: answered %d %q, closes: %v", in, a.StatusCode, a.body, a.Close)
		}
	}
	if seen := u.requests(); len(seen) != 0 {
		t.Errorf("upstream saw %q", seen)
	}
}

// A body that ends before its length goes nowhere as a whole one, also from a
// client that only ends its own side and waits.
func TestBodyShorterThanItsLength(t *testing.T) {
	t.Parallel()
	for watch, newWatch := range watches {
		for _, path := range []string{"/v1/chat/completions", "/key/info"} {
			t.Run(watch+path, func(t *testing.T) {
				t.Parallel()
				u := newRecordingUpstream(t)
				r := startProxy(t, u.url, func(o *Options) { o.watch = newWatch })
				for _, sent := range []int{1, 20_000, 59_999} {
					c := r.dial(t)
					c.send("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n%s", path, repeat("x", sent))
					c.leave("half-closed")
					if a := c.receive("POST"); a.StatusCode != 400 || !a.Close {
						t.Errorf("%d of 60000 bytes are answered %d, closes: %v", sent, a.StatusCode, a.Close)
					}
				}
				if n := len(u.requests()); n != 0 {
					t.Errorf("%d parts went upstream as a whole", n)
				}
				r.led.allEnded(t)
				if _, settled, _, _ := r.led.counts(); settled != 0 {
					t.Errorf("%d calls that were not made cost something", settled)
				}
			})
		}
	}
}
