package proxy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

var update = flag.Bool("update-refusals", false, "rewrite testdata/refusals")

func refusedBy(reason budget.Reason) *enforce.Decision {
	return &enforce.Decision{
		Verdict: budget.Block, Reason: reason, Mode: budget.Enforce,
		Status: enforce.Status{
			TenantID: "acme", Known: true, State: budget.StateBlocked, GraceThreshold: 110,
			Points: budget.Points{Limit: dollar(500), Alert: dollar(400), Block: dollar(550)},
			Spent:  dollar(551.2), Held: dollar(3.5), InFlight: 4,
			Window: budget.Window{Number: 3, End: time.Date(2026, 12, 21, 9, 30, 0, 0, time.UTC)},
		},
	}
}

var dialects = map[string]route{
	"openai":    classify(headOf("POST", "/v1/chat/completions")),
	"anthropic": classify(headOf("POST", "/v1/messages")),
	"google":    classify(headOf("POST", "/v1beta/models/g:generateContent")),
}

// golden compares an answer with testdata/refusals/name.txt: status, headers, an
// empty line, the body.
func golden(t *testing.T, name string, a answer) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintln(&b, a.status)
	for _, h := range a.headers {
		fmt.Fprintf(&b, "%s: %s\n", h.name, h.value)
	}
	fmt.Fprintf(&b, "\n%s\n", a.body)
	if !json.Valid(a.body) {
		t.Errorf("%s: the body is no JSON: %s", name, a.body)
	}
	path := filepath.Join("testdata", "refusals", name+".txt")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("%s:\n%s\nwant\n%s", name, b.Bytes(), want)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	d := &denier{retryAfter: func() int { return 3 }}
	tooLarge := refusedBy(budget.TooLarge)
	tooLarge.Status.State, tooLarge.Status.Spent = budget.StateGrace, dollar(549.58)
	inUse := refusedBy(budget.BudgetInUse)
	inUse.Status.State, inUse.Status.Spent = budget.StateWarning, dollar(420)
	big := &plan{estimate: budget.Estimate{Worst: dollar(3.1)}, inputWorst: dollar(0.04), outputPrice: 200e-6}
	for name, r := range dialects {
		const id = "4f1c2d3e-0000-4000-8000-000000000001"
		golden(t, name+"-over-block-point", d.budget(r, refusedBy(budget.OverBlockPoint), nil, id))
		golden(t, name+"-too-large", d.budget(r, tooLarge, big, id))
		golden(t, name+"-budget-in-use", d.budget(r, inUse, nil, id))
		golden(t, name+"-upstream-limit", d.budget(r, refusedBy(budget.UpstreamLimit), nil, id))
		ten := dollar(10)
		golden(t, name+"-upstream-limit-team", d.upstream(r, &inUse.Status, budget.UpstreamRefusal{Subject: "team", ID: "research", Max: &ten}, false, id))
		golden(t, name+"-upstream-reserved", d.upstream(r, &inUse.Status, budget.UpstreamRefusal{Subject: "key"}, true, id))
		golden(t, name+"-trouble-502", d.trouble(r, 502, "upstream_unreachable", "LiteLLM cannot be reached; the call was not made.", id))
		golden(t, name+"-trouble-503", d.budget(r, refusedBy(budget.LedgerDown), nil, id))
		golden(t, name+"-trouble-400", d.trouble(r, 400, "duplicate_credential", "Two values.", id))
		golden(t, name+"-hidden", (&denier{hideAmounts: true}).budget(r, refusedBy(budget.OverBlockPoint), nil, id))
	}
	golden(t, "websocket-handshake", d.handshake(dialects["google"], refusedBy(budget.OverBlockPoint), nil, "c1"))
	event, closing := d.session(refusedBy(budget.OverBlockPoint), "c1")
	golden(t, "websocket-session", answer{status: 1008, body: event})
	if closing[0] != 0x03 || closing[1] != 0xf0 || len(closing) > 125 {
		t.Errorf("close frame %q", closing)
	}
}

func TestRefusalTexts(t *testing.T) {
	t.Parallel()
	d := &denier{retryAfter: func() int { return 3 }}
	text := func(a answer) string {
		t.Helper()
		var body struct{ Error struct{ Message string } }
		if err := json.Unmarshal(a.body, &body); err != nil {
			t.Fatal(err)
		}
		return body.Error.Message
	}
	r := dialects["openai"]
	f := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
		}
	}
	f("the example of the contract", text(d.budget(r, refusedBy(budget.OverBlockPoint), nil, "4f1c")),
		"Budget exceeded for tenant acme. Current: $551.20, Limit: $500.00. Contact admin to increase budget. Resets 2026-12-21 09:30 UTC. Ref 4f1c")
	never := refusedBy(budget.OverBlockPoint)
	never.Status.Window.End, never.Status.TenantID = time.Time{}, "key:0123456789ab"
	f("no reset, no tenant, no id", text(d.budget(r, never, nil, "")),
		"Budget exceeded for this key. Current: $551.20, Limit: $500.00. Contact admin to increase budget.")

	large := refusedBy(budget.TooLarge)
	large.Status.Spent, large.Status.Window.End = dollar(549.58), time.Time{}
	p := &plan{estimate: budget.Estimate{Worst: dollar(3.1)}, inputWorst: dollar(0.04), outputPrice: 200e-6}
	f("the advice of the contract", text(d.budget(r, large, p, "")), "This call could cost up to $3.10; $0.42 is left. Lower max_tokens to 1,900 or less.")
	responses := classify(headOf("POST", "/v1/responses"))
	p.inputWorst = dollar(0.41)
	f("the API's own word", text(d.budget(responses, large, p, "")), "This call could cost up to $3.10; $0.42 is left. Lower max_output_tokens to 50 or less.")
	p.inputWorst = dollar(0.43)
	f("no output would fit", text(d.budget(r, large, p, "")), "This call could cost up to $3.10; $0.42 is left. Send a shorter prompt.")
	p.estimate.Worst = dollar(0.4201)
	f("amounts that look the same", text(d.budget(r, large, p, "")), "This call could cost up to $0.4201; $0.42 is left. Send a shorter prompt.")
	f("hidden", text((&denier{hideAmounts: true}).budget(r, large, p, "")), "This call could cost more than what is left of the budget. Send a shorter prompt.")
}

// TestHiddenAmountsAreHidden: no amount of the status is anywhere in the answer.
func TestHiddenAmountsAreHidden(t *testing.T) {
	t.Parallel()
	d := &denier{hideAmounts: true}
	ten := dollar(10.25)
	p := &plan{estimate: budget.Estimate{Worst: dollar(3.1)}, inputWorst: dollar(0.04), outputPrice: 200e-6}
	for name, r := range dialects {
		for _, a := range []answer{
			d.budget(r, refusedBy(budget.OverBlockPoint), nil, "c"), d.budget(r, refusedBy(budget.TooLarge), p, "c"),
			d.budget(r, refusedBy(budget.BudgetInUse), nil, "c"), d.upstream(r, &refusedBy(budget.UpstreamLimit).Status, budget.UpstreamRefusal{Subject: "team", ID: "t", Max: &ten}, false, "c"),
		} {
			for _, amount := range []string{"551", "500", "550", "3.5", "3.1", "10.25", "$", "_usd"} {
				if strings.Contains(string(a.body), amount) {
					t.Errorf("%s: %q is in %s", name, amount, a.body)
				}
			}
		}
	}
}

func TestTroubleIsNever402(t *testing.T) {
	t.Parallel()
	for name, r := range dialects {
		if a := (&denier{}).trouble(r, 402, "x", "x", ""); a.status == 402 || bytes.Contains(a.body, []byte("402")) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		for _, reason := range []budget.Reason{budget.LedgerDown, budget.StoreDown, budget.UnknownTenant} {
			if a := (&denier{}).budget(r, refusedBy(reason), nil, "c"); a.status != 503 {
				t.Errorf("%s, %s: status %d", name, reason, a.status)
			}
		}
	}
}

func TestRetryAfterHasJitter(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 400 {
		s := (&denier{}).seconds()
		if s < 1 || s > 5 {
			t.Fatalf("retry after %d s", s)
		}
		seen[s] = true
	}
	if len(seen) != 5 {
		t.Errorf("only %v", seen)
	}
}
