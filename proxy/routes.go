package proxy

import (
	"bytes"
	"strings"
)

// class says what a route means for money.
type class uint8

const (
	classUnknown     class = iota // forwarded and counted, never refused
	classMetered                  // costs money, answered at once
	classDeferred                 // costs money later: batches, fine-tuning, video
	classPassThrough              // the provider's own API through LiteLLM
	classCostless                 // an LLM route that costs nothing: models, count_tokens
	classManagement               // keys, users, spend, UI
	classHealth
)

// dialect is the error form that the caller's SDK understands.
type dialect uint8

const (
	dialectOpenAI dialect = iota
	dialectAnthropic
	dialectGoogle
)

// family is the shape of bodies and usage on a route.
type family uint8

const (
	familyOther family = iota
	familyChat
	familyCompletions
	familyResponses
	familyEmbeddings
	familyMessages
	familyGenerateContent
	familyImages
	familyAudio
	familyRerank
	familyRealtime
	// familyTool is for calls that LiteLLM prices at nothing unless its operator
	// says otherwise: MCP, moderations, guardrails, search.
	familyTool
)

// route is what a method and path mean.
type route struct {
	class   class
	dialect dialect
	family  family
	label   string // for metrics: from a closed list
	model   []byte // named in the path; aliases the head; nil: look into the body
	// asksUsage: LiteLLM answers stream_options.include_usage with one more chunk
	// and changes no other. On pass-through routes the provider answers, and OpenAI
	// then adds "usage":null to every chunk: a change that the client would see.
	asksUsage bool
}

// costs reports whether a call on the route needs an admission.
func (r route) costs() bool {
	return r.class == classMetered || r.class == classDeferred || r.class == classPassThrough
}

// routeRules is the table of routes with the operator's settings. The zero
// value is LiteLLM at the root of its host. It is read-only and safe for
// concurrent use.
type routeRules struct {
	// rootPaths are LiteLLM's SERVER_ROOT_PATH and SERVER_ROOT_PATHS: each begins
	// with a slash and ends without one.
	rootPaths []string
}

// classify finds the route of a request by its method and cleaned path, for a
// LiteLLM at the root of its host.
func classify(h *requestHead) route { return (&routeRules{}).classify(h) }

// classify finds the route of a request by its method and cleaned path. It does
// not allocate unless the path has to be cleaned.
func (c *routeRules) classify(h *requestHead) route {
	r := c.match(h)
	if h.websocket && r.model == nil {
		r.model, _ = queryValue(h.query, "model")
	}
	return r
}

func (c *routeRules) match(h *requestHead) route {
	path := c.stripRoot(cleanPath(h.path))
	if r, ok := routeTable.find(methodOf(h), path); ok {
		return r
	}
	if r, ok := googleMethod(path); ok {
		return r
	}
	if rest, p, ok := passThroughOf(path); ok {
		return p.route(h, rest)
	}
	switch {
	case h.websocket && hasAnyPrefix(path, llmPrefixes):
		return route{class: classMetered, family: familyRealtime, label: "websocket_other"}
	case hasAnyPrefix(path, managementPrefixes):
		return route{class: classManagement, label: "management"}
	case isCall(h.method) && hasAnyPrefix(path, llmPrefixes):
		return route{class: classMetered, label: "llm_other", dialect: dialectUnder(path)}
	case hasAnyPrefix(path, llmPrefixes):
		return route{class: classCostless, label: "llm_read", dialect: dialectUnder(path)}
	}
	return route{label: "other"}
}

func (c *routeRules) stripRoot(path []byte) []byte {
	for _, root := range c.rootPaths {
		if rest, ok := cutPathPrefix(path, root); ok {
			return rest
		}
	}
	return path
}

// cutPathPrefix cuts prefix off path where it ends at a segment's end.
func cutPathPrefix(path []byte, prefix string) ([]byte, bool) {
	if len(path) < len(prefix) || string(path[:len(prefix)]) != prefix {
		return nil, false
	}
	rest := path[len(prefix):]
	if len(rest) == 0 {
		return []byte("/"), true
	}
	return rest, rest[0] == '/'
}

func hasAnyPrefix(path []byte, prefixes []string) bool {
	for _, p := range prefixes {
		if _, ok := cutPathPrefix(path, p); ok {
			return true
		}
	}
	return false
}

func dialectUnder(path []byte) dialect {
	if _, ok := cutPathPrefix(path, "/v1beta"); ok {
		return dialectGoogle
	}
	if _, ok := cutPathPrefix(path, "/claude_code_gateway"); ok {
		return dialectAnthropic
	}
	return dialectOpenAI
}

// isCall reports whether a request of this method makes something happen. The
// others read, delete or ask for options.
func isCall(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "DELETE", "TRACE":
		return false
	}
	return true
}

// googleMethod finds Google's own form of a call, models/{m}:method, where the
// model may hold slashes.
func googleMethod(path []byte) (route, bool) {
	rest, ok := cutPathPrefix(path, "/v1beta/models")
	if !ok {
		if rest, ok = cutPathPrefix(path, "/models"); !ok {
			return route{}, false
		}
	}
	if len(rest) < 2 || rest[0] != '/' {
		return route{}, false
	}
	return googleCall(rest[1:])
}

// googleCall reads {model}:{method}.
func googleCall(modelAndMethod []byte) (route, bool) {
	colon := bytes.LastIndexByte(modelAndMethod, ':')
	if colon <= 0 {
		return route{}, false
	}
	r := route{class: classMetered, dialect: dialectGoogle, model: modelAndMethod[:colon]}
	switch string(modelAndMethod[colon+1:]) {
	case "generateContent", "streamGenerateContent":
		r.family, r.label = familyGenerateContent, "generate_content"
	case "embedContent", "batchEmbedContents":
		r.family, r.label = familyEmbeddings, "embeddings"
	case "countTokens":
		r.class, r.label = classCostless, "count_tokens"
	default:
		r.label = "google_other"
	}
	return r, true
}

func methodOf(h *requestHead) method {
	switch {
	case h.websocket:
		return onWebSocket
	case isCall(h.method):
		return onCall
	}
	return onRead
}

// method is a set of kinds of requests.
type method uint8

const (
	onCall method = 1 << iota // POST, PUT, PATCH
	onRead                    // GET, HEAD, OPTIONS, DELETE
	onWebSocket
)

// routeSet is the compiled table: paths without a placeholder in a map, the
// others in order.
type routeSet struct {
	exact    map[string][]routeRow
	patterns []routeRow
}

func (s *routeSet) find(m method, path []byte) (route, bool) {
	for _, row := range s.exact[string(path)] {
		if row.on&m != 0 {
			return row.route, true
		}
	}
	for i := range s.patterns {
		row := &s.patterns[i]
		if row.on&m == 0 {
			continue
		}
		if model, ok := matchPattern(row.path, path); ok {
			r := row.route
			r.model = model
			return r, true
		}
	}
	return route{}, false
}

// matchPattern matches a path against a pattern in which {model} stands for one
// segment that names a model, {} for any segment, and a * at the end for the
// rest of the path.
func matchPattern(pattern string, path []byte) (model []byte, ok bool) {
	for {
		switch {
		case pattern == "*":
			return model, len(path) > 0
		case pattern == "":
			return model, len(path) == 0
		case pattern[0] == '{':
			end := strings.IndexByte(pattern, '}')
			n := bytes.IndexByte(path, '/')
			if n < 0 {
				n = len(path)
			}
			if n == 0 {
				return nil, false
			}
			if pattern[:end+1] == "{model}" {
				model = path[:n]
			}
			pattern, path = pattern[end+1:], path[n:]
		case len(path) == 0 || path[0] != pattern[0]:
			return nil, false
		default:
			pattern, path = pattern[1:], path[1:]
		}
	}
}

// compile expands [optional] parts and sorts rows into the two forms.
func compile(rows []routeRow) *routeSet {
	s := &routeSet{exact: map[string][]routeRow{}}
	for _, row := range rows {
		for _, path := range expandOptional(row.path) {
			one := row
			one.path = path
			if strings.ContainsAny(path, "{*") {
				s.patterns = append(s.patterns, one)
			} else {
				s.exact[path] = append(s.exact[path], one)
			}
		}
	}
	return s
}

func expandOptional(path string) []string {
	open := strings.IndexByte(path, '[')
	if open < 0 {
		return []string{path}
	}
	end := strings.IndexByte(path, ']')
	without := expandOptional(path[:open] + path[end+1:])
	return append(without, expandOptional(path[:open]+path[open+1:end]+path[end+1:])...)
}
