package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// paidCall is one kind of call whose price LiteLLM knows.
type paidCall struct {
	name string
	path string
	body string
	cost budget.Money // as LiteLLM's own table of prices has it
	// realOnly: the fake LiteLLM has no such route.
	realOnly bool
}

var paidCalls = []paidCall{
	{"chat", "/v1/chat/completions", `{"model":"fake","messages":[{"role":"user","content":"[[p=1200 c=300]]"}]}`, 42_000_000, false},
	{"chat with cached input", "/v1/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"[[p=2006 c=300 cached=1920]]"}]}`, 5_615_000, false},
	{"chat with reasoning", "/v1/chat/completions", `{"model":"o3-mini","messages":[{"role":"user","content":"[[p=75 c=1186 reason=1024]]"}]}`, 5_300_900, false},
	{"chat stream", "/v1/chat/completions", `{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"[[p=1200 c=300]]"}]}`, 6_000_000, false},
	{"chat stream that says no to usage", "/v1/chat/completions", `{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":false},"messages":[{"role":"user","content":"[[p=1200 c=300]]"}]}`, 6_000_000, false},
	{"chat stream with usage", "/v1/chat/completions", `{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"[[p=1200 c=300]]"}]}`, 6_000_000, false},
	{"completions", "/v1/completions", `{"model":"gpt-3.5-turbo-instruct","prompt":"[[p=1200 c=300]]"}`, 2_400_000, false},
	{"completions stream", "/v1/completions", `{"model":"gpt-3.5-turbo-instruct","stream":true,"prompt":"[[p=1200 c=300]]"}`, 2_400_000, false},
	{"embeddings", "/v1/embeddings", `{"model":"text-embedding-3-small","input":"[[p=1500]]"}`, 30_000, false},
	{"responses", "/v1/responses", `{"model":"gpt-4o","input":"[[p=1200 c=300]]"}`, 6_000_000, false},
	{"responses stream", "/v1/responses", `{"model":"gpt-4o","stream":true,"input":"[[p=1200 c=300]]"}`, 6_000_000, false},
	{"messages", "/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":500,"messages":[{"role":"user","content":"[[p=86 c=300 cached=1920 cwrite=512]]"}]}`, 7_254_000, false},
	{"messages stream", "/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":500,"stream":true,"messages":[{"role":"user","content":"[[p=86 c=300 cached=1920 cwrite=512]]"}]}`, 7_254_000, false},
	{"generateContent", "/v1beta/models/gemini-2.5-pro:generateContent", `{"contents":[{"role":"user","parts":[{"text":"[[p=2006 c=300 cached=1920 reason=700]]"}]}]}`, 10_347_500, false},
	{"images", "/v1/images/generations", `{"model":"gpt-image-1","prompt":"a dot","n":1,"size":"1024x1024","quality":"low"}`, 11_130_000, true},
	{"price 0", "/v1/chat/completions", `{"model":"free","messages":[{"role":"user","content":"[[p=1200 c=300]]"}]}`, 0, false},
	{"an error of the provider", "/v1/chat/completions", `{"model":"fake","messages":[{"role":"user","content":"[[err=400]]"}]}`, 0, false},
}

// TestSpend: after calls of every kind, Pursestring and LiteLLM have counted the
// same amount for each key, and it is what LiteLLM's price table says.
func TestSpend(t *testing.T) {
	t.Parallel()
	l := upstreams(t)
	sc := startSidecar(t, l, sidecarSettings{})
	const times = 3
	made := slices.DeleteFunc(slices.Clone(paidCalls), func(c paidCall) bool { return c.realOnly && !l.real })
	tenants, keys := make([]string, len(made)), make([]string, len(made))
	for i, c := range made {
		tenants[i] = unique("payer")
		keys[i] = l.tenantKey(t, tenants[i])
		for range times {
			answer, status := call(t, http.MethodPost, sc.url+c.path, keys[i], json.RawMessage(c.body))
			if status != http.StatusOK && c.cost != 0 {
				t.Fatalf("%s: status %d: %s", c.name, status, answer)
			}
		}
	}

	var theirs map[string]budget.Money
	eventually(t, 45*time.Second, "LiteLLM writes its spend", func() (string, bool) {
		theirs = l.spends(t, keys)
		behind := 0
		for i, c := range made {
			if theirs[keys[i]] < times*c.cost-budget.Money(times) {
				behind++
			}
		}
		return fmt.Sprintf("%d keys behind", behind), behind == 0
	})
	for i, c := range made {
		t.Run(c.name, func(t *testing.T) {
			ours := sc.settled(t, tenants[i], max(0, theirs[keys[i]]-times))
			equalMoney(t, "Pursestring's spend against LiteLLM's", ours, theirs[keys[i]], times)
			equalMoney(t, "Pursestring's spend against the price table", ours, times*c.cost, times)
		})
	}
}

// equalMoney allows for one nano-dollar of rounding per call: LiteLLM adds floats.
func equalMoney(t *testing.T, what string, got, want budget.Money, calls int) {
	t.Helper()
	if diff := got.Sub(want); diff > budget.Money(calls) || diff < -budget.Money(calls) {
		t.Errorf("%s: %s, want %s", what, usd(got), usd(want))
	}
}
