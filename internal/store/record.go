package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// recordColumns and recordTables are a tenant with its override and its spend.
// $1 is the instant: overrides that have expired by then are left out. Of those
// left, which never overlap, the first to begin is the active one or the next.
const (
	recordColumns = `c.id, c.alias, c.max_budget_nusd, c.alert_threshold, c.grace_threshold,
		c.budget_duration, c.anchor, c.reset_alignment, c.timezone,
		c.window_number, c.window_start_at, c.budget_reset_at,
		c.mode, c.origin, c.needs_budget, c.upstream_limit_nusd, c.revision, c.created_at, c.updated_at,
		COALESCE(w.spent_nusd, 0),
		o.id, o.amount_nusd, o.disable_enforcement, o.reason, o.granted_by, o.starts_at, o.expires_at`

	recordTables = `tenant_configs c
		LEFT JOIN budget_windows w ON w.tenant_id = c.id AND w.number = c.window_number
		LEFT JOIN budget_overrides o ON o.id = (
			SELECT l.id FROM budget_overrides l
			WHERE l.tenant_id = c.id AND l.revoked_at IS NULL AND l.expires_at > $1
			ORDER BY l.starts_at, l.id LIMIT 1)`
)

// Record returns a tenant with the override that is not expired at now and the
// spend stored for its window; budget.ErrNotFound when there is none.
func (db *DB) Record(ctx context.Context, tenantID string, now time.Time) (budget.Record, error) {
	r, err := record(ctx, db.read, tenantID, now)
	if err != nil {
		return budget.Record{}, db.fail(err, "load tenant %q", tenantID)
	}
	return r, nil
}

// RecordByKey is Record for the tenant that a key belongs to.
func (db *DB) RecordByKey(ctx context.Context, hash budget.KeyHash, now time.Time) (budget.Record, error) {
	row := db.read.QueryRowContext(ctx, `SELECT `+recordColumns+` FROM `+recordTables+`
		JOIN tenant_keys k ON k.tenant_id = c.id WHERE k.key_hash = $2`, instant(now), hash.String())
	r, err := scanRecord(row)
	if errors.Is(err, sql.ErrNoRows) {
		err = notFound("no tenant has the key with hash %s", hash)
	}
	if err != nil {
		return budget.Record{}, db.fail(err, "load the tenant of key %s", hash)
	}
	return r, nil
}

// record reads one tenant, inside a transaction or outside.
func record(ctx context.Context, q querier, tenantID string, now time.Time) (budget.Record, error) {
	row := q.QueryRowContext(ctx, `SELECT `+recordColumns+` FROM `+recordTables+` WHERE c.id = $2`, instant(now), tenantID)
	r, err := scanRecord(row)
	if errors.Is(err, sql.ErrNoRows) {
		return r, noTenant(tenantID)
	}
	return r, err
}

// record is the tenant as it stands in this transaction.
func (t *tx) record(ctx context.Context, tenantID string) (budget.Record, error) {
	return record(ctx, t, tenantID, t.at)
}

// Tenants returns a page of tenants in the order of their ids (by bytes), and the
// id to go on after, or "" when there are no more.
func (db *DB) Tenants(ctx context.Context, f budget.TenantFilter, now time.Time) (page []budget.Record, next string, err error) {
	size := pageSize(f.Limit)
	rows, err := db.read.QueryContext(ctx, `SELECT `+recordColumns+` FROM `+recordTables+`
		WHERE c.id > $2 AND ($3 = '' OR lower(c.id) LIKE lower($3) ESCAPE '\' OR lower(c.alias) LIKE lower($3) ESCAPE '\')
		ORDER BY c.id LIMIT $4`, instant(now), f.After, containing(f.Search), size+1)
	if err != nil {
		return nil, "", db.fail(err, "list tenants")
	}
	page, err = collect(rows, scanRecord)
	if err != nil {
		return nil, "", db.fail(err, "list tenants")
	}
	if len(page) > size {
		page = page[:size]
		next = page[size-1].ID
	}
	return page, next, nil
}

// CountTenants counts tenants by state, by their spend as stored. A tenant whose
// window has ended by now has spent nothing in the next one. It reads every
// tenant.
func (db *DB) CountTenants(ctx context.Context, now time.Time) (map[budget.State]int, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT `+recordColumns+` FROM `+recordTables, instant(now))
	if err != nil {
		return nil, db.fail(err, "count tenants")
	}
	defer rows.Close()
	counts := map[budget.State]int{budget.StateOK: 0, budget.StateWarning: 0, budget.StateGrace: 0, budget.StateBlocked: 0}
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, db.fail(err, "count tenants")
		}
		spent := r.Spent
		if ended(&r.Tenant, now) {
			spent = 0
		}
		counts[r.PointsAt(now).State(spent)]++
	}
	if err := rows.Err(); err != nil {
		return nil, db.fail(err, "count tenants")
	}
	return counts, nil
}

func scanRecord(s scanner) (budget.Record, error) {
	var (
		r                                                       budget.Record
		limit, anchor, start, end, upstream, made, changed      sql.NullInt64
		period, reason, grantedBy                               sql.NullString
		align, zoneName                                         string
		overrideID, overrideAmount, overrideFrom, overrideUntil sql.NullInt64
		disabled                                                sql.NullBool
	)
	err := s.Scan(&r.ID, &r.Alias, &limit, &r.AlertThreshold, &r.GraceThreshold,
		&period, &anchor, &align, &zoneName,
		&r.Window.Number, &start, &end,
		&r.Mode, &r.Origin, &r.NeedsBudget, &upstream, &r.Revision, &made, &changed,
		&r.Spent,
		&overrideID, &overrideAmount, &disabled, &reason, &grantedBy, &overrideFrom, &overrideUntil)
	if err != nil {
		return budget.Record{}, err
	}
	r.MaxBudget, r.UpstreamLimit = moneyOf(limit), moneyOf(upstream)
	r.Window.Start, r.Window.End = timeOf(start), timeOf(end)
	r.CreatedAt, r.UpdatedAt = timeOf(made), timeOf(changed)
	if r.Rule, err = ruleOf(period.String, timeOf(anchor), align, zoneName); err != nil {
		return budget.Record{}, fmt.Errorf("tenant %q: %w", r.ID, err)
	}
	if overrideID.Valid {
		r.Override = &budget.Override{
			ID: overrideID.Int64, TenantID: r.ID, Amount: budget.Money(overrideAmount.Int64), DisableEnforcement: disabled.Bool,
			Reason: reason.String, GrantedBy: grantedBy.String, StartsAt: timeOf(overrideFrom), ExpiresAt: timeOf(overrideUntil),
		}
	}
	return r, nil
}

func ruleOf(period string, anchor time.Time, align, zoneName string) (r budget.Rule, err error) {
	r.Anchor, r.Alignment = anchor, budget.Alignment(align)
	if r.Period, err = budget.ParsePeriod(period); err != nil {
		return r, err
	}
	r.Zone, err = zone(zoneName)
	return r, err
}
