package budget

import "time"

// AlertEvent is one entry of a tenant's alert history: a crossing that our own
// ledger saw, or a webhook that LiteLLM sent.
type AlertEvent struct {
	ID         int64
	At         time.Time
	Source     string // "litellm" or "pursestring"
	Type       string // LiteLLM's event or ours
	Group      string // LiteLLM's event_group: key, user, team, …
	TenantID   string // empty: belongs to no tenant we know
	KeyHash    *KeyHash
	Subject    string // what the event is about when it is no key: a user, team or customer id
	SpendUSD   *float64
	MaxUSD     *float64
	Projected  bool
	Detail     []byte // the event as it came, JSON, bounded; the beginning of one that was not parsable is a JSON text; nil: nothing kept
	WindowHint int64  // our window number at arrival; 0: unknown
}

// AuditEntry is one change made by an admin or by Pursestring itself.
type AuditEntry struct {
	ID       int64
	At       time.Time
	Actor    string // token name, or "pursestring"
	Action   string // budget_changed, override_granted, budget_reset, key_added, …
	TenantID string
	Before   []byte // JSON; nil: nothing before
	After    []byte // JSON; nil: nothing after
	Reason   string
}
