package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pursestring/pursestring/internal/budget"
)

// CreateTenant makes a tenant with its first window and its keys, all at once. A
// tenant that is there already stays as it is; keys that it lacks are added.
// budget.ErrConflict names the tenant that one of the keys belongs to. It happens
// at n.CreatedAt, by default now.
//
// Windows are never numbered twice: a tenant made again under an id that was
// deleted begins with the number after its last, whatever n.Window says, so use
// the record that is returned.
func (db *DB) CreateTenant(ctx context.Context, n budget.NewTenant) (budget.Record, error) {
	by := budget.By{Actor: n.Actor, Reason: n.Reason, At: n.CreatedAt}
	var r budget.Record
	err := db.change(ctx, n.ID, db.at(by), func(t *tx) error {
		there, err := t.record(ctx, n.ID)
		switch {
		case errors.Is(err, budget.ErrNotFound):
			err = t.createTenant(ctx, n, by)
		case err == nil:
			err = t.addMissingKeys(ctx, n, by)
			r = there
		}
		if err != nil {
			return err
		}
		r, err = t.record(ctx, n.ID)
		return err
	})
	if err != nil {
		return budget.Record{}, db.fail(err, "create tenant %q", n.ID)
	}
	return r, nil
}

func (t *tx) createTenant(ctx context.Context, n budget.NewTenant, by budget.By) error {
	if err := t.complete(ctx, &n); err != nil {
		return err
	}
	if err := validNew(&n); err != nil {
		return err
	}
	if err := t.insertTenant(ctx, &n.Tenant); err != nil {
		return err
	}
	if err := t.openWindow(ctx, n.ID, n.Window, n.InheritedSpend); err != nil {
		return err
	}
	if n.InheritedSpend != 0 {
		if err := t.adjust(ctx, n.ID, n.Window.Number, n.InheritedSpend, "inherit", by); err != nil {
			return err
		}
	}
	f := factsOf(&n.Tenant)
	f.InheritedUSD = n.InheritedSpend
	for _, k := range n.Keys {
		k, _, err := t.insertKey(ctx, n.ID, k)
		if err != nil {
			return err
		}
		f.Keys = append(f.Keys, factsOfKey(k))
	}
	return t.audit(ctx, by, "tenant_created", n.ID, nil, f)
}

// complete fills what a new tenant leaves to the store.
func (t *tx) complete(ctx context.Context, n *budget.NewTenant) error {
	var last int64
	err := t.QueryRowContext(ctx, `SELECT COALESCE(max(number), 0) FROM budget_windows WHERE tenant_id = $1`, n.ID).Scan(&last)
	if err != nil {
		return fmt.Errorf("find the last window: %w", err)
	}
	n.Window.Number = max(n.Window.Number, last+1)
	if n.Rule.Anchor.IsZero() {
		n.Rule.Anchor = t.at
	}
	if n.Window.Start.IsZero() {
		n.Window.Start = t.at
	}
	if n.Window.End.IsZero() {
		n.Window.End = n.Rule.Next(n.Window.Start)
	}
	if n.Origin == "" {
		n.Origin = budget.OriginAdmin
	}
	n.Alias = text(n.Alias)
	n.CreatedAt, n.UpdatedAt, n.Revision = t.at, t.at, t.revision
	return nil
}

func (t *tx) insertTenant(ctx context.Context, c *budget.Tenant) error {
	_, err := t.ExecContext(ctx, `INSERT INTO tenant_configs (id, alias, max_budget_nusd, alert_threshold, grace_threshold,
			budget_duration, anchor, reset_alignment, timezone, window_number, window_start_at, budget_reset_at,
			mode, origin, needs_budget, upstream_limit_nusd, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		c.ID, c.Alias, amount(c.MaxBudget), c.AlertThreshold, c.GraceThreshold,
		optional(c.Rule.Period.String()), instant(c.Rule.Anchor), alignment(c.Rule), zoneName(c.Rule.Zone),
		c.Window.Number, instant(c.Window.Start), instant(c.Window.End),
		c.Mode, c.Origin, c.NeedsBudget, amount(c.UpstreamLimit), c.Revision, instant(c.CreatedAt), instant(c.UpdatedAt))
	if err != nil {
		return fmt.Errorf("insert tenant: %w", err)
	}
	return nil
}

func (t *tx) adjust(ctx context.Context, tenantID string, window int64, m budget.Money, source string, by budget.By) error {
	_, err := t.ExecContext(ctx, `INSERT INTO spend_adjustments (tenant_id, window_number, amount_nusd, source, actor, reason, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, tenantID, window, int64(m), source, actor(by), text(by.Reason), instant(t.at))
	if err != nil {
		return fmt.Errorf("write adjustment: %w", err)
	}
	return nil
}

// PutTenant changes what a tenant is called and how its decisions bind.
func (db *DB) PutTenant(ctx context.Context, tenantID string, c budget.TenantChange, by budget.By) (budget.Record, error) {
	if c.Mode != nil && !tenantMode(*c.Mode) {
		return budget.Record{}, badMode(*c.Mode)
	}
	return db.changeRecord(ctx, tenantID, by, func(t *tx, r *budget.Record) error {
		before := labelFacts{Alias: r.Alias, Mode: r.Mode}
		after := before
		if c.Alias != nil {
			after.Alias = text(*c.Alias)
		}
		if c.Mode != nil {
			after.Mode = *c.Mode
		}
		if after == before {
			return errUnchanged
		}
		_, err := t.ExecContext(ctx, `UPDATE tenant_configs SET alias = $1, mode = $2 WHERE id = $3`, after.Alias, after.Mode, tenantID)
		if err != nil {
			return fmt.Errorf("update tenant: %w", err)
		}
		return t.audit(ctx, by, "tenant_changed", tenantID, before, after)
	})
}

// DeleteTenant removes a tenant with its keys, ends its override and closes its
// window. Windows, overrides, alerts and audit rows stay, and late settlements
// still reach the windows.
func (db *DB) DeleteTenant(ctx context.Context, tenantID string, by budget.By) error {
	at := db.at(by)
	err := db.change(ctx, tenantID, at, func(t *tx) error {
		r, err := t.record(ctx, tenantID)
		if err != nil {
			return err
		}
		keys, err := keysOf(ctx, t, tenantID)
		if err != nil {
			return err
		}
		f := factsOf(&r.Tenant)
		for _, k := range keys {
			f.Keys = append(f.Keys, factsOfKey(k))
			if err := t.noteKey(ctx, tenantID, k.Hash); err != nil {
				return err
			}
		}
		for _, stmt := range []string{
			`UPDATE budget_overrides SET revoked_at = $1 WHERE tenant_id = $2 AND revoked_at IS NULL AND expires_at > $1`,
			`UPDATE budget_windows SET closed_at = $1 WHERE tenant_id = $2 AND closed_at IS NULL`,
		} {
			if _, err := t.ExecContext(ctx, stmt, instant(t.at), tenantID); err != nil {
				return fmt.Errorf("close the tenant's rows: %w", err)
			}
		}
		if _, err := t.ExecContext(ctx, `DELETE FROM tenant_configs WHERE id = $1`, tenantID); err != nil {
			return err
		}
		return t.audit(ctx, by, "tenant_deleted", tenantID, f, nil)
	})
	if err != nil {
		return db.fail(err, "delete tenant %q", tenantID)
	}
	return nil
}

// changeRecord changes a tenant that is there and returns what it is afterwards.
// fn may return errUnchanged: then nothing is written, and the record returned is
// the one it was given.
func (db *DB) changeRecord(ctx context.Context, tenantID string, by budget.By, fn func(*tx, *budget.Record) error) (budget.Record, error) {
	var r budget.Record
	err := db.change(ctx, tenantID, db.at(by), func(t *tx) (err error) {
		if r, err = t.record(ctx, tenantID); err != nil {
			return err
		}
		if err := fn(t, &r); err != nil {
			return err
		}
		if err := t.stamp(ctx, tenantID); err != nil {
			return err
		}
		r, err = t.record(ctx, tenantID)
		return err
	})
	if err != nil {
		return budget.Record{}, db.fail(err, "change tenant %q", tenantID)
	}
	return r, nil
}
