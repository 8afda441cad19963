package proxy

import (
	"bytes"

	"github.com/pursestring/pursestring/enforce"
)

// credential is the one that LiteLLM will charge.
type credential struct {
	key   []byte // as hashed by LiteLLM: without "Bearer "; aliases the head
	kind  enforce.CredentialKind
	place string // for messages: "header authorization", "query key", …
}

// badRequest is a request that is refused with 400 before anything is decided.
type badRequest struct {
	code    string // snake_case, for the body and the log
	message string // names the value's place and the remedy, never a credential
}

// place is one place where LiteLLM looks for a key.
type place struct {
	header string // lower-case; "" with query
	query  string // parameter's name; "" with header
	form   form
}

// form is how a key is written in its place. All of them yield what LiteLLM
// hashes, or nothing where LiteLLM reads nothing.
type form uint8

const (
	raw           form = iota
	bearer             // "Bearer k", "bearer k", "Basic k" undecoded, AWS4-HMAC-SHA256; anything else is empty
	bearerOrRaw        // as bearer, or the value as it is
	bearerTwice        // as bearerOrRaw, and the result as afterBearer
	afterBearer        // LiteLLM puts "Bearer " before it and reads the result as bearer
	bearerOnly         // "Bearer k", blanks around k cut; anything else is empty
	basicPassword      // base64 of "x:k", with or without "Basic " before it
	subprotocol        // a WebSocket subprotocol openai-insecure-api-key.k
)

// The table of LiteLLM 1.106 (proxy/auth/user_api_key_auth.py). In each list
// the first place with a value decides, whether or not its key is any good.
var (
	// general is the order on routes that are named nowhere below.
	general = []place{
		{header: "x-litellm-api-key", form: bearerOrRaw},
		{header: "authorization", form: bearer},
		{header: "api-key", form: raw},
		{header: "x-api-key", form: raw},
		{header: "x-goog-api-key", form: raw},
		{header: "ocp-apim-subscription-key", form: raw},
	}
	// googleQuery comes last on paths with generateContent in them.
	googleQuery = place{query: "key", form: raw}

	// gemini reads nothing else: no x-litellm-api-key, no Authorization.
	gemini = []place{
		{query: "key", form: afterBearer},
		{header: "x-goog-api-key", form: afterBearer},
	}
	// vertex authenticates twice, first in the general order, then with these;
	// the second pays. It refuses when either fails.
	vertex = []place{
		{header: "x-litellm-api-key", form: afterBearer},
		{header: "authorization", form: bearer},
	}
	langfuse = []place{
		{header: "authorization", form: basicPassword},
	}
	mcp = []place{
		{header: "x-litellm-api-key", form: bearerTwice},
		{header: "authorization", form: bearer},
	}
	webSocket = []place{
		{header: "authorization", form: bearerOnly},
		{header: "api-key", form: afterBearer},
		{header: "sec-websocket-protocol", form: subprotocol},
	}

	// override replaces all others on every path that begins with a
	// pass-through prefix, also when it is empty.
	override = place{header: "litellm_user_api_key", form: raw}
)

// credentialRules is the table of places, with the operator's settings. It is
// read-only and safe for concurrent use.
type credentialRules struct {
	keyHeader string // litellm.key_header, lower-case; empty: not set
	// rootPaths as in routeRules.
	rootPaths []string
	// serverRootPath: LiteLLM runs with SERVER_ROOT_PATH. Then it never reads
	// litellm_user_api_key, because it strips the root path a second time from a
	// route that has none left (normalize_route_for_root_path in proxy/utils.py).
	// SERVER_ROOT_PATHS has no such effect.
	serverRootPath bool
}

// find returns the credential that LiteLLM will charge for the request, or a
// bad request when two different values stand in the place that decides.
func (c *credentialRules) find(h *requestHead) (credential, *badRequest) {
	path := c.path(h)
	if h.websocket {
		// Refused at once when these hold no key, whatever would replace it.
		if found, bad := first(h, webSocket); bad != nil || len(found.key) == 0 {
			return found, bad
		}
	}
	if !c.serverRootPath && beginsWithPassThrough(path) && has(h, override.header) {
		return read(h, override, true)
	}
	if c.keyHeader != "" {
		return read(h, place{header: c.keyHeader, form: bearer}, true)
	}
	switch {
	case h.websocket:
		return first(h, webSocket)
	case under(path, "/gemini"):
		return first(h, gemini)
	case under(path, "/vertex_ai"), under(path, "/vertex-ai"):
		return firstOrGoogleQuery(h, path, vertex)
	case under(path, "/langfuse"):
		return first(h, langfuse)
	case isMCP(path):
		return first(h, mcp)
	}
	return firstOrGoogleQuery(h, path, general)
}

// path is what LiteLLM routes by: percent-decoded once and nothing else (an
// unclean path is a 404 there), without its root path.
func (c *credentialRules) path(h *requestHead) []byte {
	path := h.path
	if bytes.IndexByte(path, '%') >= 0 {
		path = percentDecode(path, false)
	}
	for _, root := range c.rootPaths {
		if rest, ok := cutPathPrefix(path, root); ok {
			return rest
		}
	}
	return path
}

// beginsWithPassThrough is LiteLLM's plain test of the string, which takes
// /openairports for /openai.
func beginsWithPassThrough(path []byte) bool {
	for i := range passThroughs {
		if p := passThroughs[i].prefix; len(path) >= len(p) && string(path[:len(p)]) == p {
			return true
		}
	}
	return false
}

func under(path []byte, prefix string) bool {
	rest, ok := cutPathPrefix(path, prefix)
	return ok && len(rest) > 1
}

// isMCP: /mcp…, /{server}/mcp, /toolset/{name}/mcp.
func isMCP(path []byte) bool {
	if _, ok := cutPathPrefix(path, "/mcp"); ok {
		return true
	}
	if _, ok := matchPattern("/{}/mcp", path); ok {
		return true
	}
	_, ok := matchPattern("/toolset/{}/mcp", path)
	return ok
}

func has(h *requestHead, header string) bool {
	for i := range h.fields {
		if equalFold(h.fields[i].name, header) {
			return true
		}
	}
	return false
}

// firstOrGoogleQuery reads ?key= after all the headers, where the path says
// generateContent or streamGenerateContent.
func firstOrGoogleQuery(h *requestHead, path []byte, places []place) (credential, *badRequest) {
	found, bad := first(h, places)
	if bad != nil || found.place != "" || len(h.query) == 0 || !namesGenerateContent(path) {
		return found, bad
	}
	return read(h, googleQuery, false)
}

func namesGenerateContent(path []byte) bool {
	return bytes.Contains(path, []byte("generateContent")) || bytes.Contains(path, []byte("streamGenerateContent"))
}

// first returns what stands in the first place that is not empty.
func first(h *requestHead, places []place) (credential, *badRequest) {
	for _, p := range places {
		found, bad := read(h, p, false)
		if bad != nil || found.place != "" {
			return found, bad
		}
	}
	return credential{}, nil
}

// read reads one place. An empty place leaves credential.place empty, unless
// decides says that it replaces the others all the same. A place with a value in
// which LiteLLM reads no key decides as well: with no credential.
func read(h *requestHead, p place, decides bool) (credential, *badRequest) {
	value, differ := p.value(h)
	switch {
	case differ:
		return credential{}, &badRequest{
			code: "duplicate_credential",
			message: "The request has two different values in " + p.String() +
				", so it is not clear who would pay for it. Send exactly one.",
		}
	case len(value) == 0 && !decides:
		return credential{}, nil
	}
	found := credential{key: p.form.key(value), place: p.String()}
	switch {
	case len(found.key) == 0:
		found.key = nil
		// No subprotocol with a key in it is no place at all.
		if p.form == subprotocol {
			found.place = ""
		}
	case bytes.HasPrefix(found.key, []byte("sk-")):
		found.kind = enforce.VirtualKey
	default:
		found.kind = enforce.OtherCredential
	}
	return found, nil
}

// String names the place for people.
func (p place) String() string {
	// Constant strings for the places of the table: this is on the request path.
	switch p.header {
	case "":
		return "query parameter key"
	case "authorization":
		return "header authorization"
	case "x-litellm-api-key":
		return "header x-litellm-api-key"
	case "api-key":
		return "header api-key"
	case "x-api-key":
		return "header x-api-key"
	case "x-goog-api-key":
		return "header x-goog-api-key"
	case "ocp-apim-subscription-key":
		return "header ocp-apim-subscription-key"
	case "litellm_user_api_key":
		return "header litellm_user_api_key"
	case "sec-websocket-protocol":
		return "header sec-websocket-protocol"
	}
	return "header " + p.header
}

// value returns what stands in the place, and whether a second, different value
// stands there too: LiteLLM would take the first of some and the last of others.
func (p place) value(h *requestHead) (value []byte, differ bool) {
	if p.query != "" {
		return queryValue(h.query, p.query)
	}
	found := false
	for i := range h.fields {
		if !equalFold(h.fields[i].name, p.header) {
			continue
		}
		if found && !bytes.Equal(value, h.fields[i].value) {
			return nil, true
		}
		value, found = h.fields[i].value, true
	}
	return value, false
}

func queryValue(query []byte, name string) (value []byte, differ bool) {
	found := false
	for len(query) > 0 {
		pair := query
		if amp := bytes.IndexByte(query, '&'); amp >= 0 {
			pair, query = query[:amp], query[amp+1:]
		} else {
			query = nil
		}
		k, v, _ := bytes.Cut(pair, []byte("="))
		if string(queryText(k)) != name {
			continue
		}
		v = queryText(v)
		if found && !bytes.Equal(value, v) {
			return nil, true
		}
		value, found = v, true
	}
	return value, false
}

func queryText(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 && bytes.IndexByte(b, '+') < 0 {
		return b
	}
	return percentDecode(b, true)
}
