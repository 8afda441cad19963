package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// field is one header line as it was received: exact case, value without the
// blanks around it. Both alias the request's buffer.
type field struct{ name, value []byte }

// requestHead is a request's head as it was received, parsed once. Everything
// aliases the request's buffer and is valid until the request has been answered.
type requestHead struct {
	method []byte
	target []byte // the raw request target in origin form: path, and query if any
	path   []byte // target up to the first '?'
	query  []byte // target after the first '?'; nil when there is none
	// fields are the lines that concern the upstream, in order, duplicates kept.
	// Hop-by-hop lines, and what Connection names, are not among them: a client
	// must not show us a credential that the upstream never sees.
	fields []field
	// websocket: GET with Upgrade: websocket.
	websocket bool

	lines     [][]byte // fields[i] as it was received, without CRLF
	authority []byte   // of an absolute-form target; replaces the Host line
	callID    []byte   // x-litellm-call-id; nil: not sent
	hasHost   bool
	http10    bool
	length    int64 // of the body: noBody, chunkedBody, or its bytes
}

// Body lengths that are no number of bytes.
const (
	noBody      int64 = -2
	chunkedBody int64 = -1
)

// Requests that fasthttp lets pass and we do not, because the next parser might
// read them differently.
var (
	badLine       = &badRequest{"malformed_header", "A header line is malformed: each needs a name, a colon directly after it, and CRLF at its end, without continuation lines."}
	badFraming    = &badRequest{"ambiguous_length", "The request's length is ambiguous: send either Content-Length or Transfer-Encoding: chunked, once."}
	badHost       = &badRequest{"bad_host", "The Host header or the request target holds '@': put credentials into a header instead."}
	badTarget     = &badRequest{"bad_target", "The request target must be a path, or an absolute http or https URL; CONNECT is not supported."}
	badUpgrade    = &badRequest{"bad_upgrade", "A WebSocket handshake must not have a body."}
	badConnection = &badRequest{"malformed_header", "The Connection header names too many headers."}
)

// parse reads the head that fasthttp has accepted. It leaves out hop-by-hop
// lines and reports what must not be forwarded.
func (h *requestHead) parse(r *fasthttp.RequestHeader) *badRequest {
	h.reset()
	h.method = r.Method()
	h.http10 = !r.IsHTTP11()
	if bad := h.parseTarget(r.RequestURI()); bad != nil {
		return bad
	}
	return h.parseFields(r.RawHeaders())
}

func (h *requestHead) reset() {
	clear(h.fields)
	clear(h.lines)
	*h = requestHead{fields: h.fields[:0], lines: h.lines[:0], length: noBody}
}

func (h *requestHead) parseTarget(target []byte) *badRequest {
	if string(h.method) == "CONNECT" {
		return badTarget
	}
	if target[0] != '/' && string(target) != "*" {
		var ok bool
		if h.authority, target, ok = splitAbsolute(target); !ok {
			return badTarget
		}
		if bytes.IndexByte(h.authority, '@') >= 0 {
			return badHost
		}
	}
	h.target, h.path = target, target
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		h.path, h.query = target[:i], target[i+1:]
	}
	return nil
}

// splitAbsolute takes an absolute-form target apart. The target it returns is in
// origin form.
func splitAbsolute(target []byte) (authority, origin []byte, ok bool) {
	scheme, rest, found := bytes.Cut(target, []byte("://"))
	if !found || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return nil, nil, false
	}
	i := bytes.IndexAny(rest, "/?#")
	switch {
	case i < 0:
		return rest, []byte("/"), len(rest) > 0
	case i == 0:
		return nil, nil, false
	case rest[i] == '/':
		return rest[:i], rest[i:], true
	default: // http://host?query has the path "/"
		return rest[:i], append([]byte("/"), rest[i:]...), true
	}
}

// parseFields walks over the raw header lines once.
func (h *requestHead) parseFields(raw []byte) *badRequest {
	var hop hopByHop
	for rest := raw; len(rest) > 0; {
		line, next, ok := cutLine(rest)
		if !ok {
			return badLine
		}
		if len(line) == 0 {
			break
		}
		f, ok := parseField(line)
		if !ok {
			return badLine
		}
		keep, bad := h.see(f, &hop)
		if bad != nil {
			return bad
		}
		if keep {
			h.fields = append(h.fields, f)
			h.lines = append(h.lines, line)
		}
		rest = next
	}
	if hop.named > 0 {
		h.dropNamed(raw)
	}
	return h.finish(&hop)
}

// cutLine takes the next line, which must end in CRLF.
func cutLine(raw []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(raw, '\n')
	if i < 1 || raw[i-1] != '\r' {
		return nil, nil, false
	}
	return raw[:i-1], raw[i+1:], true
}

// parseField reads "name: value". A continuation line has no name and fails.
func parseField(line []byte) (field, bool) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !isToken(line[:colon]) {
		return field{}, false
	}
	return field{name: line[:colon], value: trimBlanks(line[colon+1:])}, true
}

// hopByHop is what a head says about this connection alone.
type hopByHop struct {
	named                      int  // headers that Connection names, beside the usual ones
	upgrade                    bool // Connection names Upgrade
	toWebSocket                bool // Upgrade: websocket
	contentLength, transferEnc bool
}

// mostNamed bounds the headers that Connection may name.
const mostNamed = 32

// see notes what one line means for us. It reports whether the line belongs
// upstream.
func (h *requestHead) see(f field, hop *hopByHop) (keep bool, bad *badRequest) {
	switch len(f.name) {
	case 2:
		return !equalFold(f.name, "te") || equalFold(f.value, "trailers"), nil
	case 4:
		if equalFold(f.name, "host") {
			h.hasHost = true
			if bytes.IndexByte(f.value, '@') >= 0 {
				return false, badHost
			}
		}
	case 6:
		return !equalFold(f.name, "expect"), nil
	case 7:
		if equalFold(f.name, "upgrade") {
			hop.toWebSocket = hop.toWebSocket || equalFold(f.value, "websocket")
			return false, nil
		}
		return !equalFold(f.name, "trailer"), nil
	case 10:
		if equalFold(f.name, "connection") {
			if hop.read(f.value); hop.named > mostNamed {
				return false, badConnection
			}
			return false, nil
		}
		return !equalFold(f.name, "keep-alive"), nil
	case 14:
		if equalFold(f.name, "content-length") {
			hop.contentLength = true
			n, ok := parseLength(f.value)
			if !ok {
				return false, badFraming
			}
			h.length = n
		}
	case 16:
		return !equalFold(f.name, "proxy-connection"), nil
	case 17:
		if equalFold(f.name, "transfer-encoding") {
			if !equalFold(f.value, "chunked") {
				return false, badFraming
			}
			hop.transferEnc = true
			h.length = chunkedBody
		} else if h.callID == nil && equalFold(f.name, "x-litellm-call-id") {
			h.callID = f.value
		}
	}
	return true, nil
}

// read takes the tokens of one Connection line.
func (hop *hopByHop) read(value []byte) {
	for len(value) > 0 {
		var token []byte
		token, value = nextToken(value)
		switch {
		case equalFold(token, "upgrade"):
			hop.upgrade = true
		case len(token) == 0, equalFold(token, "close"), equalFold(token, "keep-alive"), equalFold(token, "te"):
		default:
			hop.named++
		}
	}
}

// finish judges the head as a whole.
func (h *requestHead) finish(hop *hopByHop) *badRequest {
	if hop.contentLength && hop.transferEnc {
		return badFraming
	}
	h.websocket = hop.toWebSocket && hop.upgrade && string(h.method) == "GET"
	if h.websocket && (h.length > 0 || h.length == chunkedBody) {
		return badUpgrade
	}
	return nil
}

// dropNamed removes the lines that a Connection line in raw declares hop-by-hop.
// What frames or routes the request stays: it is not the client's to remove.
func (h *requestHead) dropNamed(raw []byte) {
	kept := 0
	for i, f := range h.fields {
		if namedByConnection(raw, f.name) && !equalFold(f.name, "host") && !equalFold(f.name, "te") &&
			!equalFold(f.name, "content-length") && !equalFold(f.name, "transfer-encoding") {
			if equalFold(f.name, "x-litellm-call-id") {
				h.callID = nil
			}
			continue
		}
		h.fields[kept], h.lines[kept] = f, h.lines[i]
		kept++
	}
	h.fields, h.lines = h.fields[:kept], h.lines[:kept]
}

func namedByConnection(raw, name []byte) bool {
	for {
		line, rest, ok := cutLine(raw)
		if !ok || len(line) == 0 {
			return false
		}
		raw = rest
		f, _ := parseField(line)
		if !equalFold(f.name, "connection") {
			continue
		}
		for list := f.value; len(list) > 0; {
			var token []byte
			if token, list = nextToken(list); sameName(token, name) {
				return true
			}
		}
	}
}

// nextToken takes the first member, which may be empty, off a comma-separated
// list.
func nextToken(list []byte) (token, rest []byte) {
	token, rest, _ = bytes.Cut(list, []byte{','})
	return trimBlanks(token), rest
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// parseLength reads a Content-Length: digits only, at most 18 of them.
func parseLength(value []byte) (int64, bool) {
	if len(value) == 0 || len(value) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// isToken reports whether name is an RFC 9110 token.
func isToken(name []byte) bool {
	for _, c := range name {
		if !tokenBytes[c] {
			return false
		}
	}
	return true
}

var tokenBytes = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// equalFold compares header names, which are ASCII, without regard to case.
// lower must be lower-case.
func equalFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range name {
		if lowerByte(name[i]) != lower[i] {
			return false
		}
	}
	return true
}

// sameName compares two header names without regard to the case of ASCII
// letters.
func sameName(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lowerByte(a[i]) != lowerByte(b[i]) {
			return false
		}
	}
	return true
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
