package litellm

import (
	"strings"
	"testing"
)

func TestWebhookOfRecordings(t *testing.T) {
	t.Parallel()
	type want struct {
		event, group, subject, alias, max string
		projected, test, key              bool
	}
	wants := map[string]want{
		"webhook-budget-crossed-key":             {event: "budget_crossed", group: "key", subject: "83563ad207fffe9c564f94408a15467a9d75bc305c23c6ff41cb08b37abf500a", alias: "wh-threshold", max: "0.048", key: true},
		"webhook-budget-crossed-team":            {event: "budget_crossed", group: "team", subject: "3c932fa3-d05b-4cfe-84aa-f0c2fc987af6", alias: "wh-team", max: "0.001"},
		"webhook-budget-crossed-user":            {event: "budget_crossed", group: "user", subject: "wh-user", max: "0.001"},
		"webhook-projected-as-budget-crossed":    {event: "budget_crossed", group: "key", subject: "579ffb54935955ed93adc238d6067cd8d2bbaaff9d0be673edffe07aabf72348", alias: "wh-soft", max: "0.04", projected: true, key: true},
		"webhook-projected-as-threshold-crossed": {event: "threshold_crossed", group: "key", subject: "d32361cdaf8a1cb33b1c239f0e45d33b330bfa90d877e770707b6914faecd359", alias: "wh-projected2", max: "0.045", projected: true, key: true},
		"webhook-projected-limit-exceeded":       {event: "projected_limit_exceeded", group: "key", subject: "7815df1a9a68a2dd63883697b00a709fdb9ed4e4cd49a5b3eb7ca101e9022557", alias: "wh-projected3", max: "0.0505", projected: true, key: true},
		"webhook-soft-budget-crossed-key":        {event: "soft_budget_crossed", group: "key", subject: "579ffb54935955ed93adc238d6067cd8d2bbaaff9d0be673edffe07aabf72348", alias: "wh-soft", max: "10", key: true},
		"webhook-spend-tracked-end-user":         {event: "spend_tracked", group: "end_user", subject: "customer-7"},
		"webhook-test":                           {event: "budget_crossed", group: "key", max: "0", test: true},
		"webhook-threshold-crossed-key":          {event: "threshold_crossed", group: "key", subject: "83563ad207fffe9c564f94408a15467a9d75bc305c23c6ff41cb08b37abf500a", alias: "wh-threshold", max: "0.048", key: true},
	}
	for _, name := range names(t, "webhook-") {
		w, ok := wants[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
			continue
		}
		got, err := ParseWebhook(recorded(t, name).request)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Event != w.event || got.Group != w.group || got.Subject != w.subject || got.Alias != w.alias || got.Projected != w.projected || got.Test != w.test || (got.KeyHash != nil) != w.key {
			t.Errorf("%s: %+v, want %+v", name, got, w)
		}
		if w.max == "" && got.MaxBudget != nil || w.max != "" && (got.MaxBudget == nil || *got.MaxBudget != *usd(t, w.max)) {
			t.Errorf("%s: max %v, want %q", name, got.MaxBudget, w.max)
		}
		if got.Spend == nil {
			t.Errorf("%s: no spend", name)
		}
	}
}

func TestWebhookShapes(t *testing.T) {
	t.Parallel()
	const hash = "83563ad207fffe9c564f94408a15467a9d75bc305c23c6ff41cb08b37abf500a"
	parse := func(body string) Webhook {
		t.Helper()
		w, err := ParseWebhook([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		return w
	}
	if w := parse(`{"event":"quota_melted","event_group":"planet","token":"` + hash + `","spend":"12.5","new":{"a":[1]}}`); w.Event != "quota_melted" || w.Subject != "" || w.KeyHash != nil || w.Caller == nil || w.Spend == nil || *w.Spend != *usd(t, "12.5") {
		t.Errorf("an unknown event with a number as text: %+v", w)
	}
	if w := parse(`{"event":"budget_crossed","event_group":"team","team_id":7,"token":"` + hash + `","max_budget":5}`); w.Subject != "7" || w.KeyHash != nil {
		t.Errorf("an id that is a number: %+v", w)
	}
	if w := parse(`{"event":"budget_crossed","event_group":"team_member","user_id":"u","team_id":"t"}`); w.Subject != "u:t" {
		t.Errorf("a team member: %+v", w)
	}
	if w := parse(`{"event":"budget_crossed","event_group":"proxy","user_id":"default_user_id","token":"` + hash + `","max_budget":5}`); w.Subject != "" || w.KeyHash != nil {
		t.Errorf("a proxy event is about no key: %+v", w)
	}
	if w := parse(`{}`); w.Test || w.Projected {
		t.Errorf("an empty object: %+v", w)
	}
	for _, bad := range []string{``, `[]`, `null`, `{"event":`, `"x"`, strings.Repeat(" ", mostWebhook+1)} {
		if _, err := ParseWebhook([]byte(bad)); err == nil {
			t.Errorf("%.20q was taken", bad)
		}
	}
}

func FuzzParseWebhook(f *testing.F) {
	f.Add([]byte(`{"spend":467.5,"max_budget":550.0,"token":"x","event_group":"key","event":"threshold_crossed"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := ParseWebhook(b); err == nil && (len(w.Message) > 520 || len(w.Subject) > 220) {
			t.Errorf("unbounded text from %q", b)
		}
	})
}
