package litellmtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

func clientErrorsConform(t *testing.T, g *target) {
	const body = `{"model":"fake","messages":[{"role":"user","content":"[[p=12 c=3]] x"}]}`
	good := g.key(t, "")
	narrow := g.key(t, `,"models":["gpt-4o"]`)
	for _, c := range []struct {
		name, method, key, path, body string
		status                        int
		holds                         string
		cost                          string // x-litellm-response-cost; "" absent
	}{
		{"no key", "POST", "", "/v1/chat/completions", body, 401, `"type":"auth_error"`, ""},
		{"unknown key", "POST", "sk-unknown-" + random(), "/v1/chat/completions", body, 401, `"type":"token_not_found_in_db"`, ""},
		{"unknown key on messages", "POST", "sk-unknown-" + random(), "/v1/messages", body, 401, `{"error":{"message":`, ""},
		{"no virtual key", "POST", "hello", "/v1/chat/completions", body, 401, `"type":"auth_error"`, ""},
		{"unknown model", "POST", good, "/v1/chat/completions", `{"model":"nope","messages":[{"role":"user","content":"x"}]}`, 400, `"type":"invalid_request_error"`, "0"},
		{"unknown model on messages", "POST", good, "/v1/messages", `{"model":"nope","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`, 400, `{"type":"error","error":{"type":"invalid_request_error"`, "0"},
		{"no messages", "POST", good, "/v1/chat/completions", `{"model":"fake"}`, 400, `"param":"messages"`, "0"},
		{"not JSON", "POST", good, "/v1/chat/completions", `{"model":"fake","messages":[`, 400, `"param":"request_body"`, ""},
		{"wrong method", "GET", good, "/v1/chat/completions", "", 405, `{"detail":"Method Not Allowed"}`, ""},
		{"unknown route", "POST", good, "/v1/nope", `{}`, 404, `{"detail":"Not Found"}`, ""},
		{"a model that the key may not use", "POST", narrow, "/v1/chat/completions", body, 403, `"type":"key_model_access_denied"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			resp, raw := g.send(t, c.method, c.key, c.path, c.body)
			if resp.StatusCode != c.status || !strings.Contains(string(raw), c.holds) {
				t.Errorf("%d %s, want %d with %s", resp.StatusCode, raw, c.status, c.holds)
			}
			sameCost(t, resp.Header, c.cost)
		})
	}
}

// The statuses 400 and 500 do not put a deployment into cooldown for others, as
// 401 would.
func upstreamErrorsConform(t *testing.T, g *target) {
	for _, status := range []int{400, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			resp, raw := g.post(t, g.key(t, ""), "/v1/chat/completions", fmt.Sprintf(`{"model":"fake","messages":[{"role":"user","content":"[[err=%d]] x"}]}`, status))
			if resp.StatusCode != status || !strings.Contains(string(raw), fmt.Sprintf(`"code":"%d"`, status)) {
				t.Errorf("%d %s", resp.StatusCode, raw)
			}
			sameCost(t, resp.Header, "0")
		})
	}
}

func overBudgetConforms(t *testing.T, g *target) {
	ctx := t.Context()
	alias := "over-" + random()
	credential := g.key(t, `,"max_budget":0.001,"key_alias":"`+alias+`"`)
	call := func(path, model, more string) (head, []byte) {
		t.Helper()
		return g.post(t, credential, path, `{"model":"`+model+`","max_tokens":300,"messages":[{"role":"user","content":"[[p=1200 c=300]] x"}]`+more+`}`)
	}
	if resp, raw := call("/v1/chat/completions", "fake", ""); resp.StatusCode != 200 {
		t.Fatalf("the call that goes over: %d %s", resp.StatusCode, raw)
	}
	refused := func(what string, resp head, raw []byte) {
		t.Helper()
		r, ok := litellm.ParseRefusal(resp.StatusCode, raw)
		if !ok || r.Subject != "key" || r.Max == nil || *r.Max != budget.Dollar/1000 {
			t.Errorf("%s: %d %s, read as %+v %v", what, resp.StatusCode, raw, r, ok)
		}
		if resp.Header.Get("x-litellm-call-id") != "" {
			t.Errorf("%s: a refusal with a call id", what)
		}
	}
	// Spend reaches the counter when the answer has been sent, a moment later.
	deadline := time.Now().Add(10 * time.Second)
	for {
		resp, raw := call("/v1/chat/completions", "fake", "")
		if _, ok := litellm.ParseRefusal(resp.StatusCode, raw); ok || time.Now().After(deadline) {
			refused("chat", resp, raw)
			break
		}
	}
	resp, raw := call("/v1/messages", "claude-sonnet-4-5", "")
	refused("messages", resp, raw)
	resp, raw = call("/v1/chat/completions", "fake", `,"stream":true`)
	refused("stream", resp, raw)
	resp, raw = g.post(t, credential, "/v1beta/models/gemini-2.5-pro:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`)
	refused("generateContent", resp, raw)
	resp, raw = g.send(t, http.MethodGet, credential, "/v1/models", "")
	refused("models", resp, raw)
	if resp, raw := call("/v1/chat/completions", "free", ""); resp.StatusCode != 200 {
		t.Errorf("a free model: %d %s", resp.StatusCode, raw)
	}
	if _, err := g.client.KeyInfo(ctx, credential); err != nil {
		t.Errorf("its own info: %v", err)
	}
	if _, err := g.client.Models(ctx, credential); err != nil {
		t.Errorf("prices: %v", err)
	}
}

func spendLaterConforms(t *testing.T, g *target) {
	credential := g.key(t, "")
	for range 2 {
		if resp, raw := g.post(t, credential, "/v1/chat/completions", `{"model":"fake","messages":[{"role":"user","content":"[[p=1200 c=300]] x"}]}`); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, raw)
		}
	}
	want, _ := budget.ParseUSD("0.084")
	deadline := time.Now().Add(g.lag)
	for {
		f, err := g.client.KeyInfo(t.Context(), credential)
		if err == nil && f.Limits.Spend == want && f.Limits.TotalSpend != nil && *f.Limits.TotalSpend == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %+v, %v", g.lag, f.Limits, err)
		}
		select {
		case <-time.After(g.lag / 100):
		case <-t.Context().Done():
			t.Fatal("ended")
		}
	}
}

// Two ways round LiteLLM's books.
func hiddenCallsConform(t *testing.T, g *target) {
	credential := g.key(t, "")
	resp, raw := g.post(t, credential, "/v1/chat/completions", `{"model":"fake","no-log":true,"messages":[{"role":"user","content":"[[p=1200 c=300]] x"}]}`)
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, raw)
	}
	sameCost(t, resp.Header, "0.042")
	resp, raw = g.post(t, credential, "/v1/chat/completions", `{"model":"fake,gpt-4o","messages":[{"role":"user","content":"[[p=1200 c=300]] x"}]}`)
	var two []struct {
		Model string          `json:"model"`
		Usage json.RawMessage `json:"usage"`
	}
	if err := json.Unmarshal(raw, &two); err != nil || resp.StatusCode != 200 || len(two) != 2 {
		t.Fatalf("%d %v %s", resp.StatusCode, err, raw)
	}
	if !slices.Equal([]string{two[0].Model, two[1].Model}, []string{"fake", "gpt-4o"}) {
		t.Errorf("models %q, %q", two[0].Model, two[1].Model)
	}
	if u, ok := litellm.ParseUsage(litellm.UsageOpenAIChat, two[1].Usage); !ok || u.Input != 1200 || u.Output != 300 {
		t.Errorf("usage %+v from %s", u, two[1].Usage)
	}
	sameCost(t, resp.Header, "")
}

func realtimeConforms(t *testing.T, g *target) {
	dial := func(credential string) (status int, body []byte) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/v1/realtime?model=gpt-4o-realtime-preview", nil)
		for name, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			req.Header.Set(name, v)
		}
		if credential != "" {
			req.Header.Set("Authorization", "Bearer "+credential)
		}
		resp, err := g.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusSwitchingProtocols {
			body, _ = io.ReadAll(resp.Body)
		}
		return resp.StatusCode, body
	}
	if status, _ := dial(g.key(t, "")); status != http.StatusSwitchingProtocols {
		t.Errorf("good key: %d", status)
	}
	for what, credential := range map[string]string{"no key": "", "unknown key": "sk-unknown-" + random()} {
		if status, body := dial(credential); status != http.StatusForbidden || len(body) != 0 {
			t.Errorf("%s: %d %q", what, status, body)
		}
	}
}

// Through to the provider: its own bytes, a call id of LiteLLM's own, no cost.
func passThroughConforms(t *testing.T, g *target) {
	for _, c := range []struct {
		name, path, body, header string
		kind                     litellm.UsageKind
		member                   string
		want                     litellm.Usage
	}{
		{"OpenAI", "/openai/v1/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"[[p=2006 c=300 cached=1920]] x"}]}`, "Authorization", litellm.UsageOpenAIChat, "usage", litellm.Usage{Input: 2006, Output: 300, CacheRead: 1920}},
		{"Anthropic", "/anthropic/v1/messages", `{"model":"claude-sonnet-4-5-20250929","max_tokens":500,"messages":[{"role":"user","content":"[[p=86 c=300 cached=1920 cwrite=512]] x"}]}`, "x-api-key", litellm.UsageAnthropic, "usage", litellm.Usage{Input: 2518, Output: 300, CacheRead: 1920, CacheWrite: 512}},
		{"Gemini", "/gemini/v1beta/models/gemini-2.5-pro:generateContent", `{"contents":[{"role":"user","parts":[{"text":"[[p=2006 c=300 cached=1920 reason=700]] x"}]}]}`, "x-goog-api-key", litellm.UsageGemini, "usageMetadata", litellm.Usage{Input: 2006, Output: 1000, CacheRead: 1920, Reasoning: 700}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+c.path, strings.NewReader(c.body))
			credential := g.key(t, "")
			if c.header == "Authorization" {
				credential = "Bearer " + credential
			}
			req.Header.Set(c.header, credential)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("x-litellm-call-id", "mine")
			resp, err := g.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			var body map[string]json.RawMessage
			if err := json.Unmarshal(raw, &body); err != nil || resp.StatusCode != 200 {
				t.Fatalf("%d %s", resp.StatusCode, raw)
			}
			if u, ok := litellm.ParseUsage(c.kind, body[c.member]); !ok || !sameCounts(u, c.want) {
				t.Errorf("usage %+v, want %+v", u, c.want)
			}
			sameCost(t, resp.Header, "")
			if id := resp.Header.Get("x-litellm-call-id"); id == "" || id == "mine" {
				t.Errorf("call id %q", id)
			}
			if bytes.Contains(raw, []byte(`":"`)) {
				t.Errorf("not the provider's own bytes: %s", raw)
			}
		})
	}
}

// Where a key may stand, and what beats what.
func credentialsConform(t *testing.T, g *target) {
	good := g.key(t, "")
	const (
		chat   = "/v1/chat/completions"
		google = "/v1beta/models/gemini-2.5-pro:generateContent"
		gemini = "/gemini/v1beta/models/gemini-2.5-pro:generateContent"
		openai = "/openai/v1/chat/completions"
		body   = `{"model":"gpt-4o","messages":[{"role":"user","content":"[[p=12 c=3]] x"}],"contents":[{"role":"user","parts":[{"text":"[[p=12 c=3]] x"}]}]}`
	)
	for _, c := range []struct {
		why, path string
		headers   map[string]string
		want      int
	}{
		{"bearer", chat, map[string]string{"Authorization": "Bearer GOOD"}, 200},
		{"small bearer", chat, map[string]string{"Authorization": "bearer GOOD"}, 200},
		{"capital bearer", chat, map[string]string{"Authorization": "BEARER GOOD"}, 401},
		{"no scheme", chat, map[string]string{"Authorization": "GOOD"}, 401},
		{"Basic, undecoded", chat, map[string]string{"Authorization": "Basic GOOD"}, 200},
		{"x-api-key", chat, map[string]string{"x-api-key": "GOOD"}, 200},
		{"x-api-key with a scheme", chat, map[string]string{"x-api-key": "Bearer GOOD"}, 401},
		{"API-Key", chat, map[string]string{"API-Key": "GOOD"}, 200},
		{"x-goog-api-key", chat, map[string]string{"x-goog-api-key": "GOOD"}, 200},
		{"Ocp-Apim-Subscription-Key", chat, map[string]string{"Ocp-Apim-Subscription-Key": "GOOD"}, 200},
		{"x-litellm-api-key with a scheme", chat, map[string]string{"x-litellm-api-key": "Bearer GOOD"}, 200},
		{"x-litellm-api-key beats Authorization", chat, map[string]string{"x-litellm-api-key": "GOOD", "Authorization": "Bearer sk-bad-0000000000"}, 200},
		{"and a bad one is not passed over", chat, map[string]string{"x-litellm-api-key": "sk-bad-0000000000", "Authorization": "Bearer GOOD"}, 401},
		{"Authorization beats x-api-key", chat, map[string]string{"Authorization": "Bearer GOOD", "x-api-key": "sk-bad-0000000000"}, 200},
		{"in the query of a Google route", google + "?key=GOOD", nil, 200},
		{"in the query elsewhere", chat + "?key=GOOD", nil, 401},
		{"/gemini does not read Authorization", gemini, map[string]string{"Authorization": "Bearer GOOD"}, 401},
		{"/gemini reads the query first", gemini + "?key=GOOD", map[string]string{"x-goog-api-key": "sk-bad-0000000000"}, 200},
		{"litellm_user_api_key beats all on pass-through", openai, map[string]string{"litellm_user_api_key": "GOOD", "Authorization": "Bearer sk-bad-0000000000"}, 200},
		{"also when it is bad", openai, map[string]string{"litellm_user_api_key": "sk-bad-0000000000", "Authorization": "Bearer GOOD"}, 401},
		{"and is nothing elsewhere", chat, map[string]string{"litellm_user_api_key": "sk-bad-0000000000", "Authorization": "Bearer GOOD"}, 200},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+strings.ReplaceAll(c.path, "GOOD", good), strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			for name, v := range c.headers {
				req.Header.Set(name, strings.ReplaceAll(v, "GOOD", good))
			}
			resp, err := g.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.want {
				t.Errorf("%d, want %d: %s", resp.StatusCode, c.want, raw)
			}
		})
	}
}
