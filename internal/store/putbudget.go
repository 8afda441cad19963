package store

import (
	"context"
	"fmt"

	"github.com/pursestring/pursestring/internal/budget"
)

// PutBudget gives a tenant a new budget, whole. The window keeps its number and
// its spend; under another rule it ends at that rule's first boundary after
// by.At. budget.ErrStale when c.IfRevision is given and the tenant has another.
func (db *DB) PutBudget(ctx context.Context, tenantID string, c budget.Terms, by budget.By) (budget.Record, error) {
	return db.changeRecord(ctx, tenantID, by, func(t *tx, r *budget.Record) error {
		if c.IfRevision != nil && *c.IfRevision != r.Revision {
			return &budget.Error{Code: budget.CodeStale, Message: fmt.Sprintf(
				"tenant %q is at revision %d by now, not %d: read it again", tenantID, r.Revision, *c.IfRevision)}
		}
		rule := newRule(c, r.Rule)
		if err := validBudget(c.MaxBudget, c.AlertThreshold, c.GraceThreshold, rule); err != nil {
			return err
		}
		// A window that has ended by now ended under the rule it began with.
		if _, err := t.roll(ctx, r); err != nil {
			return err
		}
		before := factsOf(&r.Tenant)
		after := r.Tenant
		after.MaxBudget, after.AlertThreshold, after.GraceThreshold = c.MaxBudget, c.AlertThreshold, c.GraceThreshold
		after.NeedsBudget = false // somebody has given it one
		after.Rule = rule
		if !sameRule(r.Rule, rule) {
			after.Window = r.Window.Reruled(later(t.at, r.Window.Start), rule)
			if err := t.endWindow(ctx, tenantID, after.Window.Number, after.Window.End); err != nil {
				return err
			}
		}
		if err := t.updateBudget(ctx, &after); err != nil {
			return err
		}
		return t.audit(ctx, by, "budget_changed", tenantID, before, factsOf(&after))
	})
}

func (t *tx) updateBudget(ctx context.Context, c *budget.Tenant) error {
	_, err := t.ExecContext(ctx, `UPDATE tenant_configs SET max_budget_nusd = $1, alert_threshold = $2, grace_threshold = $3,
			budget_duration = $4, anchor = $5, reset_alignment = $6, timezone = $7, budget_reset_at = $8, needs_budget = $9
		WHERE id = $10`,
		amount(c.MaxBudget), c.AlertThreshold, c.GraceThreshold,
		optional(c.Rule.Period.String()), instant(c.Rule.Anchor), alignment(c.Rule), zoneName(c.Rule.Zone),
		instant(c.Window.End), c.NeedsBudget, c.ID)
	if err != nil {
		return fmt.Errorf("update budget: %w", err)
	}
	return nil
}

// newRule is the rule that a change asks for; without an anchor the old one stays.
func newRule(c budget.Terms, old budget.Rule) budget.Rule {
	r := budget.Rule{Period: c.Period, Anchor: c.Anchor, Alignment: c.Alignment, Zone: c.Zone}
	if r.Anchor.IsZero() {
		r.Anchor = old.Anchor
	}
	r.Anchor = timeOf(instant(r.Anchor)) // as it will be read
	return r
}

// sameRule reports whether two rules are written alike; only then does the window
// keep its end.
func sameRule(a, b budget.Rule) bool {
	return a.Period == b.Period && a.Anchor.Equal(b.Anchor) && alignment(a) == alignment(b) && zoneName(a.Zone) == zoneName(b.Zone)
}
