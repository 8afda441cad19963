package litellmtest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

// Model is one deployment.
type Model struct {
	Name     string // what clients send
	Upstream string // provider/model, as in litellm_params
	Mode     string // chat, embedding, …; empty: not said
	// Prices are LiteLLM's fields (input_cost_per_token, …), dollars. None: the
	// model has no price.
	Prices    map[string]float64
	MaxInput  int64
	MaxOutput int64
}

func (m *Model) provider() string {
	p, _, _ := strings.Cut(m.Upstream, "/")
	return p
}

func (m *Model) upstreamName() string {
	_, n, _ := strings.Cut(m.Upstream, "/")
	return n
}

func (m *Model) id() string {
	sum := sha256.Sum256([]byte(m.Name + "\x00" + m.Upstream))
	return hex.EncodeToString(sum[:])
}

// free reports an explicit price of 0.
func (m *Model) free() bool {
	in, ok1 := m.Prices["input_cost_per_token"]
	out, ok2 := m.Prices["output_cost_per_token"]
	return ok1 && ok2 && in == 0 && out == 0
}

// DefaultModels are the models of a server whose Options name none: "fake" costs
// $10 and $100 per million tokens, "free" nothing, "unpriced" has no price; the
// others have the prices of LiteLLM's own list.
func DefaultModels() []Model {
	rates := func(in, out, read float64, more ...float64) map[string]float64 {
		m := map[string]float64{"input_cost_per_token": in, "output_cost_per_token": out}
		if read > 0 {
			m["cache_read_input_token_cost"] = read
		}
		if len(more) == 2 {
			m["cache_creation_input_token_cost"], m["cache_creation_input_token_cost_above_1hr"] = more[0], more[1]
		}
		return m
	}
	return []Model{
		{Name: "fake", Upstream: "openai/fake", Prices: rates(1e-5, 1e-4, 0)},
		{Name: "free", Upstream: "openai/free", Prices: rates(0, 0, 0)},
		{Name: "unpriced", Upstream: "openai/some-unknown-model"},
		{Name: "gpt-4o", Upstream: "openai/gpt-4o", Mode: "chat", Prices: rates(2.5e-6, 1e-5, 1.25e-6), MaxInput: 128000, MaxOutput: 16384},
		{Name: "gpt-4o-mini", Upstream: "openai/gpt-4o-mini", Mode: "chat", Prices: rates(1.5e-7, 6e-7, 7.5e-8), MaxInput: 128000, MaxOutput: 16384},
		{Name: "o3-mini", Upstream: "openai/o3-mini", Mode: "chat", Prices: rates(1.1e-6, 4.4e-6, 5.5e-7), MaxInput: 200000, MaxOutput: 100000},
		{Name: "o4-mini", Upstream: "openai/o4-mini", Mode: "chat", Prices: rates(1.1e-6, 4.4e-6, 2.75e-7), MaxInput: 200000, MaxOutput: 100000},
		{Name: "gpt-3.5-turbo-instruct", Upstream: "text-completion-openai/gpt-3.5-turbo-instruct", Mode: "completion", Prices: rates(1.5e-6, 2e-6, 0), MaxInput: 8192, MaxOutput: 4096},
		{Name: "text-embedding-3-small", Upstream: "openai/text-embedding-3-small", Mode: "embedding", Prices: rates(2e-8, 0, 0), MaxInput: 8191},
		{Name: "claude-sonnet-4-5", Upstream: "anthropic/claude-sonnet-4-5-20250929", Mode: "chat", Prices: rates(3e-6, 1.5e-5, 3e-7, 3.75e-6, 6e-6), MaxInput: 200000, MaxOutput: 64000},
		{Name: "gemini-2.5-pro", Upstream: "gemini/gemini-2.5-pro", Mode: "chat", Prices: rates(1.25e-6, 1e-5, 1.25e-7), MaxInput: 1048576, MaxOutput: 65536},
		{Name: "gemini-2.5-flash", Upstream: "gemini/gemini-2.5-flash", Mode: "chat", Prices: rates(3e-7, 2.5e-6, 3e-8), MaxInput: 1048576, MaxOutput: 65536},
		{Name: "gpt-4o-realtime-preview", Upstream: "openai/gpt-4o-realtime-preview", Prices: rates(5e-6, 2e-5, 2.5e-6)},
	}
}

// find returns the deployment of a public name, or of a provider's own name, as
// pass-through calls use it.
func (s *Server) find(name string) *Model {
	for i := range s.models {
		if s.models[i].Name == name {
			return &s.models[i]
		}
	}
	for i := range s.models {
		if s.models[i].upstreamName() == name {
			return &s.models[i]
		}
	}
	return nil
}

func (k *key) mayUse(m *Model) bool {
	return k == nil || len(k.models) == 0 || slices.Contains(k.models, m.Name)
}

func (s *Server) modelInfo(w http.ResponseWriter, k *key) {
	rows := list{}
	for i := range s.models {
		m := &s.models[i]
		if !k.mayUse(m) {
			continue
		}
		info := s.pricing(m)
		info = info.with("id", m.id()).with("db_model", false).with("key", m.Upstream).with("litellm_provider", m.provider())
		rows = append(rows, obj("model_name", m.Name, "litellm_params", obj("model", m.Upstream), "model_info", info))
	}
	reply(w, http.StatusOK, obj("data", rows))
}

// pricing writes a model's prices as LiteLLM does: null where there is none.
func (s *Server) pricing(m *Model) object {
	o := object{}
	for _, f := range []string{
		"input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost",
		"cache_creation_input_token_cost", "cache_creation_input_token_cost_above_1hr",
	} {
		if v, ok := m.Prices[f]; ok {
			o = o.with(f, v)
		} else {
			o = o.with(f, nil)
		}
	}
	for _, f := range []struct {
		name string
		n    int64
	}{{"max_tokens", m.MaxOutput}, {"max_input_tokens", m.MaxInput}, {"max_output_tokens", m.MaxOutput}} {
		if f.n > 0 {
			o = o.with(f.name, f.n)
		} else {
			o = o.with(f.name, nil)
		}
	}
	if m.Mode == "" {
		return o.with("mode", nil)
	}
	return o.with("mode", m.Mode)
}

func (s *Server) modelList(w http.ResponseWriter, k *key) {
	rows := list{}
	for i := range s.models {
		m := &s.models[i]
		if !k.mayUse(m) {
			continue
		}
		row := obj("id", m.Name, "object", "model", "created", 1677610602, "owned_by", "openai")
		if m.Mode != "" {
			row = row.with("mode", m.Mode)
		}
		if m.MaxInput > 0 {
			row = row.with("max_input_tokens", m.MaxInput)
		}
		if m.MaxOutput > 0 {
			row = row.with("max_output_tokens", m.MaxOutput)
		}
		rows = append(rows, row)
	}
	reply(w, http.StatusOK, obj("data", rows, "object", "list"))
}

// costMap is the price list: what LiteLLM's own list would say, with its
// sample_spec, whose numbers are words.
func (s *Server) costMap(w http.ResponseWriter) {
	o := obj("sample_spec", obj("input_cost_per_token", 0.0, "max_output_tokens", "max output tokens, if the provider specifies it", "mode", "one of: chat, embedding"))
	for i := range s.models {
		m := &s.models[i]
		if m.Mode == "" || len(m.Prices) == 0 {
			continue
		}
		entry := object{}
		for _, f := range s.pricing(m) {
			if f.value != nil {
				entry = entry.with(f.name, f.value)
			}
		}
		name := m.upstreamName()
		if m.provider() == "gemini" {
			name = m.Upstream
		}
		o = o.with(name, entry.with("litellm_provider", m.provider()))
	}
	reply(w, http.StatusOK, o)
}

// tokens is what a call used, input counted whole.
type tokens struct {
	input, output            int64
	cached, cwrite, cwrite1h int64 // of input
	reason                   int64 // of output
}

// cost is the parts of what a call costs, in dollars, as LiteLLM's headers split
// them.
type cost struct {
	total, input, output, read, write, reason float64
	priced                                    bool
}

func (m *Model) cost(t tokens) cost {
	in, ok := m.Prices["input_cost_per_token"]
	if !ok {
		return cost{}
	}
	or := func(field string, base float64) float64 {
		if v, ok := m.Prices[field]; ok {
			return v
		}
		return base
	}
	out := m.Prices["output_cost_per_token"]
	write := or("cache_creation_input_token_cost", in)
	c := cost{priced: true}
	c.input = float64(max(0, t.input-t.cached-t.cwrite-t.cwrite1h)) * in
	c.read = float64(t.cached) * or("cache_read_input_token_cost", in)
	c.write = float64(t.cwrite)*write + float64(t.cwrite1h)*or("cache_creation_input_token_cost_above_1hr", write)
	c.reason = float64(t.reason) * or("output_cost_per_reasoning_token", out)
	c.output = float64(max(0, t.output-t.reason))*out + c.reason
	// Sums of binary fractions end in noise (0.0072539999…) that LiteLLM's own
	// order of additions does not have; twelve places are far below a cent.
	c.total = roundTo(c.input+c.read+c.write+c.output, 1e-12)
	return c
}
