package store

import (
	"github.com/pursestring/pursestring/internal/budget"
)

// What callers have checked already is checked again where it is written: the
// store is the last to see it, and a constraint's own words help nobody.

func validNew(n *budget.NewTenant) error {
	if err := budget.ValidateTenantID(n.ID); err != nil {
		return err
	}
	if n.InheritedSpend < 0 {
		return invalid("spend_usd", "inherited spend %s is negative", n.InheritedSpend)
	}
	if !tenantMode(n.Mode) {
		return badMode(n.Mode)
	}
	if end := n.Window.End; !end.IsZero() && !end.After(n.Window.Start) {
		return invalid("budget_reset_at", "the first window of tenant %q ends at %s, not after its start", n.ID, end)
	}
	return validBudget(n.MaxBudget, n.AlertThreshold, n.GraceThreshold, n.Rule)
}

func validBudget(limit *budget.Money, alert, grace int, r budget.Rule) error {
	switch {
	case limit != nil && *limit <= 0:
		return invalid("max_budget", "max_budget %s is not above $0; null meters without a limit", *limit)
	case alert < 50 || alert > 100:
		return invalid("alert_threshold", "alert_threshold %d is outside 50–100", alert)
	case grace < 100 || grace > 150:
		return invalid("grace_threshold", "grace_threshold %d is outside 100–150", grace)
	}
	switch alignment(r) {
	case budget.Anniversary, budget.Calendar:
	default:
		return invalid("reset_alignment", "reset_alignment %q is neither anniversary nor calendar", r.Alignment)
	}
	// A zone is stored by its name, which must lead back to it: a fixed offset or
	// the machine's "Local" would mean something else on the next machine.
	if name := zoneName(r.Zone); name == "Local" {
		return invalid("timezone", "timezone Local differs from machine to machine, name one such as Europe/Berlin")
	} else if _, err := zone(name); err != nil {
		return invalid("timezone", "timezone %q is not known, name one such as Europe/Berlin", name)
	}
	return nil
}

func alignment(r budget.Rule) budget.Alignment {
	if r.Alignment == "" {
		return budget.Anniversary
	}
	return r.Alignment
}

func tenantMode(m budget.Mode) bool { return m == "" || m == budget.Enforce || m == budget.Shadow }

func badMode(m budget.Mode) error {
	return invalid("mode", "mode %q is neither enforce nor shadow; empty follows enforce.mode", m)
}
