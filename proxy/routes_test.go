package proxy

import (
	"testing"
)

func headOf(method, target string, fields ...string) *requestHead {
	h := &requestHead{method: []byte(method), target: []byte(target), path: []byte(target)}
	for i := range target {
		if target[i] == '?' {
			h.path, h.query = []byte(target[:i]), []byte(target[i+1:])
			break
		}
	}
	for i := 0; i < len(fields); i += 2 {
		h.fields = append(h.fields, field{[]byte(fields[i]), []byte(fields[i+1])})
	}
	if method == "WS" {
		h.method, h.websocket = []byte("GET"), true
	}
	return h
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, target string
		class          class
		family         family
		dialect        dialect
		model          string
	}{
		// Metered.
		{"POST", "/v1/chat/completions", classMetered, familyChat, dialectOpenAI, ""},
		{"POST", "/chat/completions", classMetered, familyChat, dialectOpenAI, ""},
		{"POST", "/v1/%63hat/completions", classMetered, familyChat, dialectOpenAI, ""},
		{"POST", "//v1//chat/completions/", classMetered, familyChat, dialectOpenAI, ""},
		{"POST", "/engines/gpt-4o/chat/completions", classMetered, familyChat, dialectOpenAI, "gpt-4o"},
		{"POST", "/openai/deployments/gpt%2D4o/chat/completions", classMetered, familyChat, dialectOpenAI, "gpt-4o"},
		{"POST", "/openai/deployments/e/embeddings?api-version=1", classMetered, familyEmbeddings, dialectOpenAI, "e"},
		{"POST", "/cursor/chat/completions", classMetered, familyChat, dialectOpenAI, ""},
		{"POST", "/v1/completions", classMetered, familyCompletions, dialectOpenAI, ""},
		{"POST", "/v1/responses", classMetered, familyResponses, dialectOpenAI, ""},
		{"POST", "/openai/v1/responses", classMetered, familyResponses, dialectOpenAI, ""},
		{"POST", "/responses/compact", classMetered, familyResponses, dialectOpenAI, ""},
		{"POST", "/v2/rerank", classMetered, familyRerank, dialectOpenAI, ""},
		{"POST", "/v1/images/edits", classMetered, familyImages, dialectOpenAI, ""},
		{"POST", "/audio/transcriptions", classMetered, familyAudio, dialectOpenAI, ""},
		{"POST", "/v1/search/brave", classMetered, familyTool, dialectOpenAI, ""},
		{"POST", "/decisions", classMetered, familyOther, dialectOpenAI, ""},
		{"POST", "/v1/messages", classMetered, familyMessages, dialectAnthropic, ""},
		{"POST", "/claude_code_gateway/v1/messages", classMetered, familyMessages, dialectAnthropic, ""},
		{"POST", "/v1beta/models/gemini-2.5-pro:generateContent", classMetered, familyGenerateContent, dialectGoogle, "gemini-2.5-pro"},
		{"POST", "/models/vertex_ai/gemini-2.5-pro:streamGenerateContent?alt=sse", classMetered, familyGenerateContent, dialectGoogle, "vertex_ai/gemini-2.5-pro"},
		{"POST", "/v1beta/interactions", classMetered, familyOther, dialectGoogle, ""},
		{"POST", "/a2a/agent/message/send", classMetered, familyOther, dialectOpenAI, ""},
		{"POST", "/mcp", classMetered, familyTool, dialectOpenAI, ""},
		{"POST", "/github/mcp", classMetered, familyTool, dialectOpenAI, ""},
		{"POST", "/toolset/all/mcp", classMetered, familyTool, dialectOpenAI, ""},
		{"POST", "/v1/threads/t/runs", classMetered, familyOther, dialectOpenAI, ""},
		{"POST", "/realtime/client_secrets", classMetered, familyRealtime, dialectOpenAI, ""},
		{"GET", "/health", classMetered, familyOther, dialectOpenAI, ""},
		{"POST", "/health/test_connection", classMetered, familyOther, dialectOpenAI, ""},
		// Deferred.
		{"POST", "/v1/batches", classDeferred, familyOther, dialectOpenAI, ""},
		{"POST", "/azure/v1/batches", classDeferred, familyOther, dialectOpenAI, ""},
		{"POST", "/videos/v1/remix", classDeferred, familyOther, dialectOpenAI, ""},
		{"POST", "/fine_tuning/jobs", classDeferred, familyOther, dialectOpenAI, ""},
		{"POST", "/v1/evals/e/runs", classDeferred, familyOther, dialectOpenAI, ""},
		// WebSocket.
		{"WS", "/v1/realtime?model=gpt-4o-realtime", classMetered, familyRealtime, dialectOpenAI, "gpt-4o-realtime"},
		{"WS", "/openai/v1/realtime", classMetered, familyRealtime, dialectOpenAI, ""},
		{"WS", "/responses", classMetered, familyRealtime, dialectOpenAI, ""},
		{"WS", "/vertex_ai/live", classMetered, familyRealtime, dialectGoogle, ""},
		{"WS", "/openai_passthrough/anything", classPassThrough, familyRealtime, dialectOpenAI, ""},
		{"WS", "/deepgram/v1/listen", classPassThrough, familyRealtime, dialectOpenAI, ""},
		{"WS", "/v1/new", classMetered, familyRealtime, dialectOpenAI, ""},
		{"WS", "/elsewhere", classUnknown, familyOther, dialectOpenAI, ""},
		// Pass-through.
		{"POST", "/openai/v1/chat/completions", classPassThrough, familyChat, dialectOpenAI, ""},
		{"POST", "/anthropic/v1/messages", classPassThrough, familyMessages, dialectAnthropic, ""},
		{"POST", "/gemini/v1beta/models/gemini-2.5-pro:generateContent", classPassThrough, familyGenerateContent, dialectGoogle, "gemini-2.5-pro"},
		{"POST", "/vertex_ai/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict", classPassThrough, familyMessages, dialectGoogle, "claude"},
		{"POST", "/bedrock/model/anthropic.claude-v2:1/converse", classPassThrough, familyOther, dialectOpenAI, "anthropic.claude-v2:1"},
		{"POST", "/azure/openai/deployments/d/chat/completions", classPassThrough, familyChat, dialectOpenAI, "d"},
		{"POST", "/backend-api/codex/responses", classPassThrough, familyResponses, dialectOpenAI, ""},
		{"POST", "/nvidia_nim/anything/new", classPassThrough, familyOther, dialectOpenAI, ""},
		// Costless.
		{"GET", "/v1/models", classCostless, familyOther, dialectOpenAI, ""},
		{"GET", "/models", classCostless, familyOther, dialectOpenAI, ""},
		{"POST", "/v1/messages/count_tokens", classCostless, familyOther, dialectAnthropic, ""},
		{"POST", "/v1beta/models/g:countTokens", classCostless, familyOther, dialectGoogle, "g"},
		{"POST", "/responses/input_tokens", classCostless, familyOther, dialectOpenAI, ""},
		{"GET", "/v1/files/f/content", classCostless, familyOther, dialectOpenAI, ""},
		{"DELETE", "/v1/responses/r", classCostless, familyOther, dialectOpenAI, ""},
		{"GET", "/batches/b", classCostless, familyOther, dialectOpenAI, ""},
		{"GET", "/openai/v1/models", classCostless, familyOther, dialectOpenAI, ""},
		{"POST", "/anthropic/v1/messages/count_tokens", classCostless, familyOther, dialectAnthropic, ""},
		{"POST", "/langfuse/api/public/ingestion", classCostless, familyOther, dialectOpenAI, ""},
		// Management and health.
		{"GET", "/key/info", classManagement, familyOther, dialectOpenAI, ""},
		{"POST", "/key/generate", classManagement, familyOther, dialectOpenAI, ""},
		{"GET", "/v1/model/info", classManagement, familyOther, dialectOpenAI, ""},
		{"POST", "/v1/mcp/server", classManagement, familyOther, dialectOpenAI, ""},
		{"POST", "/model/new", classManagement, familyOther, dialectOpenAI, ""},
		{"GET", "/health/liveliness", classHealth, familyOther, dialectOpenAI, ""},
		// Unknown: a call under an LLM prefix costs money, the rest passes.
		{"POST", "/v1/invented", classMetered, familyOther, dialectOpenAI, ""},
		{"POST", "/v1beta/invented", classMetered, familyOther, dialectGoogle, ""},
		{"POST", "/invented", classUnknown, familyOther, dialectOpenAI, ""},
		{"GET", "/", classUnknown, familyOther, dialectOpenAI, ""},
		{"POST", "/v1x/chat", classUnknown, familyOther, dialectOpenAI, ""},
		{"GET", "", classUnknown, familyOther, dialectOpenAI, ""},
		{"OPTIONS", "*", classUnknown, familyOther, dialectOpenAI, ""},
	} {
		r := classify(headOf(c.method, c.target))
		if r.class != c.class || r.family != c.family || r.dialect != c.dialect || string(r.model) != c.model {
			t.Errorf("%s %s: class %d family %d dialect %d model %q, want %d %d %d %q",
				c.method, c.target, r.class, r.family, r.dialect, r.model, c.class, c.family, c.dialect, c.model)
		}
		if r.label == "" {
			t.Errorf("%s %s has no label", c.method, c.target)
		}
	}
}

func TestClassifyUnderRootPath(t *testing.T) {
	t.Parallel()
	rules := &routeRules{rootPaths: []string{"/genai"}}
	if r := rules.classify(headOf("POST", "/genai/v1/messages")); r.family != familyMessages {
		t.Errorf("a path under the root path is not found: %+v", r)
	}
	if r := rules.classify(headOf("POST", "/genaix/v1/messages")); r.class != classUnknown {
		t.Errorf("the root path was cut within a segment: %+v", r)
	}
}

func TestOnlyLiteLLMsOwnRoutesAreAskedForUsage(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]bool{
		"/v1/chat/completions": true, "/completions": true, "/openai/v1/chat/completions": false,
		"/mistral/v1/chat/completions": false, "/v1/responses": false, "/v1/messages": false,
	} {
		if got := classify(headOf("POST", target)).asksUsage; got != want {
			t.Errorf("%s: asksUsage %v, want %v", target, got, want)
		}
	}
}

func TestClassifyDoesNotAllocate(t *testing.T) {
	heads := []*requestHead{
		headOf("POST", "/v1/chat/completions"), headOf("POST", "/engines/gpt-4o/chat/completions"),
		headOf("POST", "/openai/v1/chat/completions"), headOf("GET", "/key/info"), headOf("POST", "/v1beta/models/g:generateContent"),
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, h := range heads {
			_ = classify(h)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkClassify(b *testing.B) {
	h := headOf("POST", "/v1/chat/completions")
	b.ReportAllocs()
	for b.Loop() {
		_ = classify(h)
	}
}

func BenchmarkClassifyUnknown(b *testing.B) {
	h := headOf("POST", "/some/path/that/is/in/no/table")
	b.ReportAllocs()
	for b.Loop() {
		_ = classify(h)
	}
}
