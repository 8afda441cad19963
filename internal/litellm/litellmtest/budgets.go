package litellmtest

import (
	"fmt"
	"math"
	"net/http"
)

// admit checks budgets as LiteLLM's authentication does, before it looks at the
// request, and makes the reservation. It reports false when it has refused.
func (c *call) admit() bool {
	s := c.s
	s.mu.Lock()
	message := c.overBudget()
	s.mu.Unlock()
	if message == "" && c.m != nil && !c.k.mayUse(c.m) {
		refuse(c.w, http.StatusForbidden, "The requested model '"+c.name+"' is not available for this API key, or the model name is invalid. Check the models available to you and try again.", "key_model_access_denied", "model")
		return false
	}
	if message == "" {
		return true
	}
	if c.kind == realtime {
		commonHeaders(c.w.Header())
		c.w.WriteHeader(http.StatusForbidden)
		return false
	}
	refuse(c.w, s.status, message, "budget_exceeded", nil)
	return false
}

// overBudget returns LiteLLM's text when a budget is used up. Callers hold s.mu.
func (c *call) overBudget() string {
	k := c.k
	if k == nil || c.m != nil && c.m.free() {
		return ""
	}
	c.s.alertKey(k)
	label := k.alias
	if label == "" {
		label = "key"
	}
	if k.max != nil && k.spend+k.reserved >= *k.max {
		return exceeded("Key="+label+" ("+k.name+")", k.spend+k.reserved, *k.max)
	}
	if t := c.s.teams[k.teamID]; t != nil && t.max != nil && t.spend+t.reserved > *t.max {
		spend := t.spend + t.reserved
		c.s.alert(t.id, Event{Spend: &spend, MaxBudget: t.max, Token: k.hash.String(), TeamID: t.id, TeamAlias: orNull(t.alias), Group: "team", Name: "budget_crossed", Message: "Team Budget: Budget Crossed\n Total Budget:`" + pyFloat(*t.max) + "`"})
		return exceeded("Team="+t.id, t.spend+t.reserved, *t.max)
	}
	if u := c.s.users[k.userID]; u != nil && k.teamID == "" && u.max != nil && u.spend >= *u.max {
		spend := u.spend
		c.s.alert(u.id, Event{Spend: &spend, MaxBudget: u.max, UserID: u.id, Group: "user", Name: "budget_crossed", Message: "User Budget: Budget Crossed\n Total Budget:`" + pyFloat(*u.max) + "`"})
		return fmt.Sprintf("ExceededBudget: User=%s over budget. Spend=%s, Budget=%s", u.id, pyFloat(u.spend), pyFloat(*u.max))
	}
	return c.reserve()
}

func exceeded(who string, spend, limit float64) string {
	return fmt.Sprintf("Budget has been exceeded! %s Current cost: %s, Max budget: %s", who, pyFloat(spend), pyFloat(limit))
}

// reserve holds the call's worst case against the key's and the team's budget:
// cut down to what is left, refused only when nothing is. Callers hold s.mu.
func (c *call) reserve() string {
	if !c.s.reserve || c.m == nil || c.kind == modelsList || c.kind == countTokens {
		return ""
	}
	estimate := c.worst()
	for _, a := range c.limited() {
		left := *a.max - a.spend - a.reserved
		if left <= 0 {
			who := "Key=" + c.k.hash.String()
			if a != &c.k.account {
				who = "Team=" + c.k.teamID
			}
			return exceeded(who, a.spend+a.reserved+estimate, *a.max)
		}
		estimate = min(estimate, left)
	}
	c.held = estimate
	for _, a := range c.limited() {
		a.reserved = roundTo(a.reserved+estimate, 1e-12)
	}
	return ""
}

func (c *call) limited() []*account {
	var all []*account
	if c.k.max != nil && *c.k.max > 0 {
		all = append(all, &c.k.account)
	}
	if t := c.s.teams[c.k.teamID]; t != nil && t.max != nil && *t.max > 0 {
		all = append(all, &t.account)
	}
	return all
}

// worst is LiteLLM's reservation: its own count of the input, and the output cap
// or 16384, times n. Google-native bodies are not read: the whole context.
func (c *call) worst() float64 {
	in, out := c.counted(), int64(16384)
	for _, l := range []*int64{c.body.MaxOutput, c.body.MaxTokens, c.body.MaxComp} {
		if l != nil {
			out = *l
		}
	}
	if c.kind == generate || c.kind == generateStream {
		in, out = c.m.MaxInput, 16384
	}
	if c.m.MaxOutput > 0 {
		out = min(out, c.m.MaxOutput)
	}
	n := int64(1)
	if c.body.N != nil {
		n = max(1, *c.body.N)
	}
	return float64(in)*c.m.Prices["input_cost_per_token"] + float64(out*n)*c.m.Prices["output_cost_per_token"]
}

func (c *call) release() {
	if c.held == 0 {
		return
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, a := range c.limited() {
		a.reserved = math.Max(0, roundTo(a.reserved-c.held, 1e-12))
	}
	c.held = 0
}
