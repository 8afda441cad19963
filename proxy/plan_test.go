package proxy

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

// testPrices holds the models of the recordings.
func testPrices() *litellm.Prices {
	p := litellm.NewPrices(nil)
	deploy := func(name string, fields map[string]any) litellm.Deployment {
		return litellm.Deployment{ID: "id-" + name, Name: name, Model: "provider/" + name, Key: name, Fields: fields}
	}
	p.Load([]litellm.Deployment{
		deploy("fake", map[string]any{"input_cost_per_token": 10e-6, "output_cost_per_token": 100e-6}),
		deploy("free", map[string]any{"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}),
		deploy("unpriced", map[string]any{}),
		deploy("gpt-4o", map[string]any{"input_cost_per_token": 2.5e-6, "output_cost_per_token": 10e-6, "cache_read_input_token_cost": 1.25e-6, "max_output_tokens": 16384.0, "max_input_tokens": 128000.0}),
		deploy("gpt-3.5-turbo-instruct", map[string]any{"input_cost_per_token": 1.5e-6, "output_cost_per_token": 2e-6}),
		deploy("text-embedding-3-small", map[string]any{"input_cost_per_token": 0.02e-6, "output_cost_per_token": 0.0}),
		deploy("claude-sonnet-4-5", map[string]any{"input_cost_per_token": 3e-6, "output_cost_per_token": 15e-6, "cache_read_input_token_cost": 0.3e-6, "cache_creation_input_token_cost": 3.75e-6, "cache_creation_input_token_cost_above_1hr": 6e-6}),
		deploy("gemini-2.5-pro", map[string]any{"input_cost_per_token": 1.25e-6, "output_cost_per_token": 10e-6, "cache_read_input_token_cost": 0.125e-6}),
		deploy("dall-e", map[string]any{"input_cost_per_image": 0.04, "mode": "image_generation"}),
	}, nil, time.Unix(0, 0))
	return p
}

var chatRoute = classify(headOf("POST", "/v1/chat/completions"))

func planOf(t *testing.T, r route, body string) plan {
	t.Helper()
	p := &planner{prices: testPrices(), unpriced: "estimate"}
	return p.plan(r, []byte(body), true, int64(len(body)))
}

func dollar(v float64) budget.Money { m, _ := budget.USD(v); return m }

func TestPlanEstimates(t *testing.T) {
	t.Parallel()
	pad := func(body string, n int) string {
		return strings.Replace(body, "#", strings.Repeat("x y ", n)[:n-len(body)+1], 1)
	}
	body := pad(`{"model":"fake","max_tokens":100,"messages":[{"content":"#"}]}`, 4000)
	p := planOf(t, chatRoute, body)
	// 4,000 bytes: 1,000 tokens and at most 4,000; 100 out at $100 per million.
	if p.model != "fake" || p.estimate.Mean != dollar(0.01+0.01) || p.estimate.Worst != dollar(0.04+0.01) {
		t.Errorf("a cap of 100: %+v", p)
	}
	if want := math.Hypot(0.01/4, 0.01/5); math.Abs(p.estimate.StdDev-want) > 1e-12 {
		t.Errorf("deviation %v, want %v", p.estimate.StdDev, want)
	}

	p = planOf(t, chatRoute, pad(`{"model":"fake","messages":[{"content":"#"}]}`, 4000))
	if p.estimate.Mean != dollar(0.01+0.1024) || p.estimate.Worst != dollar(0.04+1.6384) {
		t.Errorf("no cap: %+v", p.estimate)
	}
	p = planOf(t, chatRoute, pad(`{"model":"fake","n":3,"max_tokens":10,"max_completion_tokens":100,"messages":[{"content":"#"}]}`, 4000))
	if p.estimate.Mean != dollar(0.01+0.03) || p.estimate.Worst != dollar(0.04+0.03) {
		t.Errorf("three choices, the larger of two caps: %+v", p.estimate)
	}
	two := planOf(t, chatRoute, pad(`{"model":"fake,gpt-4o","max_tokens":100,"messages":[{"content":"#"}]}`, 4000))
	if two.estimate.Mean != dollar(0.02+0.0025+0.001) || two.estimate.Worst != dollar(0.05+0.01+0.001) {
		t.Errorf("two models are the sum: %+v", two.estimate)
	}
	p = planOf(t, classify(headOf("POST", "/v1/messages")), pad(`{"model":"fake","max_tokens":100,"max_completion_tokens":1,"m":"#"}`, 4000))
	if p.estimate.Worst < dollar(0.05) {
		t.Errorf("a cap in another API's words counts: %+v", p.estimate)
	}
	p = planOf(t, classify(headOf("POST", "/v1/embeddings")), pad(`{"model":"text-embedding-3-small","input":"#"}`, 4000))
	if p.estimate.Mean != dollar(1000*0.02e-6) {
		t.Errorf("embeddings have no output: %+v", p.estimate)
	}
	google := classify(headOf("POST", "/v1beta/models/gemini-2.5-pro:generateContent"))
	p = planOf(t, google, pad(`{"model":"free","contents":"#","generationConfig":{"maxOutputTokens":100}}`, 4000))
	if p.model != "gemini-2.5-pro" || p.estimate.Worst != dollar(0.005+0.001) || p.free {
		t.Errorf("the model in the path beats the one in the body: %+v", p)
	}
	p = planOf(t, classify(headOf("POST", "/v1/images/generations")), `{"model":"dall-e","n":2}`)
	if p.estimate.Mean != dollar(0.02) || p.estimate.Worst != dollar(0.2) || p.unpriced {
		t.Errorf("billed by image: %+v", p)
	}
	p = planOf(t, classify(headOf("POST", "/mcp")), `{"jsonrpc":"2.0"}`)
	if p.estimate.Mean != 0 || p.estimate.Worst == 0 {
		t.Errorf("a tool costs nothing unless somebody says so: %+v", p.estimate)
	}
}

func TestPlanJudgesTheUnknownAsTheDearest(t *testing.T) {
	t.Parallel()
	p := &planner{prices: testPrices(), unpriced: "estimate"}
	fake := planOf(t, chatRoute, `{"model":"fake","x":"abcdefgh"}`).estimate
	for what, body := range map[string]string{
		"an unknown model": `{"model":"new_","x":"abcdefgh"}`, "no model": `{"modex":"fake","x":"abcdefg"}`,
		"a model that is no string": `{"model":12345,"x":"abcdefgh1"}`,
	} {
		if got := planOf(t, chatRoute, body); got.estimate.Mean != fake.Mean {
			t.Errorf("%s: %+v, want %+v", what, got.estimate, fake)
		}
	}
	cheap := []byte(`{"model":"text-embedding-3-small","messages":"` + strings.Repeat("a ", 1000))
	if got := p.plan(chatRoute, cheap, false, 1<<20); got.estimate.Worst < dollar(1<<20*10e-6) || got.free {
		t.Errorf("a body that was not scanned whole could still name another model: %+v", got.estimate)
	}
	image := []byte(`{"model":"gpt-4o","m":[{"url":"data:image/png;base64,` + strings.Repeat("iVBORw0KGgoAAAANSUhEUgAA", 40_000))
	if got := p.plan(chatRoute, image, false, 27<<20); got.estimate.Worst > dollar(2) {
		t.Errorf("an image of 20 MB is held for like text: %+v", got.estimate)
	}
	if got := p.plan(chatRoute, []byte(`{"model":"fake"`), false, -1); got.estimate.Mean == 0 {
		t.Errorf("a body of unknown length: %+v", got.estimate)
	}
	none := &planner{prices: litellm.NewPrices(nil), unpriced: "refuse"}
	if got := none.plan(chatRoute, []byte(`{"model":"gpt-4o"}`), true, 18); got.estimate != defaultEstimate || got.refuse || got.free {
		t.Errorf("no price table is our trouble, not the caller's: %+v", got)
	}
	if got := (&planner{}).plan(chatRoute, nil, true, 0); got.estimate != defaultEstimate {
		t.Errorf("no prices at all: %+v", got)
	}
}

func TestPlanUnpriced(t *testing.T) {
	t.Parallel()
	body := []byte(`{"model":"unpriced"}`)
	for policy, want := range map[string]struct {
		refuse bool
		some   bool
	}{"estimate": {false, true}, "refuse": {true, true}, "allow": {false, false}} {
		got := (&planner{prices: testPrices(), unpriced: policy}).plan(chatRoute, body, true, int64(len(body)))
		if !got.unpriced || got.refuse != want.refuse || (got.estimate.Worst > 0) != want.some || got.free {
			t.Errorf("%s: %+v", policy, got)
		}
	}
}

func TestPlanFree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, body string
		free       bool
	}{
		{"an explicit price of 0", `{"model":"free"}`, true},
		{"a fallback is named", `{"model":"free","fallbacks":["fake"]}`, false},
		{"with a model that costs", `{"model":"free,fake"}`, false},
		{"a later duplicate costs", `{"model":"free","mo\u0064el":"fake"}`, false},
		{"no price is not free", `{"model":"unpriced"}`, false},
		{"the body is broken", `{"model":"free"`, false},
	} {
		if got := planOf(t, chatRoute, c.body); got.free != c.free {
			t.Errorf("%s: free %v", c.what, got.free)
		}
	}
	p := &planner{prices: testPrices()}
	if p.plan(chatRoute, []byte(`{"model":"free"}`), false, 100).free {
		t.Error("a body not scanned whole is free")
	}
}

func TestPlanReadsForms(t *testing.T) {
	t.Parallel()
	form := "--b1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nfake\r\n--b1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"
	r := classify(headOf("POST", "/v1/audio/transcriptions"))
	p := &planner{prices: testPrices(), unpriced: "estimate"}
	if got := p.plan(r, []byte(form), false, 25<<20); got.model != "fake" || got.unpriced || got.free {
		t.Errorf("the model of a form: %+v", got)
	}
}

func TestPlanInjectsUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, target, body string
		want               bool
	}{
		{"a chat stream", "/v1/chat/completions", `{"stream":true}`, true},
		{"the string true", "/v1/chat/completions", `{"stream":"true"}`, true},
		{"a completions stream", "/completions", `{"stream":true}`, true},
		{"through to OpenAI", "/openai/v1/chat/completions", `{"stream":true}`, false},
		{"explicitly false", "/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":false}}`, true},
		{"asked already", "/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":true}}`, false},
		{"no stream", "/v1/chat/completions", `{"stream":false}`, false},
		{"another route", "/v1/responses", `{"stream":true}`, false},
		{"another provider", "/mistral/v1/chat/completions", `{"stream":true}`, false},
		{"broken", "/v1/chat/completions", `{"stream":true`, false},
	} {
		if got := planOf(t, classify(headOf("POST", c.target)), c.body); got.injectUsage != c.want {
			t.Errorf("%s: %v", c.what, got.injectUsage)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	p := &planner{prices: testPrices(), unpriced: "estimate"}
	body := []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":"` + strings.Repeat("words and words ", 120) + `"}],"stream":true}`)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.plan(chatRoute, body, true, int64(len(body)))
	}
}
