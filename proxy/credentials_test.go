package proxy

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/enforce"
)

const (
	keyA = "sk-test-aaaaaaaaaaaaaaaa"
	keyB = "sk-test-bbbbbbbbbbbbbbbb"
)

func TestFindCredential(t *testing.T) {
	t.Parallel()
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	const (
		chat     = "/v1/chat/completions"
		generate = "/v1beta/models/g:generateContent"
		none     = ""
	)
	for _, c := range []struct {
		what, target string
		fields       []string
		want         string
	}{
		{"nothing was sent", chat, nil, none},
		{"a bearer token", chat, []string{"Authorization", "Bearer " + keyA}, keyA},
		{"names have no case", chat, []string{"aUTHORIZATION", "Bearer " + keyA}, keyA},
		{"a lower-case scheme", chat, []string{"Authorization", "bearer " + keyA}, keyA},
		{"an upper-case scheme is none", chat, []string{"Authorization", "BEARER " + keyA, "x-api-key", keyB}, none},
		{"no scheme is empty and shadows", chat, []string{"Authorization", keyA, "x-api-key", keyB}, none},
		{"a scheme without a token shadows", chat, []string{"Authorization", "Bearer", "x-api-key", keyB}, none},
		{"an empty header is absent", chat, []string{"Authorization", "", "x-api-key", keyB}, keyB},
		{"Basic is not decoded", chat, []string{"Authorization", "Basic " + keyA}, keyA},
		{"the scheme is removed wherever it stands", chat, []string{"Authorization", "Bearer Bearer " + keyA}, keyA},
		{"AWS with Bearer", chat, []string{"Authorization", "AWS4-HMAC-SHA256 Credential=Bearer " + keyA + "/20261124/us-east-1/bedrock/aws4_request, SignedHeaders=host"}, keyA},
		{"AWS without Bearer", chat, []string{"Authorization", "AWS4-HMAC-SHA256 Credential=" + keyA + "/20261124"}, keyA},
		{"AWS without a credential", chat, []string{"Authorization", "AWS4-HMAC-SHA256 Signature=1", "x-api-key", keyB}, none},
		{"LiteLLM's own header beats all", chat, []string{"Authorization", "Bearer " + keyB, "x-litellm-api-key", "Bearer " + keyA}, keyA},
		{"LiteLLM's own header takes a bare key", chat, []string{"x-litellm-api-key", keyA}, keyA},
		{"Azure's takes no scheme", chat, []string{"API-Key", "Bearer " + keyA}, "Bearer " + keyA},
		{"Azure before Anthropic", chat, []string{"x-api-key", keyB, "API-Key", keyA}, keyA},
		{"Anthropic before Gemini", chat, []string{"x-goog-api-key", keyB, "x-api-key", keyA}, keyA},
		{"Gemini before API management", chat, []string{"Ocp-Apim-Subscription-Key", keyB, "x-goog-api-key", keyA}, keyA},
		{"the query counts only for generateContent", chat + "?key=" + keyA, nil, none},
		{"the query comes last", generate + "?key=" + keyB, []string{"Ocp-Apim-Subscription-Key", keyA}, keyA},
		{"the query alone", generate + "?alt=sse&key=" + keyA, nil, keyA},
		{"the query is decoded", generate + "?%6bey=sk%2Dtest-a", nil, "sk-test-a"},
		{"an empty query is absent", generate + "?key=", nil, none},
		{"api_key is no place", generate + "?api_key=" + keyA, nil, none},

		{"the override on a pass-through path", "/openai/v1/responses", []string{"Authorization", "Bearer " + keyB, "litellm_user_api_key", keyA}, keyA},
		{"the override beats LiteLLM's own header", "/openai/deployments/d/chat/completions", []string{"x-litellm-api-key", keyB, "LITELLM_USER_API_KEY", keyA}, keyA},
		{"an empty override overrides", "/anthropic/v1/messages", []string{"x-api-key", keyB, "litellm_user_api_key", ""}, none},
		{"the prefix is a plain string", "/openairports", []string{"Authorization", "Bearer " + keyB, "litellm_user_api_key", keyA}, keyA},
		{"the prefix is tested decoded", "/%6fpenai/v1/responses", []string{"Authorization", "Bearer " + keyB, "litellm_user_api_key", keyA}, keyA},
		{"elsewhere it means nothing", chat, []string{"Authorization", "Bearer " + keyB, "litellm_user_api_key", keyA}, keyB},

		{"/gemini reads the query first", "/gemini/v1beta/models?key=" + keyA, []string{"x-goog-api-key", keyB, "x-litellm-api-key", keyB}, keyA},
		{"/gemini reads Google's header", "/gemini/v1beta/models", []string{"Authorization", "Bearer " + keyB, "x-goog-api-key", keyA}, keyA},
		{"/gemini reads nothing else", "/gemini/v1beta/models", []string{"Authorization", "Bearer " + keyB, "x-litellm-api-key", keyB}, none},
		{"/vertex_ai reads LiteLLM's header", "/vertex_ai/v1/x", []string{"Authorization", "Bearer " + keyB, "x-litellm-api-key", keyA}, keyA},
		{"/vertex-ai reads Authorization", "/vertex-ai/v1/x", []string{"Authorization", "Bearer " + keyA, "API-Key", keyB}, keyA},
		{"/vertex_ai reads no x-api-key", "/vertex_ai/discovery/x", []string{"x-api-key", keyB}, none},
		{"/vertex_ai reads the query of generateContent", "/vertex_ai/v1/models/g:generateContent?key=" + keyA, []string{"x-api-key", keyB}, keyA},
		{"/langfuse reads behind the colon", "/langfuse/api/public/ingestion", []string{"Authorization", basic("pk-lf:" + keyA)}, keyA},
		{"/langfuse reads no bare key", "/langfuse/api/public/ingestion", []string{"Authorization", "Bearer " + keyA}, none},
		{"MCP", "/mcp", []string{"Authorization", "Bearer " + keyB, "x-litellm-api-key", keyA, "x-api-key", keyB}, keyA},
		{"MCP of one server", "/github/mcp", []string{"x-api-key", keyB, "Authorization", "Bearer " + keyA}, keyA},
		{"MCP reads no x-api-key", "/toolset/t/mcp", []string{"x-api-key", keyB}, none},
		{"Codex", "/backend-api/codex/responses", []string{"Authorization", "Bearer ey.chatgpt", "x-litellm-api-key", keyA}, keyA},

		{"a session token", chat, []string{"Authorization", "Bearer litellm_login_abc"}, "litellm_login_abc"},
	} {
		got, bad := (&credentialRules{}).find(headOf("POST", c.target, c.fields...))
		if bad != nil || string(got.key) != c.want {
			t.Errorf("%s: %q %v, want %q", c.what, got.key, bad, c.want)
		}
		want := enforce.OtherCredential
		switch {
		case c.want == "":
			want = enforce.NoCredential
		case strings.HasPrefix(c.want, "sk-"):
			want = enforce.VirtualKey
		}
		if got.kind != want {
			t.Errorf("%s: kind %d, want %d", c.what, got.kind, want)
		}
	}
}

func TestFindWebSocketCredential(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, target string
		fields       []string
		want         string
	}{
		{"a bearer token", "/v1/realtime", []string{"Authorization", "Bearer " + keyA, "api-key", keyB}, keyA},
		{"only this case", "/v1/realtime", []string{"Authorization", "bearer " + keyA, "api-key", keyB}, ""},
		{"Azure's header", "/v1/realtime", []string{"api-key", keyA, "Sec-WebSocket-Protocol", "openai-insecure-api-key." + keyB}, keyA},
		{"the subprotocol", "/v1/realtime", []string{"Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key." + keyA + ", openai-beta.realtime-v1"}, keyA},
		{"a subprotocol without a key", "/v1/realtime", []string{"Sec-WebSocket-Protocol", "realtime"}, ""},
		{"neither of the headers for keys", "/v1/realtime", []string{"x-litellm-api-key", keyA, "x-api-key", keyA}, ""},
		{"the override alone is not enough", "/openai/v1/realtime", []string{"litellm_user_api_key", keyA}, ""},
		{"the override, under a prefix", "/openai/v1/realtime", []string{"Authorization", "Bearer " + keyB, "litellm_user_api_key", keyA}, keyA},
	} {
		got, bad := (&credentialRules{}).find(headOf("WS", c.target, c.fields...))
		if bad != nil || string(got.key) != c.want {
			t.Errorf("%s: %q %v, want %q", c.what, got.key, bad, c.want)
		}
	}
}

func TestFindWithSettings(t *testing.T) {
	t.Parallel()
	named := &credentialRules{keyHeader: "x-company-key"}
	f := func(c *credentialRules, h *requestHead, want string) {
		t.Helper()
		if got, bad := c.find(h); bad != nil || string(got.key) != want {
			t.Errorf("%q %v, want %q", got.key, bad, want)
		}
	}
	f(named, headOf("POST", "/v1/messages", "Authorization", "Bearer "+keyB, "X-Company-Key", "Bearer "+keyA), keyA)
	f(named, headOf("POST", "/v1/messages", "X-Company-Key", keyA), "") // no scheme
	f(named, headOf("POST", "/v1/messages", "Authorization", "Bearer "+keyB), "")
	f(named, headOf("POST", "/openai/x", "X-Company-Key", "Bearer "+keyB, "litellm_user_api_key", keyA), keyA)

	several := &credentialRules{rootPaths: []string{"/genai"}}
	f(several, headOf("POST", "/genai/openai/x", "Authorization", "Bearer "+keyB, "litellm_user_api_key", keyA), keyA)
	one := &credentialRules{rootPaths: []string{"/genai"}, serverRootPath: true}
	f(one, headOf("POST", "/genai/openai/x", "Authorization", "Bearer "+keyB, "litellm_user_api_key", keyA), keyB)
	f(one, headOf("POST", "/genai/gemini/x?key="+keyA, "Authorization", "Bearer "+keyB), keyA)
}

func TestTwoValuesInOnePlace(t *testing.T) {
	t.Parallel()
	f := func(bad bool, target string, fields ...string) {
		t.Helper()
		_, got := (&credentialRules{}).find(headOf("POST", target, fields...))
		if (got != nil) != bad {
			t.Errorf("%s %v: %v, want bad %v", target, fields, got, bad)
		}
		if got != nil && (got.code != "duplicate_credential" || strings.Contains(got.message, "sk-")) {
			t.Errorf("code %q, message %q", got.code, got.message)
		}
	}
	f(true, "/v1/messages", "Authorization", "Bearer "+keyA, "authorization", "Bearer "+keyB)
	f(true, "/v1/messages", "x-api-key", "", "x-api-key", keyB)
	f(false, "/v1/messages", "x-api-key", keyA, "X-Api-Key", keyA)
	f(false, "/v1/messages", "x-litellm-api-key", keyA, "x-api-key", keyA, "x-api-key", keyB) // not where it is decided
	f(true, "/gemini/x?key="+keyA+"&key="+keyB)
	f(false, "/gemini/x?key="+keyA+"&key="+keyA)
	f(true, "/openai/x", "litellm_user_api_key", keyA, "litellm_user_api_key", keyB)
}

func TestFindDoesNotAllocate(t *testing.T) {
	rules := &credentialRules{}
	heads := []*requestHead{
		headOf("POST", "/v1/chat/completions", "Host", "x", "Authorization", "Bearer "+keyA),
		headOf("POST", "/v1/messages", "x-api-key", keyA),
		headOf("POST", "/v1beta/models/g:generateContent?key="+keyA),
		headOf("POST", "/openai/x", "litellm_user_api_key", keyA),
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, h := range heads {
			_, _ = rules.find(h)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func FuzzFind(f *testing.F) {
	f.Add("/v1/%63hat?key=a", "Authorization", "AWS4-HMAC-SHA256 Credential=Bearer ", "api-key", "x", false)
	f.Add("/langfuse/%", "authorization", "Basic ====", "sec-websocket-protocol", ",,openai-insecure-api-key.", true)
	f.Fuzz(func(t *testing.T, target, n1, v1, n2, v2 string, ws bool) {
		h := headOf("POST", target, n1, v1, n2, v2)
		h.websocket = ws
		got, bad := (&credentialRules{}).find(h)
		if (got.kind == enforce.NoCredential) != (len(got.key) == 0) {
			t.Errorf("kind %d with key %q", got.kind, got.key)
		}
		if bad != nil && got.key != nil {
			t.Errorf("a key beside a refusal")
		}
		_ = classify(h)
	})
}
