package litellm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

func TestRefusalOfRecordings(t *testing.T) {
	t.Parallel()
	type want struct{ subject, id string }
	key := want{"key", ""}
	wants := map[string]want{
		"budget-key": key, "budget-key-count-tokens": key, "budget-key-embeddings": key, "budget-key-generatecontent": key,
		"budget-key-messages": key, "budget-key-models": key, "budget-key-pass-anthropic": key, "budget-key-pass-openai": key,
		"budget-key-responses": key, "budget-key-stream": key,
		"budget-team": {"team", "c8e03662-dbaa-4b09-a2ad-4df97780de17"}, "budget-team-messages": {"team", "c8e03662-dbaa-4b09-a2ad-4df97780de17"},
		"budget-user": {"user", "u-over"}, "budget-end-user": {"end_user", "cust-over"}, "budget-window": {"key_window", ""},
	}
	// These were let through.
	none := map[string]bool{"budget-key-free-model": true, "budget-key-keyinfo-self": true, "budget-key-nearly": true}
	for _, name := range append(names(t, "budget-"), "err-not-json", "err-bad-key", "upstream-429", "upstream-cooldown") {
		r := recorded(t, name)
		got, ok := ParseRefusal(r.status, r.body)
		w, is := wants[name]
		if !is && strings.HasPrefix(name, "budget-") && !none[name] {
			t.Errorf("%s is not in the table", name)
		}
		if ok != is {
			t.Errorf("%s: refusal %v, want %v", name, ok, is)
			continue
		}
		if !ok {
			continue
		}
		if got.Subject != w.subject || got.ID != w.id {
			t.Errorf("%s: %q %q, want %q %q", name, got.Subject, got.ID, w.subject, w.id)
		}
		limit := budget.Dollar / 1000
		if name == "budget-window" {
			limit = 0 // LiteLLM rounds it to cents
		}
		if got.Max == nil || *got.Max != limit {
			t.Errorf("%s: limit %v, want %v", name, got.Max, limit)
		}
		// The 400 and 429 of older versions are the same body with another status.
		for _, status := range []int{400, 429} {
			older := bytes.Replace(r.body, []byte(`"code":"422"`), fmt.Appendf(nil, `"code":"%d"`, status), 1)
			if again, ok := ParseRefusal(status, older); !ok || again.Subject != got.Subject || again.ID != got.ID {
				t.Errorf("%s with %d: %+v %v", name, status, again, ok)
			}
		}
	}
}

func TestRefusalTexts(t *testing.T) {
	t.Parallel()
	const hash = "1e7f28899cde9cbd3acf7ee391d15feeee513c3f6879beb98433db3a94c1261f"
	for _, c := range []struct{ text, subject, id, max string }{
		{"Budget has been exceeded! Key=tenant-a (sk-...AbCd) Current cost: 550.1, Max budget: 550.0", "key", "", "550"},
		{"Budget has been exceeded! Key=key Current cost: 5e-05, Max budget: 1e-05", "key", "", "1e-05"},
		{"Budget has been exceeded! Key=" + hash + " Current cost: 3.29, Max budget: 1.0", "key", hash, "1"},
		{"Budget has been exceeded! Key=" + hash + ":1d Current cost: 3.29, Max budget: 1.0", "key_window", hash, "1"},
		{"Budget has been exceeded! Key=" + hash + " Current cost: 0.9, Estimated request cost: 0.4, Max budget: 1.0", "key", hash, "1"},
		{"Budget has been exceeded! Team=t-1 Current cost: 2.0, Max budget: 1.0", "team", "t-1", "1"},
		{"Budget has been exceeded! Team=t-1:30d Current cost: 2.0, Max budget: 1.0", "team_window", "t-1", "1"},
		{"Budget has been exceeded! TeamMember=u-1:t-1 Current cost: 2.0, Max budget: 1.0", "team_member", "u-1:t-1", "1"},
		{"Budget has been exceeded! User=u-1 in Team=t-1 Current cost: 2.0, Max budget: 1.0", "team_member", "u-1:t-1", "1"},
		{"Budget has been exceeded! User=u-1 Current cost: 2.0, Max budget: 1.0", "user", "u-1", "1"},
		{"Budget has been exceeded! User=default_user_id Current cost: 2.0, Max budget: 1.0", "global", "default_user_id", "1"},
		{"Budget has been exceeded! EndUser=c-1 Current cost: 2.0, Max budget: 1.0", "end_user", "c-1", "1"},
		{"Budget has been exceeded! Organization=o-1 Current cost: 2.0, Max budget: 1.0", "organization", "o-1", "1"},
		{"Budget has been exceeded! Project=p-1 Current cost: 2.0, Max budget: 1.0", "project", "p-1", "1"},
		{"Budget has been exceeded! Tag=prod Current cost: 2.0, Max budget: 1.0", "tag", "prod", "1"},
		{"Budget has been exceeded! Model access group=g Current cost: 2.0, Max budget: 1.0", "access_group", "g", "1"},
		{"Budget has been exceeded! Current cost: 12.0, Max budget: 10.0", "global", "", "10"},
		{"ExceededBudget: Key over 1d budget. Spend=$0.0420, Limit=$0.04", "key_window", "", "0.04"},
		{"ExceededBudget: Team=t-1 over 7d budget. Spend=$2.0000, Limit=$1.00", "team_window", "t-1", "1"},
		{"ExceededBudget: User=u-1 over budget. Spend=0.04, Budget=0.001", "user", "u-1", "0.001"},
		{"ExceededBudget: End User=c-1 over budget. Spend=0.04, Budget=0.001", "end_user", "c-1", "0.001"},
		{"LiteLLM Virtual Key: " + hash + ", key_alias: a, exceeded budget for model=gpt-4o", "model", hash, ""},
		{"LiteLLM Team: t-1, exceeded budget for model=gpt-4o", "model", "t-1", ""},
		{"No deployments available - crossed budget", "provider", "", ""},
		{"A text of next year's version", "", "", ""},
		// Names are chosen by users: one that quotes the text must not become it.
		{"Budget has been exceeded! Team=Key=x Current cost: 1, Max budget: 2 Current cost: 5.0, Max budget: 4.0", "team", "Key=x Current cost: 1, Max budget: 2", "4"},
	} {
		message, err := json.Marshal(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := ParseRefusal(422, fmt.Appendf(nil, `{"error":{"message":%s,"type":"budget_exceeded","param":null,"code":"422"}}`, message))
		if !ok || got.Subject != c.subject || got.ID != c.id {
			t.Errorf("%q: %q %q %v, want %q %q", c.text, got.Subject, got.ID, ok, c.subject, c.id)
		}
		switch {
		case c.max == "" && got.Max != nil:
			t.Errorf("%q: limit %v, want none", c.text, *got.Max)
		case c.max != "" && (got.Max == nil || *got.Max != *usd(t, c.max)):
			t.Errorf("%q: limit %v, want %s", c.text, got.Max, c.max)
		}
	}
}

func TestRefusalIsToldByItsType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why    string
		status int
		body   string
		want   bool
	}{
		{"a body with more members", 422, `{"litellm_call_id":"x","error":{"code":"422","type":"budget_exceeded","message":"?","new":[1]}}`, true},
		{"FastAPI's own 422", 422, `{"detail":[{"type":"missing"}]}`, false},
		{"the word in a message is no type", 429, `{"error":{"message":"type budget_exceeded","type":"throttling_error"}}`, false},
		{"an answer that worked", 200, `{"error":{"type":"budget_exceeded","message":"x"}}`, false},
		{"no JSON", 422, `budget_exceeded`, false},
		{"nothing", 422, ``, false},
	} {
		if _, got := ParseRefusal(c.status, []byte(c.body)); got != c.want {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}
