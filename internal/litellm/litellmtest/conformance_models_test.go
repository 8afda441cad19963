package litellmtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

func answersConform(t *testing.T, g *target) {
	const chatBody = `{"model":"%s","messages":[{"role":"user","content":"[[%s]] Write something."}]}`
	claude := litellm.Usage{Input: 2518, Output: 300, CacheRead: 1920, CacheWrite: 512}
	gemini := litellm.Usage{Input: 2006, Output: 1000, CacheRead: 1920, Reasoning: 700}
	for _, c := range []struct {
		name, path, body string
		kind             litellm.UsageKind
		member           string
		want             litellm.Usage
		cost             string
	}{
		{"chat", "/v1/chat/completions", fmt.Sprintf(chatBody, "fake", "p=1200 c=300 words=12"), litellm.UsageOpenAIChat, "usage", litellm.Usage{Input: 1200, Output: 300}, "0.042"},
		{"chat without v1", "/chat/completions", fmt.Sprintf(chatBody, "gpt-4o", "p=2006 c=300 cached=1920"), litellm.UsageOpenAIChat, "usage", litellm.Usage{Input: 2006, Output: 300, CacheRead: 1920}, "0.005615"},
		{"chat with reasoning", "/v1/chat/completions", fmt.Sprintf(chatBody, "o3-mini", "p=75 c=1186 reason=1024"), litellm.UsageOpenAIChat, "usage", litellm.Usage{Input: 75, Output: 1186, Reasoning: 1024}, "0.005300900000000001"},
		{"chat to Anthropic", "/v1/chat/completions", fmt.Sprintf(chatBody, "claude-sonnet-4-5", "p=86 c=300 cached=1920 cwrite=512"), litellm.UsageOpenAIChat, "usage", claude, "0.007254"},
		{"chat to Gemini", "/v1/chat/completions", fmt.Sprintf(chatBody, "gemini-2.5-pro", "p=2006 c=300 cached=1920 reason=700"), litellm.UsageOpenAIChat, "usage", gemini, "0.0103475"},
		{"a model that costs nothing has no cost header", "/v1/chat/completions", fmt.Sprintf(chatBody, "free", "p=1200 c=300"), litellm.UsageOpenAIChat, "usage", litellm.Usage{Input: 1200, Output: 300}, ""},
		{"nor has one without a price", "/v1/chat/completions", fmt.Sprintf(chatBody, "unpriced", "p=1200 c=300"), litellm.UsageOpenAIChat, "usage", litellm.Usage{Input: 1200, Output: 300}, ""},
		{"completions", "/v1/completions", `{"model":"gpt-3.5-turbo-instruct","prompt":"[[p=1200 c=300]] x"}`, litellm.UsageOpenAIChat, "usage", litellm.Usage{Input: 1200, Output: 300}, "0.0024"},
		{"embeddings", "/v1/embeddings", `{"model":"text-embedding-3-small","input":["[[p=1500]] x","y"]}`, litellm.UsageOpenAIChat, "usage", litellm.Usage{Input: 1500}, "3e-05"},
		{"responses", "/v1/responses", `{"model":"gpt-4o","input":"[[p=2006 c=300 cached=1920]] x"}`, litellm.UsageOpenAIResponses, "usage", litellm.Usage{Input: 2006, Output: 300, CacheRead: 1920}, "0.005615"},
		{"messages", "/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":500,"messages":[{"role":"user","content":"[[p=86 c=300 cached=1920 cwrite=512]] x"}]}`, litellm.UsageAnthropic, "usage", claude, "0.007254"},
		{"messages with an hour's cache", "/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":500,"messages":[{"role":"user","content":"[[p=86 c=300 cached=1920 cwrite=512 cwrite1h=1024]] x"}]}`, litellm.UsageAnthropic, "usage", litellm.Usage{Input: 3542, Output: 300, CacheRead: 1920, CacheWrite: 512, CacheWrite1h: 1024}, "0.013398"},
		{"generateContent", "/v1beta/models/gemini-2.5-pro:generateContent", `{"contents":[{"role":"user","parts":[{"text":"[[p=2006 c=300 cached=1920 reason=700]] x"}]}]}`, litellm.UsageGemini, "usageMetadata", gemini, "0.0103475"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			id := "call-" + random()
			credential := g.key(t, "")
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+c.path, strings.NewReader(c.body))
			req.Header.Set("Authorization", "Bearer "+credential)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("x-litellm-call-id", id)
			resp, err := g.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", resp.StatusCode, raw)
			}
			var body map[string]json.RawMessage
			if err := json.Unmarshal(raw, &body); err != nil {
				t.Fatal(err)
			}
			u, ok := litellm.ParseUsage(c.kind, body[c.member])
			if !ok || !sameCounts(u, c.want) || u.Cost != nil {
				t.Errorf("usage %+v, want %+v, from %s", u, c.want, body[c.member])
			}
			sameCost(t, resp.Header, c.cost)
			if got := resp.Header.Get("x-litellm-call-id"); got != id {
				t.Errorf("call id %q, want %q", got, id)
			}
			if resp.Header.Get("x-litellm-response-cost-original") == "" || resp.Header.Get("x-litellm-model-id") == "" {
				t.Errorf("headers are missing: %v", resp.Header)
			}
		})
	}
}

// sameCost compares the cost header; "" is an absent one. In the last places
// sums of binary fractions depend on their order.
func sameCost(t *testing.T, h http.Header, want string) {
	t.Helper()
	got, there := h[http.CanonicalHeaderKey("x-litellm-response-cost")]
	if want == "" {
		if there {
			t.Errorf("cost header %q, want none", got)
		}
		return
	}
	if !there {
		t.Errorf("no cost header, want %s", want)
		return
	}
	a, err := budget.ParseUSD(got[0])
	b, _ := budget.ParseUSD(want)
	if err != nil || a != b {
		t.Errorf("cost header %q, want %s", got, want)
	}
}

func sameCounts(a, b litellm.Usage) bool {
	return a.Input == b.Input && a.Output == b.Output && a.CacheRead == b.CacheRead && a.CacheWrite == b.CacheWrite && a.CacheWrite1h == b.CacheWrite1h && a.Reasoning == b.Reasoning
}

// events returns the data of a stream's events.
func events(raw []byte) (list []string) {
	for line := range strings.Lines(string(raw)) {
		if d, ok := strings.CutPrefix(line, "data: "); ok {
			list = append(list, strings.TrimSpace(d))
		}
	}
	return list
}

func streamsConform(t *testing.T, g *target) {
	const chat = `{"model":"%s","stream":true%s,"messages":[{"role":"user","content":"[[%s]] Write something."}]}`
	money := func(s string) *budget.Money { m, _ := budget.ParseUSD(s); return &m }
	for _, c := range []struct {
		name, path, body string
		kind             litellm.UsageKind
		at               []string // where the usage objects are, in one event after the other
		want             *litellm.Usage
		done             bool
	}{
		{"chat, asked for usage", "/v1/chat/completions", fmt.Sprintf(chat, "gpt-4o", `,"stream_options":{"include_usage":true}`, "p=1200 c=300 words=6"), litellm.UsageOpenAIChat, []string{"usage"}, &litellm.Usage{Input: 1200, Output: 300, Cost: money("0.006")}, true},
		{"chat, not asked", "/v1/chat/completions", fmt.Sprintf(chat, "gpt-4o", "", "p=1200 c=300 words=6"), litellm.UsageOpenAIChat, []string{"usage"}, nil, true},
		{"chat, asked for none", "/v1/chat/completions", fmt.Sprintf(chat, "gpt-4o", `,"stream_options":{"include_usage":false}`, "p=1200 c=300 words=6"), litellm.UsageOpenAIChat, []string{"usage"}, nil, true},
		{"chat from Anthropic", "/v1/chat/completions", fmt.Sprintf(chat, "claude-sonnet-4-5", `,"stream_options":{"include_usage":true}`, "p=86 c=300 cached=1920 cwrite=512 words=6"), litellm.UsageOpenAIChat, []string{"usage"}, &litellm.Usage{Input: 2518, Output: 300, CacheRead: 1920, CacheWrite: 512, Cost: money("0.007254")}, true},
		{"completions", "/v1/completions", `{"model":"gpt-3.5-turbo-instruct","stream":true,"stream_options":{"include_usage":true},"prompt":"[[p=1200 c=300 words=6]] x"}`, litellm.UsageOpenAIChat, []string{"usage"}, &litellm.Usage{Input: 1200, Output: 300, Cost: money("0.0024")}, true},
		{"responses", "/v1/responses", `{"model":"gpt-4o","stream":true,"input":"[[p=2006 c=300 cached=1920 words=6]] x"}`, litellm.UsageOpenAIResponses, []string{"response", "usage"}, &litellm.Usage{Input: 2006, Output: 300, CacheRead: 1920, Cost: money("0.005615")}, true},
		{"messages", "/v1/messages", `{"model":"claude-sonnet-4-5","stream":true,"max_tokens":500,"messages":[{"role":"user","content":"[[p=86 c=300 cached=1920 cwrite=512 words=6]] x"}]}`, litellm.UsageAnthropic, []string{"message", "usage"}, &litellm.Usage{Input: 2518, Output: 300, CacheRead: 1920, CacheWrite: 512, Cost: money("0.007254")}, false},
		{"messages, older usage", "/v1/messages", `{"model":"claude-sonnet-4-5","stream":true,"max_tokens":500,"messages":[{"role":"user","content":"[[p=86 c=300 cached=1920 cwrite=512 oldusage=1 words=6]] x"}]}`, litellm.UsageAnthropic, []string{"message", "usage"}, &litellm.Usage{Input: 2518, Output: 300, CacheRead: 1920, CacheWrite: 512}, false},
		{"generateContent", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"[[p=2006 c=300 cached=1920 reason=700 words=6]] x"}]}]}`, litellm.UsageGemini, []string{"usageMetadata"}, &litellm.Usage{Input: 2006, Output: 1000, CacheRead: 1920, Reasoning: 700}, false},
		{"generateContent without alt", "/v1beta/models/gemini-2.5-pro:streamGenerateContent", `{"contents":[{"role":"user","parts":[{"text":"[[p=2006 c=300 words=6]] x"}]}]}`, litellm.UsageGemini, []string{"usageMetadata"}, &litellm.Usage{Input: 2006, Output: 300}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			resp, raw := g.post(t, g.key(t, ""), c.path, c.body)
			if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
				t.Fatalf("%d %s %s", resp.StatusCode, resp.Header.Get("Content-Type"), raw)
			}
			sameCost(t, resp.Header, "")
			if got := resp.Header.Get("x-litellm-response-cost-original"); got != "0.0" && c.kind != litellm.UsageOpenAIChat {
				t.Errorf("cost parts on a stream: %q", got)
			}
			list := events(raw)
			if done := len(list) > 0 && list[len(list)-1] == "[DONE]"; done != c.done {
				t.Errorf("[DONE] %v, want %v", done, c.done)
			}
			u, found := lastUsage(c.kind, list, c.at)
			switch {
			case c.want == nil:
				if found {
					t.Errorf("usage %+v for a client that did not ask", u)
				}
			case !found || !sameCounts(u, *c.want):
				t.Errorf("usage %+v (%v), want %+v in %s", u, found, *c.want, raw)
			case (u.Cost == nil) != (c.want.Cost == nil) || u.Cost != nil && *u.Cost != *c.want.Cost:
				t.Errorf("usage.cost %v, want %v", u.Cost, c.want.Cost)
			}
		})
	}
	t.Run("the usage chunk has one empty choice", func(t *testing.T) {
		t.Parallel()
		_, raw := g.post(t, g.key(t, ""), "/v1/chat/completions", fmt.Sprintf(chat, "gpt-4o", `,"stream_options":{"include_usage":true}`, "p=12 c=3 words=2"))
		list := events(raw)
		if len(list) < 2 || !strings.Contains(list[len(list)-2], `"choices":[{"index":0,"delta":{}}],"usage":{`) {
			t.Errorf("last chunks: %q", list[max(0, len(list)-2):])
		}
	})
	// At full speed LiteLLM can see the break before it has sent its own head: then
	// it answers a plain 500.
	t.Run("a provider that breaks off ends in an error event, with 200 and without [DONE]", func(t *testing.T) {
		t.Parallel()
		resp, raw := g.post(t, g.key(t, ""), "/v1/chat/completions", fmt.Sprintf(chat, "fake", "", "p=1200 c=300 words=12 ev=0.1 cut=5"))
		list := events(raw)
		if resp.StatusCode != 200 || len(list) == 0 || !strings.Contains(list[len(list)-1], `{"error": {"message": `) {
			t.Errorf("%d %s", resp.StatusCode, raw)
		}
	})
}

// lastUsage reads a stream as a meter does. On Anthropic streams both the start
// and the delta count.
func lastUsage(kind litellm.UsageKind, list, at []string) (u litellm.Usage, found bool) {
	for _, e := range list {
		paths := [][]string{at}
		if kind == litellm.UsageAnthropic {
			paths = append(paths, at[1:])
		}
		for _, path := range paths {
			raw := json.RawMessage(e)
			for _, name := range path {
				var o map[string]json.RawMessage
				if json.Unmarshal(raw, &o) != nil {
					raw = nil
					break
				}
				raw = o[name]
			}
			if next, ok := litellm.ParseUsage(kind, raw); ok {
				u, found = u.Then(kind, next), true
			}
		}
	}
	return u, found
}
