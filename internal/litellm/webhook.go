package litellm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pursestring/pursestring/internal/budget"
)

// Webhook is a budget event that LiteLLM sent. Its amounts hold LiteLLM's open
// reservations: they are shown, never counted.
type Webhook struct {
	Event   string // budget_crossed, threshold_crossed, soft_budget_crossed, projected_limit_exceeded, spend_tracked, or one we do not know
	Group   string // key, user, team, …: what the event is about; "" not said
	Message string // LiteLLM's text, bounded

	// Subject is the id of what the event is about, by Group: a key's hash, a
	// user, team, organization or customer id; user:team for a team member; ""
	// when the group is not known, or the event does not name it.
	Subject string
	// KeyHash is set for events about a key, and for no others: those carry the
	// hash of whichever key made the call, which is Caller.
	KeyHash *budget.KeyHash
	Caller  *budget.KeyHash // the key whose call set the event off; nil: not said
	Alias   string          // key or team alias, as the group has it

	Spend      *budget.Money
	MaxBudget  *budget.Money // the soft limit, when Projected
	SoftBudget *budget.Money
	// Projected: a projection, whatever Event says. LiteLLM turns such an event
	// into threshold_crossed or budget_crossed, with the soft limit as max_budget.
	Projected bool
	// Test is LiteLLM's test event: it is about nobody.
	Test bool
}

// mostWebhook bounds a body; the largest seen has 550 bytes.
const mostWebhook = 64 << 10

// ParseWebhook reads the body of LiteLLM's budget webhook. Nulls, missing and
// unknown members, unknown events and groups, and numbers in strings are normal;
// only what is no JSON object, or is absurdly long, is an error.
func ParseWebhook(body []byte) (Webhook, error) {
	if len(body) > mostWebhook {
		return Webhook{}, fmt.Errorf("webhook body has %d bytes, more than %d", len(body), mostWebhook)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return Webhook{}, errors.New("webhook body is no JSON object")
	}
	text := func(name string) string { return textOf(fields[name]) }
	w := Webhook{
		Event: clip(text("event"), 64), Group: clip(text("event_group"), 64), Message: clip(text("event_message"), 500),
		Spend: moneyOf(fields["spend"]), MaxBudget: moneyOf(fields["max_budget"]), SoftBudget: moneyOf(fields["soft_budget"]),
		Projected: moneyOf(fields["projected_spend"]) != nil || text("event") == "projected_limit_exceeded",
		// Real limits of 0 exist, but nothing can be spent of them to be told about.
		Test: text("event") == "budget_crossed" && isZero(fields["max_budget"]),
	}
	token := text("token")
	if h, err := budget.ParseKeyHash(token); err == nil {
		w.Caller = &h
	}
	w.aboutWhom(text)
	return w, nil
}

// aboutWhom maps by event_group first: only for a key's events is the token the
// subject.
func (w *Webhook) aboutWhom(text func(string) string) {
	switch w.Group {
	case "key":
		w.KeyHash, w.Alias = w.Caller, text("key_alias")
		if w.KeyHash != nil {
			w.Subject = w.KeyHash.String()
		}
	case "user":
		w.Subject = text("user_id")
	case "team":
		w.Subject, w.Alias = text("team_id"), text("team_alias")
	case "team_member":
		if user, team := text("user_id"), text("team_id"); user != "" && team != "" {
			w.Subject = user + ":" + team
		}
	case "organization":
		w.Subject = text("organization_id")
	case "organization_member":
		if user, org := text("user_id"), text("organization_id"); user != "" && org != "" {
			w.Subject = user + ":" + org
		}
	case "end_user":
		w.Subject = text("customer_id")
	}
	w.Subject, w.Alias = clip(w.Subject, 200), clip(w.Alias, 200)
}

func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	if len(raw) > 0 && raw[0] != 'n' && raw[0] != '{' && raw[0] != '[' {
		return string(raw) // a number where we expect a text, such as an id
	}
	return ""
}

func moneyOf(raw json.RawMessage) *budget.Money {
	f, ok := floatOf(raw)
	if !ok {
		return nil
	}
	m, ok := budget.USD(f)
	if !ok {
		return nil
	}
	return &m
}

func isZero(raw json.RawMessage) bool {
	f, ok := floatOf(raw)
	return ok && f == 0
}

func floatOf(raw json.RawMessage) (float64, bool) {
	f, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	return f, err == nil
}
