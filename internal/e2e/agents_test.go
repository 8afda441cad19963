package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// mockText is what the mock provider answers to eight words.
const mockText = "The quick brown fox jumps over the lazy "

// expected says what every client must make of a scenario; "" is success.
var expected = map[string]func(outcome) string{
	"chat":   usual,
	"stream": streamed,
	"stream_usage": func(o outcome) string {
		return usual(o)
	},
	"tool":        calledTool,
	"tool_stream": calledTool,
	"tool_result": func(o outcome) string {
		return want(o.Text == mockText && o.Input == 110, "the answer to a tool's result, with 110 tokens in")
	},
	"responses": usual,
	"responses_stream": func(o outcome) string {
		return want(o.Text == mockText && o.Done, "the whole text and response.completed")
	},
	"embeddings": func(o outcome) string { return want(o.Vectors == 1, "one vector") },
	"upload": func(o outcome) string {
		return want(o.Images == 1 || o.Text == "The quick ", "an answer to a 20 MiB picture")
	},
	"upload_inline": func(o outcome) string { return want(o.Text == "The quick ", "an answer to a 20 MiB picture in JSON") },
}

func usual(o outcome) string {
	return want(o.Text == mockText && o.Input == 1200 && o.Output == 300, "the mock's text with 1200 tokens in and 300 out")
}

// streamed also insists that a client that did not ask for usage gets none on
// OpenAI's route; on the others usage belongs to the stream.
func streamed(o outcome) string {
	return want(o.Text == mockText && o.UsageChunks == 0, "the mock's text and no usage chunk that nobody asked for")
}

func calledTool(o outcome) string {
	return want(o.Tool == "get_weather" && o.Arguments["location"] == "Oslo", "a call of get_weather for Oslo")
}

func want(ok bool, what string) string {
	if ok {
		return ""
	}
	return what
}

// TestClients: every official SDK, and curl, works through the sidecar as it does
// against LiteLLM, and what it spends is counted.
func TestClients(t *testing.T) {
	t.Parallel()
	l := upstreams(t)
	sc := startSidecar(t, l, sidecarSettings{})
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			tenant := unique("agent")
			key := l.tenantKey(t, tenant)
			scenarios := c.shows(l)
			outcomes := c.run(t, sc.url, key, scenarios...)
			for _, scenario := range scenarios {
				o, ok := outcomes[scenario]
				if !ok {
					t.Errorf("%s: the client reported nothing", scenario)
					continue
				}
				if o.Error != nil {
					t.Errorf("%s: refused with %d: %s", scenario, o.Error.Status, o.Error.Message)
					continue
				}
				if lack := expected[scenario](o); lack != "" {
					t.Errorf("%s: got %+v, want %s", scenario, o, lack)
				}
			}
			sc.settled(t, tenant, budget.NanoDollar)
		})
	}
}

// TestClientLeaves: a client that leaves in the middle of a stream ends the call
// upstream, and its cost is settled.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	l := upstreams(t)
	for _, c := range cancelling() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := startWitness(t, l)
			sc := startSidecar(t, l, sidecarSettings{upstream: w.url})
			tenant := unique("leaver")
			o := c.run(t, sc.url, l.tenantKey(t, tenant), "cancel")["cancel"]
			if o.Error != nil || o.Seen < 3 {
				t.Fatalf("got %+v, want a stream left after 3 events", o)
			}
			// The whole stream takes 20 s.
			eventually(t, 5*time.Second, "the call upstream ends", func() (string, bool) {
				n := w.abandoned.Load()
				return fmt.Sprintf("%d abandoned", n), n == 1
			})
			// A stream that has begun is not free.
			sc.settled(t, tenant, budget.NanoDollar)
			if n := w.posts.Load(); n != 1 {
				t.Errorf("LiteLLM saw the call %d times", n)
			}
		})
	}
}

// TestClientsRefused: after the block point every client sees a 402 as its SDK's
// typed error, with the right amounts, and neither retries nor reaches LiteLLM.
func TestClientsRefused(t *testing.T) {
	t.Parallel()
	l := upstreams(t)
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := startWitness(t, l)
			sc := startSidecar(t, l, sidecarSettings{upstream: w.url})
			tenant := unique("spender")
			key := l.tenantKey(t, tenant)
			blockTenant(t, sc, key, tenant)
			spent, _ := sc.status(t, tenant)

			asked, seen := w.posts.Load(), sc.decisions(t)
			scenarios := slices.DeleteFunc(slices.Clone(c.scenarios), func(s string) bool { return s != "chat" && s != "stream" })
			outcomes := c.run(t, sc.url, key, scenarios...)
			for _, scenario := range scenarios {
				if o := outcomes[scenario]; o.Error == nil {
					t.Errorf("%s: got %+v, want a refusal", scenario, o)
				} else {
					checkRefusal(t, c.name, scenario, *o.Error, tenant, spent)
				}
			}
			if n := w.posts.Load() - asked; n != 0 {
				t.Errorf("LiteLLM saw %d refused calls", n)
			}
			if n := sc.decisions(t)["block"] - seen["block"]; n != len(scenarios) {
				t.Errorf("%d calls were refused %d times: the client retries a refusal", len(scenarios), n)
			}
		})
	}
}

// blockTenant makes the tenant known, spends $0.042 in its name and sets a budget
// whose block point is below that.
func blockTenant(t *testing.T, sc *sidecar, key, tenant string) {
	t.Helper()
	if answer, status := call(t, http.MethodPost, sc.url+"/v1/chat/completions", key, json.RawMessage(chatBody(promptUsual, false))); status != http.StatusOK {
		t.Fatalf("the first call: status %d: %s", status, answer)
	}
	eventually(t, 10*time.Second, "the first call makes the tenant", func() (string, bool) {
		st, ok := sc.status(t, tenant)
		return fmt.Sprintf("tenant %t, spend %s", ok, usd(st.Spend)), ok && st.Spend > 0
	})
	sc.call(t, http.MethodPut, "/admin/tenants/"+tenant+"/budget",
		map[string]any{"max_budget": 0.03, "alert_threshold": 80, "grace_threshold": 110, "budget_duration": "30d"}, nil)
	eventually(t, 5*time.Second, "the new budget blocks the tenant", func() (string, bool) {
		st, _ := sc.status(t, tenant)
		return st.State, st.State == "blocked"
	})
}

// refusalBudget is the budget object of a 402.
type refusalBudget struct {
	TenantID       string   `json:"tenant_id"`
	State          string   `json:"state"`
	Reason         string   `json:"reason"`
	Spend          *float64 `json:"spend_usd"`
	Limit          *float64 `json:"limit_usd"`
	Block          *float64 `json:"block_usd"`
	GraceThreshold int      `json:"grace_threshold"`
	ResetsAt       string   `json:"resets_at"`
	CallID         string   `json:"call_id"`
	Remediation    string   `json:"remediation"`
}

func checkRefusal(t *testing.T, clientName, scenario string, f failure, tenant string, at tenantStatus) {
	t.Helper()
	if f.Status != http.StatusPaymentRequired {
		t.Errorf("%s: status %d, want 402: %s", scenario, f.Status, f.Message)
		return
	}
	typed := map[string]string{
		"python openai": "APIStatusError", "python anthropic": "APIStatusError", "python google": "ClientError",
		"node openai": "APIError", "node anthropic": "APIError", "go openai": "Error",
	}
	if class := typed[clientName]; class != "" && !slices.Contains(f.Classes, class) {
		t.Errorf("%s: the SDK raised %v, want a %s", scenario, f.Classes, class)
	}
	for _, part := range []string{"Budget exceeded for tenant " + tenant, "Current: $0.04", "Limit: $0.03"} {
		if !strings.Contains(f.Message, part) {
			t.Errorf("%s: the message lacks %q: %s", scenario, part, f.Message)
		}
	}
	if len(f.Headers) > 0 && f.Headers["x-should-retry"] != "false" {
		t.Errorf("%s: x-should-retry is %q, want false", scenario, f.Headers["x-should-retry"])
	}

	var body struct {
		Budget refusalBudget `json:"budget"`
	}
	if err := json.Unmarshal(f.Body, &body); err != nil {
		t.Errorf("%s: %v in %s", scenario, err, f.Body)
		return
	}
	b := body.Budget
	if b.TenantID != tenant || b.State != "blocked" || b.Reason != "over_block_point" || b.GraceThreshold != 110 || b.CallID == "" || b.Remediation == "" {
		t.Errorf("%s: the application sees budget %s", scenario, f.Body)
	}
	for what, amounts := range map[string]struct {
		got  *float64
		want float64
	}{
		"spend_usd": {b.Spend, at.Spend.Float()},
		"limit_usd": {b.Limit, 0.03},
		"block_usd": {b.Block, 0.033},
	} {
		if amounts.got == nil || math.Abs(*amounts.got-amounts.want) > 1e-9 {
			t.Errorf("%s: %s is %v, want %v", scenario, what, amounts.got, amounts.want)
		}
	}
	resets, err := time.Parse(time.RFC3339, b.ResetsAt)
	if err != nil || at.ResetsAt == nil || !resets.Equal(at.ResetsAt.Truncate(time.Second)) && !resets.Equal(*at.ResetsAt) {
		t.Errorf("%s: resets_at is %q, the admin API says %v", scenario, b.ResetsAt, at.ResetsAt)
	}
}
