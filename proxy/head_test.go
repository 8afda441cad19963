package proxy

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
)

// echoUpstream answers each request with what it was sent, head and body, as a
// JSON-less text; it counts nothing and never closes.
func echoUpstream(t testing.TB) string {
	return rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		for {
			q, err := readRequest(r)
			if err != nil {
				return
			}
			seen := q.head + q.body
			if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(seen), seen); err != nil {
				return
			}
		}
	})
}

// Every head goes upstream byte for byte, but for what concerns the hop alone.
func TestHeadGoesUpByteForByte(t *testing.T) {
	t.Parallel()
	r := startProxy(t, echoUpstream(t))
	for name, c := range map[string]struct{ in, want string }{
		"case, order, duplicates and blanks stay": {
			"GET /a//b/../c/%2F/%41/?x=%20&&y=?z HTTP/1.1\r\nhOsT: ExAmple.ORG:81\r\nX-b: 1\r\nx-A:  2\t\r\nX-b: 3\r\nCookie: a=1;  b=2\r\nx-litellm-call-id: mine\r\n\r\n", "",
		},
		"no User-Agent, no Content-Type and no Accept are added": {
			"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nx-litellm-call-id: mine\r\n\r\nhi", "",
		},
		"a bare question mark stays": {"GET /x? HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: mine\r\n\r\n", ""},
		"bytes above ASCII stay":     {"GET /x HTTP/1.1\r\nHost: h\r\nX-Name: J\xf6rg \xff\r\nx-litellm-call-id: mine\r\n\r\n", ""},
		"an unknown method is no matter of ours": {
			"PROPFIND /dav HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: mine\r\n\r\n", "",
		},
		"OPTIONS *": {"OPTIONS * HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: mine\r\n\r\n", ""},
		"an empty body says so": {
			"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nx-litellm-call-id: mine\r\n\r\n", "",
		},
		"hop-by-hop lines end here, and what Connection names": {
			"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close, X-Private\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nTrailer: X-T\r\nUpgrade: h2c\r\nx-private: 1\r\nx-litellm-call-id: mine\r\nX-Kept: 1\r\n\r\n",
			"GET /x HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: mine\r\nX-Kept: 1\r\n\r\n",
		},
		"TE: trailers stays": {
			"GET /x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\nx-litellm-call-id: mine\r\n\r\n",
			"GET /x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nx-litellm-call-id: mine\r\n\r\n",
		},
		"Connection cannot remove the host or the framing": {
			"POST /x HTTP/1.1\r\nHost: h\r\nConnection: host, content-length, transfer-encoding\r\nContent-Length: 2\r\nx-litellm-call-id: mine\r\n\r\nhi",
			"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nx-litellm-call-id: mine\r\n\r\nhi",
		},
		"an absolute target becomes its path, and its host the host": {
			"GET http://other:81/p?q=1 HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: mine\r\n\r\n",
			"GET /p?q=1 HTTP/1.1\r\nHost: other:81\r\nx-litellm-call-id: mine\r\n\r\n",
		},
		"an absolute target without a path": {
			"GET http://other?q HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: mine\r\n\r\n",
			"GET /?q HTTP/1.1\r\nHost: other\r\nx-litellm-call-id: mine\r\n\r\n",
		},
		"Expect is answered here": {
			"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\nx-litellm-call-id: mine\r\n\r\nhi",
			"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nx-litellm-call-id: mine\r\n\r\nhi",
		},
		"on a metered route the answer must come uncompressed": {
			"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nContent-Length: 2\r\nx-litellm-call-id: mine\r\n\r\n{}",
			"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nx-litellm-call-id: mine\r\n\r\n{}",
		},
	} {
		want := c.want
		if want == "" {
			want = c.in
		}
		cl := r.dial(t)
		cl.send("%s", c.in)
		a := cl.receive("GET")
		if strings.Contains(c.in, "Expect") && a.StatusCode == 100 {
			a = cl.receive("GET")
		}
		if got := string(a.body); got != want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

// What is added is a call id, and for HTTP/1.0 a host; a chunked body is framed
// by us.
func TestHeadAdditions(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	r := startProxy(t, upstream)
	for name, c := range map[string]struct{ in, want string }{
		"a call id is made where the client sent none": {
			"GET /x HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n",
			`^GET /x HTTP/1\.1\r\nHost: h\r\nX: 1\r\nx-litellm-call-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\r\n\r\n$`,
		},
		"a call id that Connection removes is replaced": {
			"GET /x HTTP/1.1\r\nHost: h\r\nx-litellm-call-id: mine\r\nConnection: x-litellm-call-id\r\n\r\n",
			`^GET /x HTTP/1\.1\r\nHost: h\r\nx-litellm-call-id: [0-9a-f-]{36}\r\n\r\n$`,
		},
		"HTTP/1.0 without a host gets the upstream's": {
			"GET /x HTTP/1.0\r\nx-litellm-call-id: mine\r\n\r\n",
			`^GET /x HTTP/1\.1\r\nHost: ` + regexp.QuoteMeta(strings.TrimPrefix(upstream, "http://")) + `\r\nx-litellm-call-id: mine\r\n\r\n$`,
		},
		"a small chunked body of a costing call has a length": {
			"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX: 1\r\nx-litellm-call-id: mine\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nT: 1\r\n\r\n",
			`^POST /v1/chat/completions HTTP/1\.1\r\nHost: h\r\nContent-Length: 2\r\nX: 1\r\nx-litellm-call-id: mine\r\n\r\n{}$`,
		},
		"a chunked body of a free call stays chunked": {
			"POST /key/info HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nx-litellm-call-id: mine\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
			`^POST /key/info HTTP/1\.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nx-litellm-call-id: mine\r\n\r\n{}$`,
		},
	} {
		if got := string(r.call(t, c.in).body); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s: got %q, want match of %s", name, got, c.want)
		}
	}
}

// What another parser might read differently is refused, and never goes up.
func TestSmugglingShapesAreRefused(t *testing.T) {
	t.Parallel()
	var up counter32
	r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := r.ReadByte(); err == nil {
			up.add()
		}
	}))
	for name, in := range map[string]string{
		"length and chunks":         "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":               "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
		"the same length twice":     "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
		"a list of lengths":         "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4, 4\r\n\r\nabcd",
		"a signed length":           "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\nab",
		"an endless length":         "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\nab",
		"two codings":               "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a coding we do not know":   "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"identity":                  "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: identity\r\n\r\nab",
		"chunks in HTTP/1.0":        "POST /x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a blank before the colon":  "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length : 4\r\n\r\nabcd",
		"a blank inside a name":     "GET /x HTTP/1.1\r\nHost: h\r\nX Y: 4\r\n\r\n",
		"a continuation line":       "GET /x HTTP/1.1\r\nHost: h\r\nX: 1\r\n 2\r\n\r\n",
		"a continued coding":        "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"bare LF":                   "GET /x HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n",
		"bare LF in the blank line": "GET /x HTTP/1.1\r\nHost: h\r\n\n\r\n\r\n",
		"bare CR":                   "GET /x HTTP/1.1\r\nHost: h\r\nX: 1\rY: 2\r\n\r\n",
		"NUL":                       "GET /x HTTP/1.1\r\nHost: h\r\nX: 1\x002\r\n\r\n",
		"two hosts":                 "GET /x HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
		"no host":                   "GET /x HTTP/1.1\r\n\r\n",
		"credentials in the host":   "GET /x HTTP/1.1\r\nHost: user:pw@h\r\n\r\n",
		"credentials in the target": "GET http://user@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"another scheme":            "GET ftp://h/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"no slash":                  "GET x HTTP/1.1\r\nHost: h\r\n\r\n",
		"CONNECT":                   "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n",
		"a line without a colon":    "GET /x HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n",
		"no name":                   "GET /x HTTP/1.1\r\nHost: h\r\n: 1\r\n\r\n",
		"HTTP/2.0":                  "GET /x HTTP/2.0\r\nHost: h\r\n\r\n",
		"no version":                "GET /x\r\nHost: h\r\n\r\n",
		"TLS on a plain port":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"Connection names too much": "GET /x HTTP/1.1\r\nHost: h\r\nConnection: " + strings.TrimSuffix(repeat("x-y, ", 40), ", ") + "\r\n\r\n",
		"a handshake with a body":   "GET /v1/realtime HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
		"a head over the limit":     "GET /x HTTP/1.1\r\nHost: h\r\nX: " + repeat("x", 17<<10) + "\r\n\r\n",
		"a target over the limit":   "GET /" + repeat("x", 17<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"chunk size with a sign":    "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
		"chunk without its end":     "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
		"LF in a chunk extension":   "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
		"a body that stops":         "", // below
	} {
		if in == "" {
			continue
		}
		a := r.call(t, in)
		if a.StatusCode < 400 || a.StatusCode > 505 || a.StatusCode == 402 {
			t.Errorf("%s: answered %d", name, a.StatusCode)
		}
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") || !strings.Contains(string(a.body), `"code"`) {
			t.Errorf("%s: answered %q without a code of its own", name, a.body)
		}
		if strings.Contains(string(a.body), "nonsense") || strings.Contains(string(a.body), "user") {
			t.Errorf("%s: the answer quotes the request: %q", name, a.body)
		}
	}
	if n := up.get(); n != 0 {
		t.Errorf("%d refused requests reached the upstream", n)
	}
}

// A credential that Connection declares hop-by-hop is not sent up, so it must
// not be the one we charge.
func TestConnectionCannotHideTheChargedKey(t *testing.T) {
	t.Parallel()
	r := startProxy(t, echoUpstream(t))
	asked := make(chan string, 1)
	r.led.decide = func(ask *askType) decisionType {
		asked <- string(ask.Credential)
		return allow()
	}
	a := r.call(t, "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nx-litellm-api-key: sk-test-somebody-else\r\nAuthorization: Bearer "+testKey+
		"\r\nConnection: X-LiteLLM-API-Key\r\nContent-Length: 2\r\n\r\n{}")
	if strings.Contains(string(a.body), "somebody") {
		t.Errorf("a line that Connection names went upstream: %q", a.body)
	}
	if got := <-asked; got != testKey {
		t.Errorf("charged %q, want the key that went upstream", got)
	}
}

func BenchmarkHead(b *testing.B) {
	raw := []byte("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + testKey + "\r\nUser-Agent: OpenAI/Python 1.0\r\nContent-Type: application/json\r\nAccept: */*\r\nX-Stainless-Lang: python\r\nX-Stainless-Os: Linux\r\nContent-Length: 2\r\n\r\n")
	q := mustReadHead(b, raw)
	var h requestHead
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if bad := h.parse(q); bad != nil {
			b.Fatal(bad.message)
		}
		out = h.appendTo(out[:0], upstreamHead{length: 2, callID: []byte("id")})
	}
}
