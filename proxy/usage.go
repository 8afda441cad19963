package proxy

import (
	"bytes"
	"encoding/json"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

// foundUsage is one usage object of an answer.
type foundUsage struct {
	tokens litellm.Usage
	model  string // as the answer names it; may be empty
}

// usageFinder looks for usage in an answer, event by event or whole, and counts
// the bytes of content for the case that there is none.
type usageFinder struct {
	family family
	usages []foundUsage // one, but for an answer to "model":"a,b"
	kind   litellm.UsageKind
	// final: usage was given that covers the whole call, not only its beginning.
	final        bool
	contentBytes int64
	// preamble is how the events with content begin, up to the quote before it.
	preamble []byte
	// latest is the last event of a stream that repeats its running usage in each
	// one; only the last is read.
	latest []byte
	// brokenOff: the next event has no line end, so it may not be whole.
	brokenOff bool
}

// event reads the data of one event. It reports whether the event is a usage
// chunk that carries nothing else.
func (u *usageFinder) event(data []byte) (onlyUsage bool) {
	rest := u.skipPreamble(data)
	if u.family == familyGenerateContent {
		if bytes.Contains(rest, []byte(`"usageMetadata"`)) && (!u.brokenOff || json.Valid(data)) {
			u.latest = append(u.latest[:0], data...)
		}
		return false
	}
	if !hasUsage(rest) {
		return false
	}
	var e envelope
	if json.Unmarshal(data, &e) != nil {
		return false
	}
	u.take(&e)
	return len(e.Usage) > 0 && e.Usage[0] == '{' && e.carriesNothingElse()
}

// skipPreamble counts the content of one event and returns the part of it that
// usage can still be in. The events of a stream are the same up to their
// content, so what was searched once is only compared from then on: several
// times as fast as to search each one.
func (u *usageFinder) skipPreamble(data []byte) (rest []byte) {
	rest = data
	if len(u.preamble) > 0 && bytes.HasPrefix(data, u.preamble) {
		said := stringLength(data[len(u.preamble)-1:])
		u.contentBytes += int64(said)
		rest = data[len(u.preamble)+said:]
	}
	n, first := contentIn(u.family, rest)
	u.contentBytes += n
	if len(rest) == len(data) && first >= 0 && !bytes.Contains(data[:first], []byte(`"usage`)) {
		u.preamble = append(u.preamble[:0], data[:first+1]...)
	}
	return rest
}

// settleEvents reads what was kept for the end of the stream.
func (u *usageFinder) settleEvents() {
	if len(u.latest) == 0 {
		return
	}
	var e envelope
	if json.Unmarshal(u.latest, &e) == nil {
		u.take(&e)
		u.final = e.finished()
	}
	u.latest = u.latest[:0]
}

// answer reads a whole JSON answer, or the end of one that was too long.
func (u *usageFinder) answer(body []byte, cut bool) {
	body = bytes.TrimLeft(body, " \t\r\n")
	n, _ := contentIn(u.family, body)
	u.contentBytes += n
	switch {
	case len(body) == 0:
	case cut:
		u.tail(body)
	case body[0] == '[':
		var list []envelope
		if json.Unmarshal(body, &list) != nil {
			return
		}
		if u.family == familyGenerateContent && len(list) > 0 { // a stream as an array
			list = list[len(list)-1:]
		}
		for i := range list {
			var one usageFinder
			one.family = u.family
			one.take(&list[i])
			u.usages = append(u.usages, one.usages...)
			u.final = u.final || one.final
		}
	default:
		var e envelope
		if json.Unmarshal(body, &e) != nil {
			u.tail(body) // broken off: usage may have come all the same
			return
		}
		u.take(&e)
	}
}

// tail looks for the last usage in the end of an answer that was too long to be
// kept.
func (u *usageFinder) tail(end []byte) {
	for _, name := range [...]string{`"usageMetadata"`, `"usage"`} {
		i := bytes.LastIndex(end, []byte(name))
		if i < 0 {
			continue
		}
		_, value, ok := bytes.Cut(end[i+len(name):], []byte(":"))
		if !ok {
			continue
		}
		var raw json.RawMessage
		if json.NewDecoder(bytes.NewReader(value)).Decode(&raw) != nil {
			continue
		}
		e := envelope{Usage: raw}
		if name == `"usageMetadata"` {
			e = envelope{UsageMetadata: raw}
		}
		u.take(&e)
		return
	}
}

// envelope is what surrounds usage in the answers of all providers.
type envelope struct {
	Type          string          `json:"type"`
	Model         string          `json:"model"`
	ModelVersion  string          `json:"modelVersion"`
	Usage         json.RawMessage `json:"usage"`
	UsageMetadata json.RawMessage `json:"usageMetadata"`
	Response      *struct {       // events of the Responses API
		Model string          `json:"model"`
		Usage json.RawMessage `json:"usage"`
	} `json:"response"`
	Message *struct { // Anthropic's message_start
		Model string          `json:"model"`
		Usage json.RawMessage `json:"usage"`
	} `json:"message"`
	Choices    json.RawMessage `json:"choices"`
	Candidates []struct {
		FinishReason string `json:"finishReason"`
	} `json:"candidates"`
}

// take reads the usage in an envelope, wherever it is.
func (u *usageFinder) take(e *envelope) {
	switch {
	case len(e.UsageMetadata) > 0:
		u.add(litellm.UsageGemini, e.UsageMetadata, e.ModelVersion, true)
	case e.Message != nil && len(e.Message.Usage) > 0:
		u.add(litellm.UsageAnthropic, e.Message.Usage, e.Message.Model, false)
	case e.Response != nil && len(e.Response.Usage) > 0:
		u.add(litellm.UsageOpenAIResponses, e.Response.Usage, e.Response.Model, true)
	case len(e.Usage) > 0:
		u.add(u.kindOf(e), e.Usage, e.Model, true)
	}
}

// kindOf tells by its shape in whose terms a usage object counts: a pass-through
// route can carry any.
func (u *usageFinder) kindOf(e *envelope) litellm.UsageKind {
	switch {
	case e.Type == "message" || e.Type == "message_delta" || u.family == familyMessages:
		return litellm.UsageAnthropic
	case u.family == familyResponses || u.family == familyRealtime || u.family == familyAudio:
		return litellm.UsageOpenAIResponses
	}
	return litellm.UsageOpenAIChat
}

func (u *usageFinder) add(kind litellm.UsageKind, object []byte, model string, final bool) {
	tokens, ok := litellm.ParseUsage(kind, object)
	if !ok {
		return
	}
	if len(u.usages) > 0 {
		earlier := &u.usages[0]
		if kind == u.kind {
			tokens = earlier.tokens.Then(kind, tokens)
		}
		if model == "" {
			model = earlier.model
		}
	}
	u.kind, u.final = kind, u.final || final
	u.usages = append(u.usages[:0], foundUsage{tokens: tokens, model: model})
}

// cost is LiteLLM's own figure in the body, where it covers the whole call.
func (u *usageFinder) cost() budget.Money {
	if !u.final || len(u.usages) != 1 || u.usages[0].tokens.Cost == nil {
		return 0
	}
	return *u.usages[0].tokens.Cost
}

// finished reports whether a Gemini event is a stream's last.
func (e *envelope) finished() bool {
	for i := range e.Candidates {
		if e.Candidates[i].FinishReason != "" {
			return true
		}
	}
	return false
}

// carriesNothingElse reports whether a chat or completions chunk has no content:
// LiteLLM sends its usage with one empty choice, OpenAI with none.
func (e *envelope) carriesNothingElse() bool {
	var choices []map[string]json.RawMessage
	if json.Unmarshal(e.Choices, &choices) != nil {
		return false
	}
	for _, choice := range choices {
		for name, value := range choice {
			switch name {
			case "index":
			case "delta":
				var delta map[string]json.RawMessage
				if json.Unmarshal(value, &delta) != nil {
					return false
				}
				for _, v := range delta {
					if !saysNothing(v) {
						return false
					}
				}
			default:
				if !saysNothing(value) {
					return false
				}
			}
		}
	}
	return true
}

func saysNothing(value json.RawMessage) bool {
	switch string(value) {
	case "null", `""`, "{}", "[]":
		return true
	}
	return false
}

// hasUsage is the filter before an event is decoded: most hold no usage, or
// null.
func hasUsage(data []byte) bool {
	const name = `"usage"`
	for {
		i := bytes.Index(data, []byte(name))
		if i < 0 {
			return false
		}
		data = bytes.TrimLeft(data[i+len(name):], " ")
		if len(data) == 0 || data[0] != ':' {
			continue
		}
		if value := bytes.TrimLeft(data[1:], " "); len(value) > 0 && value[0] == '{' {
			return true
		}
	}
}
