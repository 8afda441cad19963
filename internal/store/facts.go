package store

import (
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// What audit rows say before and after. The words are those of the admin API;
// amounts are dollars.

type tenantFacts struct {
	Alias          string           `json:"alias,omitempty"`
	MaxBudget      *budget.Money    `json:"max_budget"`
	AlertThreshold int              `json:"alert_threshold"`
	GraceThreshold int              `json:"grace_threshold"`
	Duration       *string          `json:"budget_duration"`
	Anchor         time.Time        `json:"anchor"`
	Alignment      budget.Alignment `json:"reset_alignment"`
	Timezone       string           `json:"timezone"`
	Mode           budget.Mode      `json:"mode,omitempty"`
	Window         budget.Window    `json:"window"`
	Origin         budget.Origin    `json:"origin,omitempty"`
	InheritedUSD   budget.Money     `json:"inherited_spend_usd,omitempty"`
	Keys           []keyFacts       `json:"keys,omitempty"`
}

func factsOf(t *budget.Tenant) tenantFacts {
	f := tenantFacts{
		Alias:          t.Alias,
		MaxBudget:      t.MaxBudget,
		AlertThreshold: t.AlertThreshold,
		GraceThreshold: t.GraceThreshold,
		Anchor:         t.Rule.Anchor,
		Alignment:      alignment(t.Rule),
		Timezone:       zoneName(t.Rule.Zone),
		Mode:           t.Mode,
		Window:         t.Window,
		Origin:         t.Origin,
	}
	if d := t.Rule.Period.String(); d != "" {
		f.Duration = &d
	}
	return f
}

type labelFacts struct {
	Alias string      `json:"alias"`
	Mode  budget.Mode `json:"mode"`
}

type keyFacts struct {
	Hash     budget.KeyHash `json:"key_hash"`
	Alias    string         `json:"alias,omitempty"`
	Baseline budget.Money   `json:"baseline_usd"`
}

func factsOfKey(k budget.TenantKey) keyFacts {
	return keyFacts{Hash: k.Hash, Alias: k.Alias, Baseline: k.Baseline}
}

type overrideFacts struct {
	ID                 int64        `json:"id"`
	Amount             budget.Money `json:"override_amount"`
	DisableEnforcement bool         `json:"disable_enforcement"`
	Reason             string       `json:"reason"`
	GrantedBy          string       `json:"granted_by"`
	StartsAt           time.Time    `json:"starts_at"`
	ExpiresAt          time.Time    `json:"expires_at"`
	RevokedAt          time.Time    `json:"revoked_at,omitzero"`
}

func factsOfOverride(o budget.Override) overrideFacts {
	return overrideFacts{
		ID: o.ID, Amount: o.Amount, DisableEnforcement: o.DisableEnforcement, Reason: o.Reason,
		GrantedBy: o.GrantedBy, StartsAt: o.StartsAt, ExpiresAt: o.ExpiresAt, RevokedAt: o.RevokedAt,
	}
}

type closedFacts struct {
	Window budget.Window `json:"window"`
	Spent  budget.Money  `json:"spend_usd"`
}

type openedFacts struct {
	Window    budget.Window `json:"window"`
	Spent     budget.Money  `json:"spend_usd"`
	MaxBudget *budget.Money `json:"max_budget"`
}
