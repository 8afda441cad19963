package proxy

// span is a stretch of the body, [start, end). The zero span is none.
type span struct{ start, end int }

func (s span) in(b []byte) []byte { return b[s.start:s.end] }

func (s span) isZero() bool { return s.end == 0 }

// bodyFacts is what the top level of a JSON body says. Of duplicate members the
// last counts, as in Python, whatever escapes their names are written with.
type bodyFacts struct {
	object bool // the body begins with an object
	// whole: the object ended within the prefix, is sound JSON, and only blanks
	// follow.
	whole bool
	// open is the index after the object's opening brace.
	open int
	// empty: the object has no members.
	empty bool

	model    span // the value, quotes included; zero: absent or no string
	anyModel bool // model is there, whatever it is
	stream   bool // true, or the string "true", which LiteLLM takes as well

	streamOptions span // the value
	includeUsage  span // the value within streamOptions

	// The caps on output tokens; 0: absent, or no whole number above 0.
	maxTokens, maxCompletionTokens, maxOutputTokens, googleMaxOutputTokens, inferenceMaxTokens int64
	n, bestOf, candidates                                                                      int64 // 0: absent

	fallbacks bool // names models to fall back on

	textBytes  int64 // all bytes scanned but those of blobs
	images     int64 // blobs that are images
	otherBlobs int64 // other blobs: PDF, audio, video
	blobBytes  int64 // bytes of the other blobs
	// inBlob: the prefix ended within a blob, so what follows is mostly that.
	inBlob bool
}

// maxDepth bounds nesting. A body nested deeper is not whole.
const maxDepth = 512

// scanBody reads what the prefix of a JSON body says, without allocating and
// without looking past the prefix. whole says that the prefix is all of the body.
func scanBody(prefix []byte, whole bool) bodyFacts {
	s := scanner{b: prefix}
	s.blanks()
	if s.i >= len(s.b) || s.b[s.i] != '{' {
		s.f.textBytes = int64(len(prefix))
		return s.f
	}
	s.f.object = true
	ok := s.object(scopeTop)
	s.blanks()
	s.f.whole = whole && ok && s.i == len(s.b)
	s.f.textBytes = int64(len(prefix)) - s.blobs
	return s.f
}

// scanner walks a JSON text once. Its methods report false when the text ends
// early or is no JSON; what was found until then stays.
type scanner struct {
	b     []byte
	i     int
	depth int
	name  []byte // of the member whose value is read
	blobs int64  // bytes of all blobs
	f     bodyFacts
}

// scope is an object whose members mean something to us.
type scope uint8

const (
	scopeNone scope = iota
	scopeTop
	scopeStreamOptions
	scopeGenerationConfig
	scopeInferenceConfig
)

// nested returns the scope of the object in a member.
func (s *scanner) nested(sc scope, name []byte) scope {
	switch {
	case sc != scopeTop:
		return scopeNone
	case nameIs(name, "stream_options"):
		return scopeStreamOptions
	case nameIs(name, "generationConfig"):
		return scopeGenerationConfig
	case nameIs(name, "inferenceConfig"):
		return scopeInferenceConfig
	}
	return scopeNone
}

// begin forgets what an earlier value of the same name had said.
func (s *scanner) begin(sc scope) {
	switch sc {
	case scopeTop:
		s.f.open = s.i
	case scopeStreamOptions:
		s.f.includeUsage = span{}
	case scopeGenerationConfig:
		s.f.googleMaxOutputTokens, s.f.candidates = 0, 0
	case scopeInferenceConfig:
		s.f.inferenceMaxTokens = 0
	case scopeNone:
	}
}

// member reads the value of one member.
func (s *scanner) member(sc scope, name []byte, value span) {
	switch sc {
	case scopeTop:
		s.topMember(name, value)
	case scopeStreamOptions:
		if nameIs(name, "include_usage") {
			s.f.includeUsage = value
		}
	case scopeGenerationConfig:
		switch {
		case nameIs(name, "maxOutputTokens"):
			s.f.googleMaxOutputTokens = wholeNumber(value.in(s.b))
		case nameIs(name, "candidateCount"):
			s.f.candidates = wholeNumber(value.in(s.b))
		}
	case scopeInferenceConfig:
		if nameIs(name, "maxTokens") {
			s.f.inferenceMaxTokens = wholeNumber(value.in(s.b))
		}
	case scopeNone:
	}
}

func (s *scanner) topMember(name []byte, value span) {
	f, text := &s.f, value.in(s.b)
	switch {
	case nameIs(name, "model"):
		f.anyModel, f.model = true, span{}
		if text[0] == '"' {
			f.model = value
		}
	case nameIs(name, "stream"):
		f.stream = string(text) == "true" || text[0] == '"' && nameIs(text[1:len(text)-1], "true")
	case nameIs(name, "stream_options"):
		f.streamOptions = value
		s.forget(scopeStreamOptions, text)
	case nameIs(name, "max_tokens"):
		f.maxTokens = wholeNumber(text)
	case nameIs(name, "max_completion_tokens"):
		f.maxCompletionTokens = wholeNumber(text)
	case nameIs(name, "max_output_tokens"):
		f.maxOutputTokens = wholeNumber(text)
	case nameIs(name, "generationConfig"):
		s.forget(scopeGenerationConfig, text)
	case nameIs(name, "inferenceConfig"):
		s.forget(scopeInferenceConfig, text)
	case nameIs(name, "n"):
		f.n = wholeNumber(text)
	case nameIs(name, "best_of"):
		f.bestOf = wholeNumber(text)
	case nameIs(name, "fallbacks"):
		f.fallbacks = string(text) != "null" && string(text) != "[]"
	}
}

// forget begins a scope anew when its member is no object this time.
func (s *scanner) forget(sc scope, text []byte) {
	if text[0] != '{' {
		s.begin(sc)
	}
}

func (s *scanner) object(sc scope) bool {
	if s.depth++; s.depth > maxDepth {
		return false
	}
	defer func() { s.depth-- }()
	s.i++
	s.begin(sc)
	if s.blanks(); s.next('}') {
		s.f.empty = s.f.empty || sc == scopeTop
		return true
	}
	for {
		s.blanks()
		name, ok := s.str()
		if !ok {
			return false
		}
		if s.blanks(); !s.next(':') {
			return false
		}
		s.blanks()
		start := s.i
		text := s.b[name.start+1 : name.end-1]
		s.name = text
		if !s.value(s.nested(sc, text)) {
			return false
		}
		s.member(sc, text, span{start, s.i})
		if s.blanks(); s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

func (s *scanner) array() bool {
	if s.depth++; s.depth > maxDepth {
		return false
	}
	defer func() { s.depth-- }()
	s.i++
	if s.blanks(); s.next(']') {
		return true
	}
	for {
		s.blanks()
		if !s.value(scopeNone) {
			return false
		}
		if s.blanks(); s.next(']') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

func (s *scanner) value(sc scope) bool {
	if s.i >= len(s.b) {
		return false
	}
	switch c := s.b[s.i]; {
	case c == '{':
		return s.object(sc)
	case c == '[':
		return s.array()
	case c == '"':
		_, ok := s.str()
		return ok
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) blanks() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) next(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

func (s *scanner) number() bool {
	s.next('-')
	if !s.next('0') && !s.digits() {
		return false
	}
	if s.next('.') && !s.digits() {
		return false
	}
	if s.next('e') || s.next('E') {
		if !s.next('+') {
			s.next('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// str reads a string, and counts it apart when it is a blob: an image, a
// document or sound in base64, which costs far less than its bytes would.
func (s *scanner) str() (span, bool) {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return span{}, false
	}
	start := s.i
	for s.i++; s.i < len(s.b); s.i++ {
		c := s.b[s.i]
		if !inString[c] {
			continue
		}
		switch {
		case c == '"':
			s.i++
			s.countBlob(s.b[start+1:s.i-1], false)
			return span{start, s.i}, true
		case c == '\\':
			if !s.escape() {
				return span{}, false
			}
		case c < ' ':
			return span{}, false
		}
	}
	s.countBlob(s.b[start+1:], true)
	return span{}, false
}

// inString are the bytes within a string that mean something.
var inString = func() (t [256]bool) {
	for c := range t {
		t[c] = c < ' ' || c == '"' || c == '\\'
	}
	return t
}()

// escape checks what follows a backslash and stops at its last byte.
func (s *scanner) escape() bool {
	s.i++
	if s.i >= len(s.b) {
		return false
	}
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		if len(s.b)-s.i < 5 {
			return false
		}
		for _, c := range s.b[s.i+1 : s.i+5] {
			if !isHex(c) {
				return false
			}
		}
		s.i += 4
		return true
	}
	return false
}
