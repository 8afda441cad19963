package litellmtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// created is the provider's clock.
const created = 1764000000

var vocabulary = strings.Fields("The quick brown fox jumps over the lazy dog while the band plays on and the rain keeps falling on the old town")

func (c *call) words() []string {
	words := make([]string, c.number("words", 8))
	for i := range words {
		words[i] = vocabulary[i%len(vocabulary)] + " "
	}
	return words
}

func (c *call) text() string { return strings.Join(c.words(), "") }

func (c *call) modelName() string {
	if m := c.d["rmodel"]; m != "" {
		return m
	}
	return c.name
}

// answer answers and books.
func (c *call) answer() {
	if c.nousage && !c.stream {
		c.t, c.c = tokens{}, cost{priced: c.c.priced} // LiteLLM takes no usage as none used
		if c.m != nil {
			c.book(0, 0)
		}
	}
	if c.stream && c.kind != embeddings {
		c.streamed()
		return
	}
	body := c.jsonBody()
	if !c.nousage {
		c.book(c.c.total, c.c.total)
	}
	if c.pass {
		c.passHeaders()
		c.send(spaced(body))
		return
	}
	raw := compact(body)
	c.remember(raw)
	c.costHeaders(c.c, false)
	c.send(raw)
}

func (c *call) send(body []byte) {
	commonHeaders(c.w.Header())
	if c.w.Header().Get("Content-Type") == "" {
		set(c.w.Header(), "content-type", "application/json")
	}
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(body)
}

// costHeaders are LiteLLM's own headers. A stream has no cost, and parts of 0.0;
// so has an answer that costs nothing.
func (c *call) costHeaders(cost cost, stream bool) {
	h := c.w.Header()
	set(h, "x-litellm-call-id", c.callID)
	if c.m != nil {
		set(h, "x-litellm-model-id", c.m.id())
		set(h, "x-litellm-model-name", c.m.Upstream)
		set(h, "x-litellm-model-group", c.m.Name)
		if c.kind != messages || stream {
			set(h, "x-litellm-model-api-base", "http://provider.invalid/v1")
		}
	}
	set(h, "x-litellm-version", version)
	more := cost.total
	if stream {
		more = 0
		cost = costOfNothing
	} else if cost.total > 0 {
		set(h, "x-litellm-response-cost", pyFloat(cost.total))
	}
	if c.kind != completions || !stream { // text completion streams go without
		for _, part := range []struct {
			name string
			v    float64
		}{
			{"original", cost.total}, {"discount-amount", 0}, {"margin-amount", 0}, {"margin-percent", 0},
			{"input", cost.input}, {"output", cost.output}, {"tool-usage", 0},
		} {
			set(h, "x-litellm-response-cost-"+part.name, pyFloat(part.v))
		}
	}
	for _, part := range []struct {
		name string
		v    float64
	}{{"cache-read", cost.read}, {"cache-creation", cost.write}, {"reasoning", cost.reason}} {
		if part.v > 0 {
			set(h, "x-litellm-response-cost-"+part.name, pyFloat(part.v))
		}
	}
	if c.s.lag == 0 && !c.body.NoLog {
		more = 0 // booked, and shown at once
	}
	set(h, "x-litellm-key-spend", pyFloat(c.keySpend(more)))
	set(h, "x-litellm-response-duration-ms", "10.504007339477539")
	set(h, "x-litellm-attempted-retries", "0")
	set(h, "x-litellm-attempted-fallbacks", "0")
	if c.m != nil && c.m.provider() == "openai" {
		for _, f := range [][2]string{{"x-ratelimit-limit-requests", "10000"}, {"x-ratelimit-remaining-requests", "9999"}} {
			set(h, f[0], f[1])
			set(h, "llm_provider-"+f[0], f[1])
		}
	}
}

var costOfNothing = cost{}

func (c *call) passHeaders() {
	h := c.w.Header()
	set(h, "content-type", "application/json; charset=utf-8")
	set(h, "x-litellm-call-id", c.callID)
	if !c.stream {
		set(h, "x-litellm-model-api-base", "https://provider.invalid"+c.r.URL.Path)
		set(h, "x-litellm-key-spend", pyFloat(c.keySpend(0)))
	}
}

func (c *call) jsonBody() object {
	switch c.kind {
	case completions:
		return obj("id", "cmpl-"+c.id, "object", "text_completion", "created", created, "model", c.modelName(),
			"choices", list{obj("finish_reason", "stop", "index", 0, "text", c.text(), "logprobs", nil)}, "usage", c.plainUsage(), "system_fingerprint", nil)
	case embeddings:
		return c.embeddings()
	case responses:
		return c.response("completed", list{c.responseItem()}, c.responsesUsage())
	case messages:
		return obj("id", "msg_"+c.id, "type", "message", "role", "assistant", "model", c.modelName(),
			"content", list{obj("type", "text", "text", c.text())}, "stop_reason", "end_turn", "stop_sequence", nil, "usage", c.anthropicUsage())
	case generate:
		return c.candidate(c.text(), c.t.output-c.t.reason, true)
	case chat, none, generateStream, countTokens, modelsList, realtime:
	}
	return c.chatBody()
}

func (c *call) chatBody() object {
	n := int64(1)
	if c.body.N != nil {
		n = max(1, *c.body.N)
	}
	choices := list{}
	for i := range n {
		if c.pass {
			choices = append(choices, obj("index", i, "message", obj("role", "assistant", "content", c.text(), "refusal", nil, "annotations", list{}), "logprobs", nil, "finish_reason", "stop"))
			continue
		}
		choices = append(choices, obj("finish_reason", "stop", "index", i, "message", obj("content", c.text(), "role", "assistant", "provider_specific_fields", obj("refusal", nil), "annotations", list{}), "provider_specific_fields", object{}))
	}
	if c.pass {
		return obj("id", "chatcmpl-"+c.id, "object", "chat.completion", "created", created, "model", c.modelName(), "choices", choices, "usage", c.providerUsage(), "service_tier", "default", "system_fingerprint", "fp_44709d6fcb")
	}
	return obj("id", "chatcmpl-"+c.id, "created", created, "model", c.modelName(), "object", "chat.completion", "system_fingerprint", "fp_44709d6fcb", "choices", choices, "usage", c.chatUsage(), "service_tier", "default")
}

// chatUsage is usage in OpenAI's meaning, as LiteLLM writes it.
func (c *call) chatUsage() object {
	t := c.t
	o := obj("completion_tokens", t.output, "prompt_tokens", t.input, "total_tokens", t.input+t.output)
	if c.nousage {
		return o
	}
	switch {
	case c.m != nil && c.m.provider() == "anthropic":
		writes := t.cwrite + t.cwrite1h
		o = o.with("completion_tokens_details", obj("reasoning_tokens", 0, "text_tokens", t.output))
		o = o.with("prompt_tokens_details", obj("cache_write_tokens", writes, "cached_tokens", t.cached, "text_tokens", t.input-t.cached-writes,
			"cache_creation_tokens", writes, "cache_creation_token_details", obj("ephemeral_5m_input_tokens", t.cwrite, "ephemeral_1h_input_tokens", t.cwrite1h)))
		return o.with("cache_creation_input_tokens", writes).with("cache_read_input_tokens", t.cached).with("service_tier", "standard")
	case c.m != nil && c.m.provider() == "gemini":
		o = o.with("completion_tokens_details", obj("reasoning_tokens", t.reason, "text_tokens", t.output-t.reason))
		return o.with("prompt_tokens_details", obj("cached_tokens", t.cached, "text_tokens", t.input-t.cached)).with("cache_read_input_tokens", t.cached)
	}
	o = o.with("completion_tokens_details", obj("accepted_prediction_tokens", 0, "audio_tokens", 0, "reasoning_tokens", t.reason, "rejected_prediction_tokens", 0))
	return o.with("prompt_tokens_details", obj("audio_tokens", 0, "cached_tokens", t.cached))
}

// providerUsage is the same as OpenAI itself writes it.
func (c *call) providerUsage() object {
	t := c.t
	return obj("prompt_tokens", t.input, "completion_tokens", t.output, "total_tokens", t.input+t.output,
		"prompt_tokens_details", obj("cached_tokens", t.cached, "audio_tokens", 0),
		"completion_tokens_details", obj("reasoning_tokens", t.reason, "audio_tokens", 0, "accepted_prediction_tokens", 0, "rejected_prediction_tokens", 0))
}

func (c *call) plainUsage() object {
	return obj("completion_tokens", c.t.output, "prompt_tokens", c.t.input, "total_tokens", c.t.input+c.t.output, "completion_tokens_details", nil, "prompt_tokens_details", nil)
}

func (c *call) responsesUsage() object {
	t := c.t
	return obj("input_tokens", t.input, "input_tokens_details", obj("cached_tokens", t.cached), "output_tokens", t.output,
		"output_tokens_details", obj("reasoning_tokens", t.reason), "total_tokens", t.input+t.output)
}

// anthropicUsage counts input without what is cached.
func (c *call) anthropicUsage() object {
	t := c.t
	writes := t.cwrite + t.cwrite1h
	plain := t.input - t.cached - writes
	if c.m != nil && c.m.provider() != "anthropic" {
		return obj("input_tokens", plain, "output_tokens", t.output)
	}
	return obj("input_tokens", plain, "cache_creation_input_tokens", writes, "cache_read_input_tokens", t.cached,
		"cache_creation", obj("ephemeral_5m_input_tokens", t.cwrite, "ephemeral_1h_input_tokens", t.cwrite1h), "output_tokens", t.output, "service_tier", "standard")
}

func (c *call) candidate(text string, output int64, last bool) object {
	t := c.t
	usage := obj("promptTokenCount", t.input, "candidatesTokenCount", output, "totalTokenCount", t.input+output+t.reason,
		"promptTokensDetails", list{obj("modality", "TEXT", "tokenCount", t.input)})
	if t.cached > 0 {
		usage = usage.with("cachedContentTokenCount", t.cached).with("cacheTokensDetails", list{obj("modality", "TEXT", "tokenCount", t.cached)})
	}
	if t.reason > 0 {
		usage = usage.with("thoughtsTokenCount", t.reason)
	}
	candidate := obj("content", obj("parts", list{obj("text", text)}, "role", "model"), "index", 0)
	if last {
		candidate = candidate.with("finishReason", "STOP")
	}
	return obj("candidates", list{candidate}, "usageMetadata", usage, "modelVersion", c.modelName(), "responseId", "gm_"+c.id)
}

func (c *call) embeddings() object {
	vector := json.RawMessage("[0.0023064255,-0.009327292,0.015797347,-0.0077780345,-0.0046922187,0.014840263,-0.009866149,-0.008282076]")
	n := 1
	var many []json.RawMessage
	if json.Unmarshal(c.body.Input, &many) == nil {
		n = len(many)
	}
	data := list{}
	for i := range n {
		if c.pass {
			data = append(data, obj("object", "embedding", "index", i, "embedding", vector))
		} else {
			data = append(data, obj("embedding", vector, "index", i, "object", "embedding"))
		}
	}
	if c.pass {
		return obj("object", "list", "data", data, "model", c.modelName(), "usage", obj("prompt_tokens", c.t.input, "total_tokens", c.t.input))
	}
	return obj("model", c.modelName(), "data", data, "object", "list", "usage", c.plainUsage())
}

func (c *call) responseItem() object {
	return obj("id", "msg_"+c.id, "content", list{obj("annotations", list{}, "text", c.text(), "type", "output_text", "logprobs", nil)}, "role", "assistant", "status", "completed", "type", "message")
}

func (c *call) response(status string, output list, usage any) object {
	return obj("id", "resp_"+c.id, "created_at", created, "error", nil, "incomplete_details", nil, "instructions", nil, "metadata", object{}, "model", c.modelName(), "object", "response",
		"output", output, "parallel_tool_calls", true, "temperature", 1.0, "tool_choice", "auto", "tools", list{}, "top_p", 1.0, "max_output_tokens", c.body.MaxOutput,
		"previous_response_id", nil, "reasoning", obj("effort", nil, "summary", nil), "status", status, "text", obj("format", obj("type", "text")), "truncation", "disabled", "usage", usage,
		"user", nil, "store", true, "background", false)
}

// several is LiteLLM's answer to a list of models: each is called, an array comes
// back, and nothing is booked. As a stream it fails after the calls.
func (c *call) several() {
	answers := list{}
	asked := c.name
	for name := range strings.SplitSeq(asked, ",") {
		one := *c
		one.name, one.m = name, c.s.find(name)
		if one.m == nil {
			c.m, c.name = nil, asked
			c.valid()
			return
		}
		c.reached()
		one.use()
		c.book(0, one.c.total)
		c.m = one.m
		answers = append(answers, one.chatBody())
	}
	if c.stream {
		c.errorHeaders()
		refuse(c.w, http.StatusInternalServerError, "'list' object has no attribute '_hidden_params'", "internal_server_error", nil)
		return
	}
	c.costHeaders(cost{}, false)
	c.send(compact(answers))
}

func (c *call) cacheKey() string {
	sum := sha256.Sum256(append([]byte(c.name+"\x00"), c.raw...))
	return hex.EncodeToString(sum[:])
}

func (c *call) cached() ([]byte, bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.pass || c.stream || c.kind != chat {
		return nil, false
	}
	hit, ok := c.s.cache[c.cacheKey()]
	return hit, ok
}

func (c *call) remember(body []byte) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.cache != nil && c.kind == chat {
		c.s.cache[c.cacheKey()] = body
	}
}

// answerFromCache shows the full price and books nothing.
func (c *call) answerFromCache(body []byte) {
	c.use()
	c.costHeaders(c.c, false)
	set(c.w.Header(), "x-litellm-cache-key", c.cacheKey())
	c.send(body)
}

// providerError answers as LiteLLM does when the provider answers an error.
func (c *call) providerError(status int) {
	text := map[int]string{400: "Invalid value", 401: "Incorrect API key provided: none.", 429: "Rate limit reached for requests", 500: "The server had an error while processing your request.", 503: "overloaded"}[status]
	if text == "" {
		text = "error"
	}
	if c.pass {
		c.passHeaders()
		if status == http.StatusTooManyRequests {
			set(c.w.Header(), "retry-after", "7")
		}
		c.w.WriteHeader(status)
		_, _ = c.w.Write(spaced(obj("error", obj("message", text, "type", "invalid_request_error", "param", nil, "code", nil))))
		return
	}
	class := map[int][3]string{
		400: {"litellm.BadRequestError: OpenAIException", "invalid_request_error", "invalid_request_error"},
		401: {"litellm.AuthenticationError: AuthenticationError: OpenAIException", "authentication_error", "authentication_error"},
		429: {"litellm.RateLimitError: RateLimitError: OpenAIException", "throttling_error", "rate_limit_error"},
		500: {"litellm.InternalServerError: InternalServerError: OpenAIException", "internal_server_error", "api_error"},
		503: {"litellm.BadRequestError: OpenAIException", "invalid_request_error", "overloaded_error"},
	}[status]
	if class[0] == "" {
		class = [3]string{"litellm.APIError: APIError: OpenAIException", "invalid_request_error", "api_error"}
	}
	message := fmt.Sprintf("%s - %s\n\nLiteLLM: model group '%s' failed with the error above. No fallback was attempted.", class[0], text, c.name)
	c.errorHeaders()
	h := c.w.Header()
	set(h, "x-litellm-timeout", "6000.0")
	if status == http.StatusTooManyRequests {
		set(h, "llm_provider-retry-after", "7")
	}
	if c.kind == messages {
		set(h, "x-litellm-version", version)
		reply(c.w, status, obj("type", "error", "error", obj("type", class[2], "message", message)))
		return
	}
	reply(c.w, status, obj("error", obj("message", message, "type", class[1], "param", nil, "code", strconv.Itoa(status))))
}
