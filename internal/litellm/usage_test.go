package litellm

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

func TestUsageOfRecordings(t *testing.T) {
	t.Parallel()
	claude := Usage{Input: 2518, Output: 300, CacheRead: 1920, CacheWrite: 512}
	plain := Usage{Input: 1200, Output: 300}
	cached := Usage{Input: 2006, Output: 300, CacheRead: 1920}
	for name, c := range map[string]struct {
		kind UsageKind
		want Usage
		cost string // usage.cost; "" none
	}{
		"chat-json":                          {UsageOpenAIChat, plain, ""},
		"chat-json-gpt-4o-cached":            {UsageOpenAIChat, cached, ""},
		"chat-json-claude":                   {UsageOpenAIChat, claude, ""},
		"chat-json-gemini":                   {UsageOpenAIChat, Usage{Input: 2006, Output: 1000, CacheRead: 1920, Reasoning: 700}, ""},
		"chat-json-o4-mini-reasoning-cached": {UsageOpenAIChat, Usage{Input: 2006, Output: 1186, CacheRead: 1920, Reasoning: 1024}, ""},
		"chat-json-nousage":                  {UsageOpenAIChat, Usage{}, ""},
		"chat-stream-include-usage":          {UsageOpenAIChat, plain, "0.006"},
		"chat-stream-claude":                 {UsageOpenAIChat, claude, "0.007254"},
		"completions-json":                   {UsageOpenAIChat, plain, ""},
		"completions-stream":                 {UsageOpenAIChat, plain, "0.0024"},
		"embeddings":                         {UsageOpenAIChat, Usage{Input: 1500}, ""},
		"images":                             {UsageOpenAIChat, Usage{Input: 50, Output: 272}, ""},
		"transcription-gpt-4o":               {UsageOpenAIResponses, Usage{Input: 14, Output: 101, InputAudio: 4}, ""},
		"responses-json":                     {UsageOpenAIResponses, cached, ""},
		"responses-stream":                   {UsageOpenAIResponses, cached, "0.005615"},
		"messages-json":                      {UsageAnthropic, claude, ""},
		"messages-json-1h-cache":             {UsageAnthropic, Usage{Input: 3542, Output: 300, CacheRead: 1920, CacheWrite: 512, CacheWrite1h: 1024}, ""},
		"messages-json-gpt-4o":               {UsageAnthropic, plain, ""},
		"messages-stream":                    {UsageAnthropic, claude, "0.007254"},
		"messages-stream-gpt-4o":             {UsageAnthropic, plain, "0.006"},
		// The delta has no input_tokens: its cost, which forgets them, is no cost.
		"messages-stream-oldusage":   {UsageAnthropic, claude, ""},
		"pass-anthropic-json":        {UsageAnthropic, claude, ""},
		"pass-anthropic-stream":      {UsageAnthropic, claude, "0.007254"},
		"pass-openai-chat-json":      {UsageOpenAIChat, cached, ""},
		"pass-openai-chat-stream":    {UsageOpenAIChat, plain, "0.006"},
		"generatecontent-json":       {UsageGemini, Usage{Input: 2006, Output: 1000, CacheRead: 1920, Reasoning: 700}, ""},
		"generatecontent-stream-sse": {UsageGemini, Usage{Input: 2006, Output: 1000, CacheRead: 1920, Reasoning: 700}, ""},
		"pass-gemini-stream":         {UsageGemini, Usage{Input: 2006, Output: 1000, CacheRead: 1920, Reasoning: 700}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, found := usageIn(c.kind, recorded(t, name).body)
			if !found {
				t.Fatal("no usage found")
			}
			cost := u.Cost
			u.Cost, u.said = nil, 0
			if u != c.want {
				t.Errorf("usage %+v, want %+v", u, c.want)
			}
			switch {
			case c.cost == "" && cost != nil:
				t.Errorf("cost %v, want none", *cost)
			case c.cost != "" && (cost == nil || *cost != *usd(t, c.cost)):
				t.Errorf("cost %v, want %s", cost, c.cost)
			}
		})
	}
}

// usageIn finds the usage of a JSON answer or of a stream, as a meter would.
func usageIn(kind UsageKind, body []byte) (u Usage, found bool) {
	var bodies []string
	for line := range strings.Lines(string(body)) {
		if d, ok := strings.CutPrefix(line, "data: "); ok {
			bodies = append(bodies, d)
		}
	}
	if bodies == nil {
		bodies = []string{string(body)}
	}
	for _, b := range bodies {
		var o map[string]json.RawMessage
		if json.Unmarshal([]byte(b), &o) != nil {
			continue
		}
		for _, holder := range []string{"message", "response"} {
			var inner map[string]json.RawMessage
			if json.Unmarshal(o[holder], &inner) == nil && inner["usage"] != nil {
				o["usage"] = inner["usage"]
			}
		}
		for _, name := range []string{"usage", "usageMetadata"} {
			if next, ok := ParseUsage(kind, o[name]); ok {
				u, found = u.Then(kind, next), true
			}
		}
	}
	return u, found
}

func TestParseUsageCases(t *testing.T) {
	t.Parallel()
	money := func(m budget.Money) *budget.Money { return &m }
	for _, c := range []struct {
		why  string
		kind UsageKind
		in   string
		want Usage
		ok   bool
	}{
		{"null says nothing", UsageOpenAIChat, `null`, Usage{}, false},
		{"an empty object says nothing", UsageOpenAIChat, `{}`, Usage{}, false},
		{"a duration is no count", UsageOpenAIResponses, `{"type":"duration","seconds":9.0}`, Usage{}, false},
		{"null counts say nothing", UsageOpenAIChat, `{"prompt_tokens":null,"completion_tokens":null}`, Usage{}, false},
		{"null details are normal", UsageOpenAIChat, `{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":null}`, Usage{Input: 3, Output: 4}, true},
		{"a negative count spoils all", UsageOpenAIChat, `{"prompt_tokens":-3,"completion_tokens":4}`, Usage{}, false},
		{"a fraction spoils all", UsageOpenAIChat, `{"prompt_tokens":3.5,"completion_tokens":4}`, Usage{}, false},
		{"a whole float is whole", UsageOpenAIChat, `{"prompt_tokens":3.0,"completion_tokens":4e2}`, Usage{Input: 3, Output: 400}, true},
		{"an absurd count spoils all", UsageOpenAIChat, `{"prompt_tokens":3,"completion_tokens":99999999999999999999}`, Usage{}, false},
		{"a nested absurd count too", UsageOpenAIChat, `{"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":2000000000}}`, Usage{}, false},
		{"a count in words spoils all", UsageOpenAIChat, `{"prompt_tokens":"many"}`, Usage{}, false},
		{"only a total: it is input", UsageOpenAIChat, `{"total_tokens":7}`, Usage{Input: 7}, true},
		{"a cut object is none", UsageOpenAIChat, `{"prompt_tokens":3,"completion_tok`, Usage{}, false},
		{"a cost of 0 is a cost", UsageOpenAIChat, `{"prompt_tokens":3,"cost":0}`, Usage{Input: 3, Cost: money(0)}, true},
		{"a cost with an exponent", UsageOpenAIChat, `{"prompt_tokens":3,"cost":2.85e-05}`, Usage{Input: 3, Cost: money(28500)}, true},
		{"a cost in an object", UsageOpenAIChat, `{"prompt_tokens":3,"cost":{"currency":"USD","total_cost":0.5}}`, Usage{Input: 3, Cost: money(budget.Dollar / 2)}, true},
		{"a negative cost is none", UsageOpenAIChat, `{"prompt_tokens":3,"cost":-1}`, Usage{Input: 3}, true},
		{"a cost in words is none", UsageOpenAIChat, `{"prompt_tokens":3,"cost":"NaN"}`, Usage{Input: 3}, true},
		{"of duplicate members the last counts", UsageOpenAIChat, `{"prompt_tokens":3,"prompt_tokens":9}`, Usage{Input: 9}, true},
		{"realtime's names", UsageOpenAIResponses, `{"input_tokens":9,"output_tokens":5,"input_token_details":{"audio_tokens":4,"cached_tokens":2},"output_token_details":{"audio_tokens":3}}`, Usage{Input: 9, Output: 5, CacheRead: 2, InputAudio: 4, OutputAudio: 3}, true},
		{"Gemini's tools are input, thoughts output", UsageGemini, `{"promptTokenCount":10,"toolUsePromptTokenCount":5,"candidatesTokenCount":7,"thoughtsTokenCount":3}`, Usage{Input: 15, Output: 10, Reasoning: 3}, true},
		{"Gemini's modalities", UsageGemini, `{"promptTokenCount":10,"promptTokensDetails":[{"modality":"TEXT","tokenCount":4},{"modality":"AUDIO","tokenCount":6}],"candidatesTokenCount":7,"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":7}]}`, Usage{Input: 10, Output: 7, InputAudio: 6, OutputImage: 7}, true},
		{"Anthropic's cache is on top of input", UsageAnthropic, `{"input_tokens":1,"cache_read_input_tokens":20,"cache_creation_input_tokens":300,"output_tokens":4}`, Usage{Input: 321, Output: 4, CacheRead: 20, CacheWrite: 300}, true},
	} {
		got, ok := ParseUsage(c.kind, []byte(c.in))
		if ok != c.ok {
			t.Errorf("%s: ok %v, want %v", c.why, ok, c.ok)
			continue
		}
		if !ok {
			continue
		}
		if (got.Cost == nil) != (c.want.Cost == nil) || got.Cost != nil && *got.Cost != *c.want.Cost {
			t.Errorf("%s: cost %v, want %v", c.why, got.Cost, c.want.Cost)
		}
		got.Cost, got.said, c.want.Cost = nil, 0, nil
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
	}
}

func TestThenKeepsTheSplitOfCacheWrites(t *testing.T) {
	t.Parallel()
	start, _ := ParseUsage(UsageAnthropic, []byte(`{"input_tokens":86,"cache_creation_input_tokens":1536,"cache_read_input_tokens":1920,"cache_creation":{"ephemeral_5m_input_tokens":512,"ephemeral_1h_input_tokens":1024},"output_tokens":1}`))
	delta, _ := ParseUsage(UsageAnthropic, []byte(`{"input_tokens":86,"cache_creation_input_tokens":1536,"cache_read_input_tokens":1920,"output_tokens":300}`))
	u := start.Then(UsageAnthropic, delta)
	if u.Input != 3542 || u.CacheWrite != 512 || u.CacheWrite1h != 1024 || u.Output != 300 {
		t.Errorf("%+v", u)
	}
}

func FuzzParseUsage(f *testing.F) {
	f.Add(uint8(0), []byte(`{"prompt_tokens":1200,"completion_tokens":300,"cost":0.006,"prompt_tokens_details":{"cached_tokens":7}}`))
	f.Add(uint8(2), []byte(`{"input_tokens":86,"cache_creation":{"ephemeral_1h_input_tokens":3},"output_tokens":300}`))
	f.Add(uint8(3), []byte(`{"promptTokenCount":2006,"promptTokensDetails":[{"modality":"TEXT","tokenCount":2006}]}`))
	f.Add(uint8(1), []byte(`{"a":"\"}","b":[{"c":[]}],"input_tokens":1}`))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		u, ok := ParseUsage(UsageKind(kind%4), b)
		if !ok {
			return
		}
		for _, n := range []int64{u.Input, u.Output, u.CacheRead, u.CacheWrite, u.CacheWrite1h, u.Reasoning, u.InputAudio, u.OutputAudio, u.InputImage, u.OutputImage} {
			if n < 0 || n > 1000*maxTokens {
				t.Errorf("count %d from %q", n, b)
			}
		}
		if u.Cost != nil && *u.Cost < 0 {
			t.Errorf("cost %v from %q", *u.Cost, b)
		}
	})
}

func BenchmarkParseUsage(b *testing.B) {
	usage := []byte(`{"completion_tokens":300,"prompt_tokens":1200,"total_tokens":1500,"completion_tokens_details":{"accepted_prediction_tokens":0,"audio_tokens":0,"reasoning_tokens":0,"rejected_prediction_tokens":0},"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":0},"cost":0.006}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ParseUsage(UsageOpenAIChat, usage); !ok {
			b.Fatal("no usage")
		}
	}
}
