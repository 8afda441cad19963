package litellmtest

import (
	"net/http"
	"time"
)

// sse writes a stream, one event at a time.
type sse struct {
	c       *call
	flush   *http.ResponseController
	cut     int64 // the provider breaks off after so many events; −1: never
	fault   *Fault
	gap     time.Duration
	sent    int64
	words   int64
	broken  bool // by the provider
	gone    bool // the client
	died    bool // LiteLLM itself
	settled bool
}

// streamed answers with a stream and books what came of it.
func (c *call) streamed() {
	s := &sse{c: c, flush: http.NewResponseController(c.w), cut: c.number("cut", -1), gap: c.seconds("ev", 0), fault: c.s.struck(c.r.URL.Path, CutStream)}
	h := c.w.Header()
	if c.pass {
		c.passHeaders()
		set(h, "content-type", "text/event-stream; charset=utf-8")
	} else {
		c.costHeaders(cost{}, true)
		set(h, "content-type", "text/event-stream; charset=utf-8")
		set(h, "x-accel-buffering", "no")
		set(h, "llm_provider-content-type", "text/event-stream; charset=utf-8")
	}
	set(h, "cache-control", "no-cache")
	commonHeaders(h)
	c.w.WriteHeader(http.StatusOK)
	_ = s.flush.Flush()
	switch c.kind {
	case completions:
		s.completions()
	case responses:
		s.responses()
	case messages:
		s.messages()
	case generate, generateStream:
		s.candidates()
	case chat, none, embeddings, countTokens, modelsList, realtime:
		s.chat()
	}
	s.settle()
}

// raw sends bytes as one event. It reports false when the stream is over.
func (s *sse) raw(b []byte) bool {
	if s.broken || s.gone {
		return false
	}
	if s.fault != nil && s.sent >= int64(s.fault.Events) {
		s.died = true
		s.settle()
		panic(http.ErrAbortHandler)
	}
	if s.cut >= 0 && s.sent >= s.cut && s.sent > 0 {
		s.broken = true
		return false
	}
	if _, err := s.c.w.Write(b); err != nil || s.flush.Flush() != nil || s.c.r.Context().Err() != nil {
		s.gone = true
		return false
	}
	s.sent++
	if s.gap > 0 {
		s.c.s.pause(s.gap)
		if s.c.r.Context().Err() != nil {
			s.gone = true
			return false
		}
	}
	return true
}

func (s *sse) data(v any, encode func(any) []byte) bool {
	return s.raw(append(append([]byte("data: "), encode(v)...), "\n\n"...))
}

func (s *sse) named(event string, v any) bool {
	return s.raw(append(append([]byte("event: "+event+"\ndata: "), spaced(v)...), "\n\n"...))
}

// word sends one word's event.
func (s *sse) word(send func() bool) bool {
	if !send() {
		return false
	}
	s.words++
	return true
}

// last sends what LiteLLM says itself, also after the provider broke off.
func (s *sse) last(b string) {
	if s.gone {
		return
	}
	_, _ = s.c.w.Write([]byte(b))
	_ = s.flush.Flush()
}

const brokenText = "Response payload is not completed: <TransferEncodingError: 400, message='Not enough data to satisfy transfer length header.'>"

// wants is what the client said about the usage chunk.
func (c *call) wants() bool {
	return c.body.Options != nil && c.body.Options.IncludeUsage != nil && *c.body.Options.IncludeUsage
}

// ownCount replaces a usage that the provider did not send by LiteLLM's own.
func (s *sse) ownCount() {
	c := s.c
	if !c.nousage {
		return
	}
	c.t = tokens{input: c.counted(), output: s.words + 1}
	if c.m != nil {
		c.c = c.m.cost(c.t)
	}
}

func (s *sse) chat() {
	c := s.c
	encode := compact
	at := s.c.s.now().Unix()
	chunk := func(index int64, delta object, finish any) object {
		if c.pass {
			o := obj("id", "chatcmpl-"+c.id, "object", "chat.completion.chunk", "created", created, "model", c.modelName(), "service_tier", "default", "system_fingerprint", "fp_44709d6fcb",
				"choices", list{obj("index", index, "delta", delta, "logprobs", nil, "finish_reason", finish)})
			if c.wants() {
				o = o.with("usage", nil)
			}
			return o
		}
		choice := obj("index", index, "delta", delta)
		if finish != nil {
			choice = append(obj("finish_reason", finish), choice...)
		}
		return obj("id", "chatcmpl-"+c.id, "created", at, "model", c.modelName(), "object", "chat.completion.chunk", "system_fingerprint", "fp_44709d6fcb", "choices", list{choice}, "service_tier", "default")
	}
	if c.pass {
		encode = spaced
	}
	n := int64(1)
	if c.body.N != nil {
		n = max(1, *c.body.N)
	}
	for i := range n {
		ok := s.data(chunk(i, obj("content", "", "role", "assistant"), nil), encode)
		for _, word := range c.words() {
			ok = ok && s.word(func() bool { return s.data(chunk(i, obj("content", word), nil), encode) })
		}
		if !ok || !s.data(chunk(i, object{}, "stop"), encode) {
			break
		}
	}
	if s.broken {
		if !c.pass {
			s.last("data: " + string(spaced(obj("error", obj("message", "litellm.APIConnectionError: APIConnectionError: OpenAIException - "+brokenText, "type", nil, "param", nil, "code", "500")))) + "\n\n")
		}
		return
	}
	s.ownCount()
	if c.wants() {
		s.usageChunk(chunk(0, object{}, nil))
	}
	s.raw([]byte("data: [DONE]\n\n"))
}

// usageChunk is LiteLLM's own last chunk, with one empty choice; through to a
// provider it is the provider's, with none, and the cost written into it.
func (s *sse) usageChunk(chunk object) {
	c := s.c
	usage := c.chatUsage()
	if c.nousage {
		usage = usage.with("completion_tokens_details", obj("reasoning_tokens", 0, "text_tokens", c.t.output))
	}
	encode := compact
	if c.pass {
		usage, encode = c.providerUsage(), spaced
	}
	if c.c.total > 0 && (!c.pass || !c.s.costOff) {
		usage = usage.with("cost", c.c.total)
	}
	out := object{}
	for _, m := range chunk {
		switch {
		case m.name == "choices" && c.pass:
			out = out.with("choices", list{})
		case m.name == "choices" && c.kind == completions:
			out = out.with("choices", list{obj("index", 0)}).with("usage", usage)
			continue
		case m.name == "choices":
			out = out.with("choices", m.value).with("usage", usage)
			continue
		case m.name == "usage":
			out = out.with("usage", usage)
			continue
		default:
			out = append(out, m)
			continue
		}
	}
	s.data(out, encode)
}

func (s *sse) completions() {
	c := s.c
	at := c.s.now().Unix()
	chunk := func(choice object) object {
		return obj("id", "cmpl-"+c.id, "object", "text_completion", "created", at, "model", c.modelName(), "choices", list{choice})
	}
	for _, word := range c.words() {
		if !s.word(func() bool { return s.data(chunk(obj("index", 0, "text", word)), compact) }) {
			return
		}
	}
	s.data(chunk(obj("finish_reason", "stop", "index", 0)), compact)
	if c.wants() {
		s.usageChunk(chunk(obj("index", 0)))
	}
	s.raw([]byte("data: [DONE]\n\n"))
}

func (s *sse) responses() {
	c := s.c
	q := int64(0)
	event := func(kind string, more ...any) bool {
		o := append(obj("type", kind), obj(more...)...)
		o = o.with("sequence_number", q).with("model", c.modelName())
		q++
		return s.data(o, compact)
	}
	item := "msg_" + c.id
	ok := event("response.created", "response", c.response("in_progress", list{}, nil)) &&
		event("response.in_progress", "response", c.response("in_progress", list{}, nil)) &&
		event("response.output_item.added", "output_index", 0, "item", obj("id", item, "type", "message", "status", "in_progress", "role", "assistant", "content", list{})) &&
		event("response.content_part.added", "item_id", item, "output_index", 0, "content_index", 0, "part", obj("type", "output_text", "text", "", "annotations", list{}))
	for _, word := range c.words() {
		ok = ok && s.word(func() bool {
			return event("response.output_text.delta", "item_id", item, "output_index", 0, "content_index", 0, "delta", word)
		})
	}
	if s.broken {
		failed := obj("type", "response.failed", "response", obj("id", "resp_"+c.id, "created_at", created, "error", obj("code", "server_error", "message", brokenText), "model", c.modelName(), "object", "response", "output", list{}, "status", "failed"), "sequence_number", q)
		s.last("event: response.failed\ndata: " + string(compact(failed)) + "\n\ndata: [DONE]\n\n")
		return
	}
	if !ok {
		return
	}
	usage := c.responsesUsage()
	if c.c.total > 0 {
		usage = usage.with("cost", c.c.total)
	}
	event("response.output_text.done", "item_id", item, "output_index", 0, "content_index", 0, "text", c.text())
	event("response.output_item.done", "output_index", 0, "item", c.responseItem())
	event("response.completed", "response", c.response("completed", list{c.responseItem()}, usage))
	s.raw([]byte("data: [DONE]\n\n"))
}

func (s *sse) messages() {
	c := s.c
	full := c.anthropicUsage()
	start, delta := object{}, object{}
	for _, m := range full {
		switch m.name {
		case "output_tokens":
			start, delta = start.with(m.name, 1), delta.with(m.name, m.value)
		case "cache_creation", "service_tier":
			start = append(start, m)
		default:
			start, delta = append(start, m), append(delta, m)
		}
	}
	shown := c.c.total
	if _, old := c.d["oldusage"]; old {
		delta = obj("output_tokens", c.t.output)
		if c.m != nil {
			shown = c.m.cost(tokens{output: c.t.output}).total // LiteLLM prices what is there
		}
	}
	if shown > 0 && !c.s.costOff {
		delta = delta.with("cost", shown)
	}
	head := obj("id", "msg_"+c.id, "type", "message", "role", "assistant", "model", c.modelName(), "content", list{}, "stop_reason", nil, "stop_sequence", nil)
	ok := s.raw([]byte("event: message_start\ndata: "+string(compact(obj("type", "message_start", "message", head.with("usage", start))))+"\n\n")) &&
		s.named("content_block_start", obj("type", "content_block_start", "index", 0, "content_block", obj("type", "text", "text", ""))) &&
		s.named("ping", obj("type", "ping"))
	for _, word := range c.words() {
		ok = ok && s.word(func() bool {
			return s.named("content_block_delta", obj("type", "content_block_delta", "index", 0, "delta", obj("type", "text_delta", "text", word)))
		})
	}
	if s.broken {
		s.last("event: error\ndata: " + string(spaced(obj("type", "error", "error", obj("type", "api_error", "message", brokenText)))) + "\n\n")
		return
	}
	if !ok {
		return
	}
	s.named("content_block_stop", obj("type", "content_block_stop", "index", 0))
	s.named("message_delta", obj("type", "message_delta", "delta", obj("stop_reason", "end_turn", "stop_sequence", nil), "usage", delta))
	s.named("message_stop", obj("type", "message_stop"))
}

func (s *sse) candidates() {
	words := s.c.words()
	plain := s.c.t.output - s.c.t.reason
	for i, word := range words {
		part := max(1, plain*int64(i+1)/int64(len(words)))
		if !s.word(func() bool { return s.data(s.c.candidate(word, part, i == len(words)-1), spaced) }) {
			return
		}
	}
}

// settle books a stream: whole when it was complete; in part, as LiteLLM does,
// when the client or the provider went. Measured on 1.106.12: chat and responses
// by its own count, messages by the input of message_start, completions and
// Gemini not at all.
func (s *sse) settle() {
	if s.settled {
		return
	}
	s.settled = true
	c := s.c
	if !s.broken && !s.gone && !s.died {
		booked, real := c.c.total, c.c.total
		if c.pass && c.kind == chat && !c.wants() && c.m != nil {
			booked = c.m.cost(tokens{output: s.words + 1}).total // it counts the output and forgets the input
		}
		c.book(booked, real)
		return
	}
	if c.m == nil {
		return
	}
	part := c.t
	part.output, part.reason = s.words, 0
	real := c.m.cost(part).total
	booked := 0.0
	switch c.kind {
	case messages:
		booked = real
	case chat, responses:
		if c.kind == chat || s.gone || s.died {
			booked = c.m.cost(tokens{input: c.counted(), output: s.words}).total
		}
	case none, completions, embeddings, generate, generateStream, countTokens, modelsList, realtime:
	}
	c.book(booked, real)
}
