package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pursestring/pursestring/internal/budget"
)

const overrideColumns = `id, tenant_id, amount_nusd, disable_enforcement, reason, granted_by, starts_at, expires_at, revoked_at`

// mostOverrides bounds what Overrides returns.
const mostOverrides = 1000

// Overrides returns a tenant's overrides, the newest first, at most a thousand.
func (db *DB) Overrides(ctx context.Context, tenantID string) ([]budget.Override, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT `+overrideColumns+` FROM budget_overrides
		WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2`, tenantID, mostOverrides)
	if err != nil {
		return nil, db.fail(err, "list overrides of tenant %q", tenantID)
	}
	list, err := collect(rows, scanOverride)
	if err != nil {
		return nil, db.fail(err, "list overrides of tenant %q", tenantID)
	}
	return list, nil
}

func scanOverride(s scanner) (o budget.Override, err error) {
	var from, until, revoked sql.NullInt64
	err = s.Scan(&o.ID, &o.TenantID, &o.Amount, &o.DisableEnforcement, &o.Reason, &o.GrantedBy, &from, &until, &revoked)
	o.StartsAt, o.ExpiresAt, o.RevokedAt = timeOf(from), timeOf(until), timeOf(revoked)
	return o, err
}

// GrantOverride stores an override and returns it with its id. At any instant one
// at most is active: budget.ErrConflict when its time overlaps another's, unless
// replace is true; then the other ends now. What o leaves out is taken from by:
// who grants it, why, and the start.
func (db *DB) GrantOverride(ctx context.Context, o budget.Override, replace bool, by budget.By) (budget.Override, error) {
	_, err := db.changeRecord(ctx, o.TenantID, by, func(t *tx, _ *budget.Record) error {
		if o.StartsAt.IsZero() {
			o.StartsAt = t.at
		}
		if o.GrantedBy == "" {
			o.GrantedBy = actor(by)
		}
		if o.Reason == "" {
			o.Reason = by.Reason
		}
		o.Reason, o.GrantedBy = text(o.Reason), text(o.GrantedBy)
		// As it will be read.
		o.StartsAt, o.ExpiresAt = timeOf(instant(o.StartsAt)), timeOf(instant(o.ExpiresAt))
		if err := validOverride(&o); err != nil {
			return err
		}
		if err := t.clearOverrides(ctx, &o, replace, by); err != nil {
			return err
		}
		err := t.QueryRowContext(ctx, `INSERT INTO budget_overrides
				(tenant_id, amount_nusd, disable_enforcement, reason, granted_by, starts_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
			o.TenantID, int64(o.Amount), o.DisableEnforcement, o.Reason, o.GrantedBy, instant(o.StartsAt), instant(o.ExpiresAt)).Scan(&o.ID)
		if err != nil {
			return fmt.Errorf("insert override: %w", err)
		}
		return t.audit(ctx, by, "override_granted", o.TenantID, nil, factsOfOverride(o))
	})
	if err != nil {
		return budget.Override{}, db.fail(err, "grant override to tenant %q", o.TenantID)
	}
	return o, nil
}

func validOverride(o *budget.Override) error {
	switch {
	case o.Amount < 0:
		return invalid("override_amount", "override_amount %s is negative", o.Amount)
	case o.Amount == 0 && !o.DisableEnforcement:
		return invalid("override_amount", "the override changes nothing: give override_amount or disable_enforcement")
	case o.Reason == "":
		return invalid("reason", "an override needs a reason")
	case !o.ExpiresAt.After(o.StartsAt):
		return invalid("duration", "the override would end at %s, not after its start", o.ExpiresAt)
	case !o.RevokedAt.IsZero():
		return invalid("revoked_at", "an override cannot be granted revoked")
	}
	return nil
}

// clearOverrides makes room for o: what overlaps it is in its way, or is ended.
func (t *tx) clearOverrides(ctx context.Context, o *budget.Override, replace bool, by budget.By) error {
	rows, err := t.QueryContext(ctx, `SELECT `+overrideColumns+` FROM budget_overrides
		WHERE tenant_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND starts_at < $3 ORDER BY id`,
		o.TenantID, instant(o.StartsAt), instant(o.ExpiresAt))
	if err != nil {
		return fmt.Errorf("look for other overrides: %w", err)
	}
	others, err := collect(rows, scanOverride)
	if err != nil {
		return fmt.Errorf("look for other overrides: %w", err)
	}
	for _, other := range others {
		if !replace {
			return conflict("", "override %d of tenant %q counts until %s: revoke it first, or replace it",
				other.ID, o.TenantID, other.ExpiresAt.Format("2006-01-02 15:04 MST"))
		}
		by.Reason = "replaced: " + o.Reason
		if _, err := t.revoke(ctx, other, by); err != nil {
			return err
		}
	}
	return nil
}

// RevokeOverride ends the override that is active at by.At, else the next that
// would become so, and returns it; budget.ErrNotFound when there is none.
func (db *DB) RevokeOverride(ctx context.Context, tenantID string, by budget.By) (budget.Override, error) {
	var o budget.Override
	_, err := db.changeRecord(ctx, tenantID, by, func(t *tx, r *budget.Record) (err error) {
		if r.Override == nil {
			return notFound("no override of tenant %q is active", tenantID)
		}
		o, err = t.revoke(ctx, *r.Override, by)
		return err
	})
	if err != nil {
		return budget.Override{}, db.fail(err, "revoke override of tenant %q", tenantID)
	}
	return o, nil
}

func (t *tx) revoke(ctx context.Context, o budget.Override, by budget.By) (budget.Override, error) {
	before := factsOfOverride(o)
	o.RevokedAt = timeOf(instant(t.at))
	_, err := t.ExecContext(ctx, `UPDATE budget_overrides SET revoked_at = $1 WHERE id = $2`, instant(o.RevokedAt), o.ID)
	if err != nil {
		return o, fmt.Errorf("revoke override %d: %w", o.ID, err)
	}
	return o, t.audit(ctx, by, "override_revoked", o.TenantID, before, factsOfOverride(o))
}
