package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/pursestring/pursestring/internal/budget"
)

// RecordAlert adds an event to the alert history; its ID is given by the store.
func (db *DB) RecordAlert(ctx context.Context, e budget.AlertEvent) error {
	at := e.At
	if at.IsZero() {
		at = db.now()
	}
	var hash sql.NullString
	if e.KeyHash != nil {
		hash = optional(e.KeyHash.String())
	}
	_, err := db.write.ExecContext(ctx, `INSERT INTO budget_alert_history
			(at, source, type, event_group, tenant_id, key_hash, subject, spend_nusd, max_nusd, projected, detail, window_number)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		instant(at), e.Source, text(e.Type), text(e.Group), optional(text(e.TenantID)), hash, text(e.Subject),
		dollars(e.SpendUSD), dollars(e.MaxUSD), e.Projected, e.Detail, e.WindowHint)
	if err != nil {
		return db.fail(err, "record alert %q of tenant %q", e.Type, e.TenantID)
	}
	return nil
}

// Alerts returns a page of the alert history, the newest first, and the id to go
// on before, or 0 when there are no more.
func (db *DB) Alerts(ctx context.Context, f budget.HistoryFilter) (page []budget.AlertEvent, next int64, err error) {
	size := pageSize(f.Limit)
	where, args := selection(f, "type", size+1)
	rows, err := db.read.QueryContext(ctx, `SELECT id, at, source, type, event_group, tenant_id, key_hash, subject,
		spend_nusd, max_nusd, projected, detail, window_number FROM budget_alert_history`+where, args...)
	if err != nil {
		return nil, 0, db.fail(err, "list alerts")
	}
	page, err = collect(rows, scanAlert)
	if err != nil {
		return nil, 0, db.fail(err, "list alerts")
	}
	if len(page) > size {
		page = page[:size]
		next = page[size-1].ID
	}
	return page, next, nil
}

func scanAlert(s scanner) (e budget.AlertEvent, err error) {
	var at, spend, limit sql.NullInt64
	var tenant, hash sql.NullString
	err = s.Scan(&e.ID, &at, &e.Source, &e.Type, &e.Group, &tenant, &hash, &e.Subject,
		&spend, &limit, &e.Projected, &e.Detail, &e.WindowHint)
	if err != nil {
		return e, err
	}
	e.At, e.TenantID, e.SpendUSD, e.MaxUSD = timeOf(at), tenant.String, dollarsOf(spend), dollarsOf(limit)
	e.KeyHash, err = optionalHash(hash)
	return e, err
}

// Audit returns a page of the audit log, the newest first, and the id to go on
// before, or 0 when there are no more.
func (db *DB) Audit(ctx context.Context, f budget.HistoryFilter) (page []budget.AuditEntry, next int64, err error) {
	size := pageSize(f.Limit)
	where, args := selection(f, "action", size+1)
	rows, err := db.read.QueryContext(ctx, `SELECT id, at, actor, action, tenant_id, before_json, after_json, reason
		FROM audit_log`+where, args...)
	if err != nil {
		return nil, 0, db.fail(err, "list audit rows")
	}
	page, err = collect(rows, scanAudit)
	if err != nil {
		return nil, 0, db.fail(err, "list audit rows")
	}
	if len(page) > size {
		page = page[:size]
		next = page[size-1].ID
	}
	return page, next, nil
}

func scanAudit(s scanner) (a budget.AuditEntry, err error) {
	var at sql.NullInt64
	var before, after sql.NullString
	if err := s.Scan(&a.ID, &at, &a.Actor, &a.Action, &a.TenantID, &before, &after, &a.Reason); err != nil {
		return a, err
	}
	a.At = timeOf(at)
	if before.Valid {
		a.Before = []byte(before.String)
	}
	if after.Valid {
		a.After = []byte(after.String)
	}
	return a, nil
}

// selection is the end of a query for a page of history, and its arguments. A
// condition that is not asked for is not written, so that the one that is can use
// its index. kind is the column that f.Type means.
func selection(f budget.HistoryFilter, kind string, limit int) (where string, args []any) {
	below := f.Before
	if below <= 0 {
		below = math.MaxInt64
	}
	where, args = ` WHERE id < $1`, []any{below}
	and := func(column, value string) {
		if value != "" {
			args = append(args, value)
			where += fmt.Sprintf(` AND %s = $%d`, column, len(args))
		}
	}
	and("tenant_id", f.TenantID)
	and(kind, f.Type)
	args = append(args, limit)
	return where + fmt.Sprintf(` ORDER BY id DESC LIMIT $%d`, len(args)), args
}
