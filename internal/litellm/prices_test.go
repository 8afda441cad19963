package litellm

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

func priced(t *testing.T, fields string) Price {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal([]byte(fields), &f); err != nil {
		t.Fatal(err)
	}
	p, ok := priceOf(f)
	if !ok {
		t.Fatalf("%s is no price", fields)
	}
	return p
}

// The costs that a real LiteLLM billed for these usages.
func TestCostAsLiteLLMBills(t *testing.T) {
	t.Parallel()
	const (
		gpt4o   = `{"input_cost_per_token":2.5e-06,"output_cost_per_token":1e-05,"cache_read_input_token_cost":1.25e-06}`
		o3mini  = `{"input_cost_per_token":1.1e-06,"output_cost_per_token":4.4e-06,"cache_read_input_token_cost":5.5e-07}`
		o4mini  = `{"input_cost_per_token":1.1e-06,"output_cost_per_token":4.4e-06,"cache_read_input_token_cost":2.75e-07}`
		sonnet  = `{"input_cost_per_token":3e-06,"output_cost_per_token":1.5e-05,"cache_read_input_token_cost":3e-07,"cache_creation_input_token_cost":3.75e-06,"cache_creation_input_token_cost_above_1hr":6e-06}`
		gemini  = `{"input_cost_per_token":1.25e-06,"output_cost_per_token":1e-05,"cache_read_input_token_cost":1.25e-07,"input_cost_per_token_above_200k_tokens":2.5e-06,"output_cost_per_token_above_200k_tokens":1.5e-05,"cache_read_input_token_cost_above_200k_tokens":2.5e-07,"input_cost_per_token_above_200k_tokens_priority":9}`
		strings = `{"input_cost_per_token":"0.00001","output_cost_per_token":"1e-4"}`
		image   = `{"input_cost_per_token":5e-06,"output_cost_per_token":0,"output_cost_per_image_token":4e-05,"mode":"image_generation"}`
		speech  = `{"input_cost_per_token":2.5e-06,"input_cost_per_audio_token":2.5e-06,"output_cost_per_token":1e-05}`
		table   = `{"tiered_pricing":[{"range":[0,32000],"input_cost_per_token":1e-06,"output_cost_per_token":2e-06},{"range":[32000,128000],"input_cost_per_token":3e-06,"output_cost_per_token":4e-06}]}`
		grok    = `{"litellm_provider":"xai","input_cost_per_token":1e-06,"output_cost_per_token":0,"input_cost_per_token_above_128k_tokens":2e-06}`
		steps   = `{"input_cost_per_token":1e-06,"output_cost_per_token":1e-06,"input_cost_per_token_above_128k_tokens":2e-06,"output_cost_per_token_above_128k_tokens":5e-06,"input_cost_per_token_above_256k_tokens":3e-06}`
	)
	for _, c := range []struct {
		why, fields string
		u           Usage
		want        string
	}{
		{"plain", gpt4o, Usage{Input: 1200, Output: 300}, "0.006"},
		{"cached", gpt4o, Usage{Input: 2006, Output: 300, CacheRead: 1920}, "0.005615"},
		{"reasoning costs as output", o3mini, Usage{Input: 75, Output: 1186, Reasoning: 1024}, "0.0053009"},
		{"cached and reasoning", o4mini, Usage{Input: 2006, Output: 1186, CacheRead: 1920, Reasoning: 1024}, "0.005841"},
		{"cache writes", sonnet, Usage{Input: 2518, Output: 300, CacheRead: 1920, CacheWrite: 512}, "0.007254"},
		{"cache writes for an hour", sonnet, Usage{Input: 3542, Output: 300, CacheRead: 1920, CacheWrite: 512, CacheWrite1h: 1024}, "0.013398"},
		{"thoughts", gemini, Usage{Input: 2006, Output: 1000, CacheRead: 1920, Reasoning: 700}, "0.0103475"},
		{"prices that are strings", strings, Usage{Input: 1200, Output: 300}, "0.042"},
		{"images", image, Usage{Input: 50, Output: 272}, "0.01113"},
		{"audio in", speech, Usage{Input: 14, Output: 101, InputAudio: 4}, "0.001045"},
		{"at the threshold the plain rates hold", gemini, Usage{Input: 200000, Output: 10}, "0.2501"},
		{"above it all tokens take the higher ones, output and cache too", gemini, Usage{Input: 200001, Output: 10, CacheRead: 1}, "0.50015025"},
		{"xAI's tier begins at the threshold", grok, Usage{Input: 128000}, "0.256"},
		{"of several thresholds the highest with a value wins, field by field", steps, Usage{Input: 300000, Output: 10}, "0.90005"},
		{"between them the lower", steps, Usage{Input: 200000, Output: 10}, "0.40005"},
		{"a table by input size, its first range", table, Usage{Input: 32000, Output: 1}, "0.032002"},
		{"its last range, and above it", table, Usage{Input: 200000, Output: 1}, "0.600004"},
		{"a missing cache rate is the input rate", `{"input_cost_per_token":1e-06,"output_cost_per_token":1e-06}`, Usage{Input: 100, CacheRead: 60, CacheWrite: 30}, "0.0001"},
		{"an explicit 0 is free", `{"input_cost_per_token":1e-06,"output_cost_per_token":1e-06,"cache_read_input_token_cost":0}`, Usage{Input: 100, CacheRead: 60}, "0.00004"},
		{"more parts than the whole do not pay back", gpt4o, Usage{Input: 10, CacheRead: 20}, "0.000025"},
	} {
		if got := priced(t, c.fields).Cost(c.u); got != *usd(t, c.want) {
			t.Errorf("%s: %d, want %s", c.why, got, c.want)
		}
	}
}

func TestWorstIsNeverBelowTheCost(t *testing.T) {
	t.Parallel()
	p := priced(t, `{"input_cost_per_token":1e-06,"output_cost_per_token":2e-06,"cache_creation_input_token_cost":1.25e-06,"output_cost_per_reasoning_token":3e-06,"input_cost_per_token_above_128k_tokens":2e-06}`)
	for _, u := range []Usage{
		{Input: 1000, Output: 10}, {Input: 1000, CacheWrite: 1000, Output: 10, Reasoning: 10}, {Input: 128001, Output: 1}, {},
	} {
		if worst, cost := p.Worst(u.Input, u.Output), p.Cost(u); worst < cost {
			t.Errorf("%+v: worst %v below %v", u, worst, cost)
		}
	}
	if got := priced(t, `{"input_cost_per_token":1e-13}`).Worst(1, 0); got != 1 {
		t.Errorf("the smallest call rounds up to %d, want 1", got)
	}
}

func TestServiceTiers(t *testing.T) {
	t.Parallel()
	p := priced(t, `{"input_cost_per_token":1.25e-06,"output_cost_per_token":1e-05,"input_cost_per_token_priority":2.25e-06,"output_cost_per_token_priority":1.8e-05,
		"input_cost_per_token_above_200k_tokens":2.5e-06,"input_cost_per_token_above_200k_tokens_priority":4.5e-06,"input_cost_per_token_flex":null}`)
	for _, c := range []struct {
		why, tier string
		u         Usage
		want      string
	}{
		{"none", "", Usage{Input: 1000, Output: 100}, "0.00225"},
		{"auto is none", "auto", Usage{Input: 1000, Output: 100}, "0.00225"},
		{"priority", "priority", Usage{Input: 1000, Output: 100}, "0.00405"},
		{"fast is priority", "fast", Usage{Input: 1000, Output: 100}, "0.00405"},
		{"priority with a long context", "priority", Usage{Input: 300000}, "1.35"},
		{"a tier without rates costs the plain ones", "flex", Usage{Input: 1000, Output: 100}, "0.00225"},
	} {
		if got := p.Served(c.tier).Cost(c.u); got != *usd(t, c.want) {
			t.Errorf("%s: %d, want %s", c.why, got, c.want)
		}
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why, fields string
		want        bool
	}{
		{"both prices explicitly 0", `{"input_cost_per_token":0,"output_cost_per_token":0.0}`, true},
		{"null is not 0", `{"input_cost_per_token":0,"output_cost_per_token":null,"input_cost_per_token_batches":0}`, false},
		{"one is missing", `{"input_cost_per_token":0}`, false},
		{"one is positive", `{"input_cost_per_token":0,"output_cost_per_token":1e-6}`, false},
		{"a charge by query", `{"input_cost_per_token":0,"output_cost_per_token":0,"input_cost_per_query":0.002}`, false},
		{"a charge by search", `{"input_cost_per_token":0,"output_cost_per_token":0,"search_context_cost_per_query":{"search_context_size_low":0.01}}`, false},
		{"a long-context price", `{"input_cost_per_token":0,"output_cost_per_token":0,"input_cost_per_token_above_200k_tokens":1e-6}`, false},
	} {
		var f map[string]any
		if err := json.Unmarshal([]byte(c.fields), &f); err != nil {
			t.Fatal(err)
		}
		if p, _ := priceOf(f); p.Free != c.want {
			t.Errorf("%s: %v, want %v", c.why, p.Free, c.want)
		}
	}
	for _, none := range []string{`{}`, `{"input_cost_per_token":null}`, `{"max_tokens":5,"mode":"chat"}`, `{"input_cost_per_token":"a lot"}`, `{"input_cost_per_token":-1}`} {
		var f map[string]any
		_ = json.Unmarshal([]byte(none), &f)
		if p, ok := priceOf(f); ok {
			t.Errorf("%s is a price: %+v", none, p)
		}
	}
}

func perToken(in, out float64) map[string]any {
	return map[string]any{"input_cost_per_token": in, "output_cost_per_token": out}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	p := NewPrices(map[string]map[string]any{
		"overridden": {"output_cost_per_token": "9e-6"},
		"listed":     {"input_cost_per_token": 8e-6},
		"invented":   perToken(7e-6, 9e-6),
	})
	if _, ok := p.Age(at); ok {
		t.Error("nothing was loaded, but it has an age")
	}
	if got, ok := p.Lookup("invented"); !ok || got.InputPerToken != 7e-6 {
		t.Errorf("an override works before anything is loaded: %+v %v", got, ok)
	}
	p.Load([]Deployment{
		{ID: "d1", Name: "pool", Model: "openai/gpt-4o", Key: "gpt-4o", Fields: perToken(1e-6, 1e-6)},
		{ID: "d2", Name: "pool", Model: "azure/gpt-4o", Key: "azure/gpt-4o", Fields: perToken(2e-6, 4e-6)},
		{ID: "d3", Name: "overridden", Model: "openai/x", Fields: perToken(1e-6, 1e-6)},
		{ID: "d4", Name: "half-free", Model: "openai/free", Fields: perToken(0, 0)},
		{ID: "d5", Name: "half-free", Model: "openai/nobody-knows"},
		{ID: "d6", Name: "unpriced", Model: "openai/unpriced"},
		{ID: "d7", Name: "all-free", Model: "openai/f", Fields: perToken(0, 0)},
		{ID: "d8", Name: "all-free", Model: "openai/g", Fields: perToken(0, 0)},
		{ID: "d9", Name: "gpt-4o", Model: "openai/gpt-4o-mini", Fields: perToken(5e-7, 5e-7)},
	}, CostMap{
		"sample_spec":     {"input_cost_per_token": 1.0, "output_cost_per_token": 1.0},
		"gpt-4o":          perToken(3e-6, 3e-6),
		"gemini/flash":    perToken(4e-6, 4e-6),
		"listed":          perToken(1e-6, 6e-6),
		"dearest-on-list": perToken(1e-3, 1e-3),
	}, at)
	for _, c := range []struct {
		why, model string
		in, out    float64
		ok, free   bool
	}{
		{"of two deployments the dearest", "pool", 2e-6, 4e-6, true, false},
		{"a public name beats the list's model of that name", "gpt-4o", 5e-7, 5e-7, true, false},
		{"a deployment's LiteLLM name", "azure/gpt-4o", 2e-6, 4e-6, true, false},
		{"the list's key", "gemini/flash", 4e-6, 4e-6, true, false},
		{"without the provider's prefix", "openrouter/google/listed", 1e-6, 6e-6, true, false},
		{"an override over a deployment, in part", "overridden", 1e-6, 9e-6, true, false},
		{"an override over the list, in part", "listed", 8e-6, 6e-6, true, false},
		{"one deployment without a price: not free", "half-free", 0, 0, true, false},
		{"all deployments free", "all-free", 0, 0, true, true},
		{"no price", "unpriced", 0, 0, false, false},
		{"documentation is no model", "sample_spec", 0, 0, false, false},
		{"unknown", "nobody", 0, 0, false, false},
		{"no name", "", 0, 0, false, false},
	} {
		got, ok := p.Lookup(c.model)
		if ok != c.ok || got.Free != c.free || ok && (got.InputPerToken != c.in || got.OutputPerToken != c.out) {
			t.Errorf("%s: %q is %v/%v free %v (%v), want %v/%v free %v (%v)", c.why, c.model, got.InputPerToken, got.OutputPerToken, got.Free, ok, c.in, c.out, c.free, c.ok)
		}
	}
	if d, ok := p.Dearest(); !ok || d.InputPerToken != 7e-6 {
		t.Errorf("dearest of what can be called: %+v", d)
	}
	if age, ok := p.Age(at.Add(time.Minute)); !ok || age != time.Minute {
		t.Errorf("age %v %v", age, ok)
	}
	u := Usage{Input: 1000, Output: 1000}
	if m, ok := p.Cost("pool", u); !ok || m != 6*budget.Dollar/1000 {
		t.Errorf("cost on the dearest deployment: %v %v", m, ok)
	}
	if m, ok := p.CostAt("d1", "pool", u); !ok || m != 2*budget.Dollar/1000 {
		t.Errorf("cost on the deployment that answered: %v %v", m, ok)
	}
	if m, ok := p.CostAt("gone", "pool", u); !ok || m != 6*budget.Dollar/1000 {
		t.Errorf("cost on a deployment that is not known: %v %v", m, ok)
	}
	if _, ok := p.Cost("unpriced", u); ok {
		t.Error("a model without a price has a cost")
	}

	p.Load([]Deployment{{Name: "openai/*", Model: "openai/*"}}, CostMap{"dearest-on-list": perToken(1e-3, 1e-3)}, at)
	if d, ok := p.Dearest(); !ok || d.InputPerToken != 1e-3 {
		t.Errorf("a wildcard can be any model of the list: %+v", d)
	}
}

func TestParseCostMap(t *testing.T) {
	t.Parallel()
	m, err := ParseCostMap([]byte(`{"a":{"input_cost_per_token":1e-6,"supports_vision":true,"max_tokens":5},"bad":[1],"b":{"mode":"chat"}}`))
	if err != nil || len(m) != 2 || len(m["a"]) != 2 {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{``, `[]`, `{"a":`, `{"a":{}`} {
		if _, err := ParseCostMap([]byte(bad)); bad != `{"a":{}` && err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func BenchmarkLookupAndCost(b *testing.B) {
	p := NewPrices(nil)
	p.Load([]Deployment{{ID: "x", Name: "fake", Model: "openai/fake", Fields: perToken(1e-5, 1e-4)}}, nil, time.Time{})
	u := Usage{Input: 1200, Output: 300}
	b.ReportAllocs()
	for b.Loop() {
		price, ok := p.Lookup("fake")
		if !ok || price.Worst(1200, 300) == 0 {
			b.Fatal("no price")
		}
		if _, ok := p.CostAt("x", "fake", u); !ok {
			b.Fatal("no cost")
		}
	}
}
