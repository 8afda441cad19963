package enforce

import (
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Settings are what an operator sets about decisions. They are replaced as a
// whole on reload.
type Settings struct {
	Mode budget.Mode // enforce.mode
	// Overshoot gives how far past the block point the worst case may come, for a
	// limit (enforce.max_overshoot).
	Overshoot func(limit budget.Money) budget.Money
	StatusTTL time.Duration // enforce.status_ttl
	Defaults  Defaults      // enforce.defaults
	// Resolve is tenants.resolve: what may name a tenant, best first.
	Resolve    []budget.Origin
	AutoCreate budget.Mode // tenants.auto_create: enforce, shadow, off
	Inherit    bool        // tenants.inherit_budget
	// MasterKey is the hash of LiteLLM's master key, which is exempt and counted;
	// nil: not known.
	MasterKey *budget.KeyHash
}

// Defaults are the budget of a tenant that nobody has given one.
type Defaults struct {
	MaxBudget      *budget.Money // nil: metered, never blocked
	AlertThreshold int
	GraceThreshold int
	Period         budget.Period
	Alignment      budget.Alignment
	Zone           *time.Location
}

// tenant returns a tenant with the default budget and its first window at now.
func (d *Defaults) tenant(id string, now time.Time) budget.Tenant {
	rule := budget.Rule{Period: d.Period, Anchor: now, Alignment: d.Alignment, Zone: d.Zone}
	return budget.Tenant{
		ID:             id,
		MaxBudget:      d.MaxBudget,
		AlertThreshold: d.AlertThreshold,
		GraceThreshold: d.GraceThreshold,
		Rule:           rule,
		Window:         budget.Window{Number: 1, Start: now, End: rule.Next(now)},
	}
}
