package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// FuzzProxy sends a client's bytes, in two pieces, through a whole proxy. What
// comes out upstream must be requests that the strictest reader accepts, each of
// them one that the client sent, in its order and not twice, with its body. Every
// answer is HTTP, none is a 402, no hold stays open and nothing hangs.
func FuzzProxy(f *testing.F) {
	for _, seed := range proxySeeds() {
		f.Add([]byte(seed), uint16(len(seed)/2))
	}
	u := newStrictUpstream(f)
	// The deadlines only end what hangs; see feed for how an input ends.
	r := startProxy(f, u.url, func(o *Options) {
		o.HeadTimeout, o.BodyTimeout, o.IdleTimeout = 3*time.Second, 3*time.Second, 3*time.Second
		o.UpstreamIdle = time.Hour
	})
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		u.forget()
		sent := clientRequests(in)
		feed(t, r, in, int(cut), sent)
		waitFor(t, "the proxy to be done with it", func() bool {
			_, _, _, open := r.led.counts()
			return open == 0 && r.conns.none() && u.quiet(r.pool.idleNow())
		})
		u.compare(t, sent)
		r.led.allEnded(t)
		if n := value(t, r, "pursestring_panics_total"); n != 0 {
			t.Errorf("%v panics", n)
		}
	})
}

func (cs *connections) none() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.byID) == 0
}

func (p *pool) idleNow() (idle int, inUse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle), p.inUse > 0
}

// proxySeeds are the ordinary and the known bad.
func proxySeeds() []string {
	const post = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + testKey + "\r\n"
	seeds := []string{
		"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /v1/budget HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + testKey + "\r\n\r\n",
		post + "Content-Length: 31\r\n\r\n{\"model\":\"gpt-4o\",\"stream\":true}GET /x",
		post + "Content-Length: 14\r\n\r\n{\"stream\":true}",
		post + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{\"\r\n4\r\na\":1\r\n1\r\n}\r\n0\r\nT: 1\r\n\r\n",
		post + "Content-Length: 100000\r\n\r\n" + repeat("x", 50_000),
		post + "Content-Length: 20000\r\n\r\n" + repeat("x", 20_000) + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /key/info HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + repeat("x", 150_000),
		"POST /key/info HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + repeat("1000\r\n"+repeat("x", 4096)+"\r\n", 40) + "0\r\n\r\n",
		"GET /sse HTTP/1.0\r\n\r\n",
		"GET /sse HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /sse HTTP/1.0\r\n\r\n",
		"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\nGET /sse HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
		"GET /v1/realtime HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi",
		"GET /x HTTP/1.1\r\nHost: h\r\nConnection: X-Y, host, content-length\r\nX-Y: 1\r\nContent-Length: 2\r\n\r\nhi",
		post + "Authorization: Bearer sk-2\r\nContent-Length: 2\r\n\r\n{}",
		post + "x-api-key: \xff\xfe\r\nContent-Length: 9\r\n\r\n{\"model\":",
		"garbage\r\n\r\n", "\r\n\r\n\r\n", "\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "",
		"GET /x HTTP/1.1\nHost: h\n\n", "GET /x HTTP/1.1\r\nHost: h\r\nX: " + repeat("x", 64<<10) + "\r\n\r\n",
	}
	for _, odd := range oddRequests {
		seeds = append(seeds, odd.in+oddFollower)
	}
	slices.Sort(seeds) // a seed's number is its name
	return seeds
}

// feed sends in and reads every answer. Only when each whole request in it has
// been answered does the client end its side, for that counts as leaving.
func feed(t *testing.T, r *rig, in []byte, cut int, sent []strictRequest) {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	cut = min(cut, len(in))
	var writer sync.WaitGroup
	writer.Go(func() {
		_, err := c.Write(in[:cut])
		if err == nil {
			_, _ = c.Write(in[cut:]) // a refused request may be cut short
		}
	})
	br := bufio.NewReader(c)
	for i := 0; ; i++ {
		if i == len(sent) {
			writer.Wait()
			_ = c.(*net.TCPConn).CloseWrite() // fails where the proxy has closed already
		}
		method := "GET"
		if i < len(sent) {
			method = sent[i].method
		}
		if _, err := br.Peek(1); err != nil {
			// A proxy that has refused what it could not read closes; what was still
			// under way to it may then reset the connection.
			if isTimeout(err) {
				t.Errorf("nothing came in time after %d answers to %d requests", i, len(sent))
			}
			break
		}
		if !readAnswer(t, br, method, i, len(sent)) {
			break
		}
	}
	_ = c.Close()
	writer.Wait()
}

// readAnswer reads one answer and reports whether another may follow.
func readAnswer(t *testing.T, br *bufio.Reader, method string, i, sent int) bool {
	t.Helper()
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		switch {
		case errors.Is(err, syscall.ECONNRESET):
			return false // see feed
		case err != nil:
			t.Errorf("answer %d is not HTTP: %v", i, err)
			return false
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		switch {
		case err != nil && isTimeout(err):
			t.Errorf("answer %d has no end", i)
		case resp.StatusCode == http.StatusPaymentRequired, resp.StatusCode == http.StatusInternalServerError:
			t.Errorf("answer %d has status %d", i, resp.StatusCode)
		case i > sent:
			t.Errorf("%d answers to %d requests", i+1, sent)
		}
		if resp.StatusCode != http.StatusContinue {
			return err == nil && !resp.Close
		}
	}
}

// strictRequest is a request as the strictest reader takes it.
type strictRequest struct {
	method, target string
	lines          []string // without CRLF
	body           string
}

var errNotStrict = errors.New("not what a strict reader accepts")

// clientRequests are the requests that in holds, up to the first that is
// incomplete or that no two readers are sure to understand alike.
func clientRequests(in []byte) (all []strictRequest) {
	br := bufio.NewReaderSize(bytes.NewReader(in), 1<<20)
	for {
		for { // RFC 9112, 2.2: empty lines before a request are to be ignored
			b, err := br.Peek(1)
			if err != nil {
				return all
			}
			if b[0] != '\n' && b[0] != '\r' {
				break
			}
			_, _ = br.Discard(1)
		}
		q, err := readStrict(br, true)
		if err != nil {
			return all
		}
		all = append(all, q)
	}
}

// readStrict reads a request. lenient is what RFC 9112 lets a recipient take from
// a client and nobody may send on: a request line that ends in LF, HTTP/1.0.
func readStrict(br *bufio.Reader, lenient bool) (q strictRequest, err error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return q, err
	}
	if lenient {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r") + "\r\n"
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	words := strings.Split(line, " ")
	if !ok || len(words) != 3 || words[0] == "" || !isToken([]byte(words[0])) || words[1] == "" || hasControl(words[1]) {
		return q, fmt.Errorf("%w: request line %q", errNotStrict, line)
	}
	if words[2] != "HTTP/1.1" && !(lenient && words[2] == "HTTP/1.0") {
		return q, fmt.Errorf("%w: version %q", errNotStrict, words[2])
	}
	q.method, q.target = words[0], words[1]
	length, chunked, err := q.readLines(br, words[2] == "HTTP/1.0")
	switch {
	case err != nil:
		return q, err
	case chunked:
		q.body, err = readStrictChunks(br)
	case length > 0:
		// LimitReader: a length may be any number.
		var body []byte
		body, err = io.ReadAll(io.LimitReader(br, length))
		q.body = string(body)
		if err == nil && int64(len(body)) < length {
			err = io.ErrUnexpectedEOF
		}
	}
	return q, err
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 && c != '\t' || c == 0x7f })
}

// readLines reads the header lines, of which just one may frame the body.
func (q *strictRequest) readLines(br *bufio.Reader, http10 bool) (length int64, chunked bool, err error) {
	var hosts, framings int
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return 0, false, unexpected(err)
		}
		if http10 && line == "\n" && len(q.lines) == 0 {
			break // fasthttp takes it for the end of an empty head; nothing behind it is read
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		if ok && line == "" {
			break
		}
		name, value, colon := strings.Cut(line, ":")
		if !ok || !colon || name == "" || !isToken([]byte(name)) || hasControl(value) {
			return 0, false, fmt.Errorf("%w: line %q", errNotStrict, line)
		}
		q.lines = append(q.lines, line)
		value = strings.Trim(value, " \t")
		switch strings.ToLower(name) {
		case "host":
			hosts++
		case "content-length":
			framings++
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || value[0] == '+' {
				return 0, false, fmt.Errorf("%w: length %q", errNotStrict, value)
			}
			length = int64(n)
		case "transfer-encoding":
			framings++
			if !strings.EqualFold(value, "chunked") || http10 {
				return 0, false, fmt.Errorf("%w: coding %q", errNotStrict, value)
			}
			chunked = true
		}
	}
	if framings > 1 || hosts > 1 || hosts == 0 && !http10 {
		return 0, false, fmt.Errorf("%w: %d framings, %d hosts", errNotStrict, framings, hosts)
	}
	return length, chunked, nil
}

// readStrictChunks reads a chunked body by the grammar of RFC 9112, 7.1; blanks
// before the end of a size line are let pass, and trailers are dropped.
func readStrictChunks(br *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return "", unexpected(err)
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimRight(size, " \t"), 16, 60)
		if !ok || err != nil {
			return "", fmt.Errorf("%w: chunk size %q", errNotStrict, line)
		}
		if n == 0 {
			break
		}
		if _, err := io.CopyN(&body, br, int64(n)); err != nil {
			return "", unexpected(err)
		}
		var end [2]byte
		if _, err := io.ReadFull(br, end[:]); err != nil {
			return "", unexpected(err)
		}
		if string(end[:]) != "\r\n" {
			return "", fmt.Errorf("%w: chunk ends in %q", errNotStrict, end)
		}
	}
	for { // trailers
		line, err := br.ReadString('\n')
		if err != nil {
			return "", unexpected(err)
		}
		if line == "\r\n" {
			return body.String(), nil
		}
		if !strings.HasSuffix(line, "\r\n") || !strings.Contains(line, ":") {
			return "", fmt.Errorf("%w: trailer %q", errNotStrict, line)
		}
	}
}

// strictUpstream keeps the whole requests that it gets, and what is none.
type strictUpstream struct {
	url string

	mu    sync.Mutex
	seen  []strictRequest
	wrong []error
	conns int // open
	busy  int // in the middle of a request or an answer
}

func newStrictUpstream(t testing.TB) *strictUpstream {
	u := &strictUpstream{}
	u.url = rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		u.count(1, 0)
		defer u.count(-1, 0)
		for {
			if _, err := r.Peek(1); err != nil {
				return
			}
			u.count(0, 1)
			more := u.serve(c, r)
			u.count(0, -1)
			if !more {
				return
			}
		}
	})
	return u
}

func (u *strictUpstream) count(conns, busy int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns += conns
	u.busy += busy
}

// serve reads one request and answers it, by its target in one of three forms.
func (u *strictUpstream) serve(c net.Conn, r *bufio.Reader) bool {
	q, err := readStrict(r, false)
	if err != nil && !errors.Is(err, errNotStrict) {
		return false // broken off: not a request
	}
	u.mu.Lock()
	if err != nil {
		u.wrong = append(u.wrong, err)
	} else {
		u.seen = append(u.seen, q)
	}
	u.mu.Unlock()
	answer := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	switch {
	case q.method == "HEAD":
		answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
	case strings.Contains(q.target, "sse") || strings.Contains(q.body, "stream"):
		answer = sseHead + sseEvent + "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
	}
	_, writeErr := io.WriteString(c, answer)
	return err == nil && writeErr == nil
}

// quiet reports that nothing is under way: the proxy's idle connections are all
// there are, and none of them is in use on either side.
func (u *strictUpstream) quiet(idle int, inUse bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !inUse && u.busy == 0 && u.conns == idle
}

func (u *strictUpstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen, u.wrong = nil, nil
}

// compare finds each request that came in one that the client sent, in order and
// each at most once.
func (u *strictUpstream) compare(t *testing.T, sent []strictRequest) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, err := range u.wrong {
		t.Error(err)
	}
	next := 0
	for i := range u.seen {
		found := false
		for ; next < len(sent) && !found; next++ {
			found = cameFrom(&u.seen[i], &sent[next])
		}
		if !found {
			t.Fatalf("upstream saw %.2000q, which the client has not sent, not so, or not again:\n%.2000q", u.seen[i], sent)
		}
	}
}

// cameFrom reports whether a client's request has become this one.
func cameFrom(got, sent *strictRequest) bool {
	target := sent.target
	if _, origin, ok := splitAbsolute([]byte(target)); ok && target[0] != '/' {
		target = string(origin)
	}
	if got.method != sent.method || got.target != target {
		return false
	}
	for _, line := range got.lines {
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "host", "content-length", "transfer-encoding", "x-litellm-call-id":
			continue // ours to write; that they are consistent is the reader's matter
		case "connection", "upgrade":
			if !strings.EqualFold(value, " upgrade") && value != " websocket" {
				return false
			}
			continue
		}
		if !slices.Contains(sent.lines, line) {
			return false
		}
	}
	return got.body == sent.body || got.body == string(withUsage([]byte(sent.body)))
}
