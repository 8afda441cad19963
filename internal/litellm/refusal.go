package litellm

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/pursestring/pursestring/internal/budget"
)

// ParseRefusal takes LiteLLM's own budget refusal apart. It reports false for
// any other answer. What tells is error.type == "budget_exceeded", not the
// status: that was 400 in old versions, 429 later, is 422 in 1.106 and can be
// set. A text that is not known yields an empty Subject. body may be cut off
// after the error object, and is not kept.
//
// Source of the texts: auth_checks.py, budget_reservation.py and
// budget_limiter.py in 1.106, and the recorded answers.
func ParseRefusal(status int, body []byte) (budget.UpstreamRefusal, bool) {
	if status < 400 {
		return budget.UpstreamRefusal{}, false
	}
	var message, kind string
	if !errorFields(body, &message, &kind) || kind != "budget_exceeded" {
		return budget.UpstreamRefusal{}, false
	}
	return refusalOf(message), true
}

// errorFields reads error.message and error.type.
func errorFields(body []byte, message, kind *string) bool {
	found := false
	eachMember(body, func(name, value []byte) bool {
		if string(name) != "error" {
			return true
		}
		found = eachMember(value, func(name, value []byte) bool {
			switch string(name) {
			case "message":
				_ = json.Unmarshal(value, message) // no string: no text
			case "type":
				_ = json.Unmarshal(value, kind)
			}
			return true
		})
		return false
	})
	return found
}

const amount = `\$?([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)`

var (
	maxBudget  = regexp.MustCompile(`(?:Max budget: |Budget=|Limit=)` + amount + `$`)
	overWindow = regexp.MustCompile(`^(Key|Team=(.+)) over \S+ budget\. `)
	overOwn    = regexp.MustCompile(`^(User|End User)=(.*) over budget\. `)
	perModel   = regexp.MustCompile(`^LiteLLM (?:Virtual Key|User|End User|Team): (.*?), .*exceeded budget for model=`)
	windowTail = regexp.MustCompile(`:[0-9]+(?:s|m|h|d|w|mo)$`)
)

// refusalOf reads a message. Names inside it are chosen by users, so what it
// looks for is tied to the beginning or the end.
func refusalOf(message string) budget.UpstreamRefusal {
	r := budget.UpstreamRefusal{}
	if rest, ok := strings.CutPrefix(message, "Budget has been exceeded!"); ok {
		r.Subject, r.ID = exceeded(strings.TrimSpace(rest))
	} else if rest, ok := strings.CutPrefix(message, "ExceededBudget: "); ok {
		r.Subject, r.ID = over(rest)
	} else if m := perModel.FindStringSubmatch(message); m != nil {
		r.Subject, r.ID = "model", m[1]
	} else if strings.Contains(message, "crossed budget") {
		r.Subject = "provider"
	}
	if m := maxBudget.FindStringSubmatch(message); m != nil {
		if max, err := budget.ParseUSD(m[1]); err == nil {
			r.Max = &max
		}
	}
	if r.Subject == "user" && r.ID == "default_user_id" {
		r.Subject = "global" // how older versions named the proxy's own budget
	}
	return r
}

// subjects are the names before "=" in "Budget has been exceeded! X=…".
var subjects = map[string]string{
	"Key": "key", "Team": "team", "TeamMember": "team_member", "User": "user", "EndUser": "end_user",
	"Organization": "organization", "Project": "project", "Tag": "tag", "Model access group": "access_group",
}

// exceeded reads "X=… Current cost: …, Max budget: …".
func exceeded(text string) (subject, id string) {
	end := strings.LastIndex(text, "Current cost: ")
	if end == 0 {
		return "global", "" // nobody's but the proxy's own
	}
	if end < 0 {
		return "", ""
	}
	name, id, ok := strings.Cut(strings.TrimSpace(text[:end]), "=")
	subject = subjects[name]
	if !ok || subject == "" {
		return "", ""
	}
	switch subject {
	case "user":
		if user, team, ok := strings.Cut(id, " in Team="); ok {
			return "team_member", user + ":" + team
		}
	case "key", "team":
		// A reservation of a window appends its duration to the id.
		if tail := windowTail.FindString(id); tail != "" {
			subject, id = subject+"_window", strings.TrimSuffix(id, tail)
		}
	}
	if strings.HasPrefix(subject, "key") {
		if _, err := budget.ParseKeyHash(id); err != nil {
			id = "" // alias and masked name: no identity
		}
	}
	return subject, id
}

// over reads what follows "ExceededBudget: ".
func over(text string) (subject, id string) {
	if m := overWindow.FindStringSubmatch(text); m != nil {
		if m[1] == "Key" {
			return "key_window", ""
		}
		return "team_window", m[2]
	}
	if m := overOwn.FindStringSubmatch(text); m != nil {
		if m[1] == "User" {
			return "user", m[2]
		}
		return "end_user", m[2]
	}
	return "", ""
}
