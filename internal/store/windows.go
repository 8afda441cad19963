package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Windows returns a tenant's windows, the newest first.
func (db *DB) Windows(ctx context.Context, tenantID string, limit int) ([]budget.WindowRow, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT number, start_at, end_at, spent_nusd, closed_at FROM budget_windows
		WHERE tenant_id = $1 ORDER BY number DESC LIMIT $2`, tenantID, pageSize(limit))
	if err != nil {
		return nil, db.fail(err, "list windows of tenant %q", tenantID)
	}
	list, err := collect(rows, func(s scanner) (w budget.WindowRow, err error) {
		var start, end, closed sql.NullInt64
		err = s.Scan(&w.Number, &start, &end, &w.Spent, &closed)
		w.Start, w.End, w.ClosedAt = timeOf(start), timeOf(end), timeOf(closed)
		return w, err
	})
	if err != nil {
		return nil, db.fail(err, "list windows of tenant %q", tenantID)
	}
	return list, nil
}

// DueTenants returns tenants whose stored window has ended by now, the longest
// due first.
func (db *DB) DueTenants(ctx context.Context, now time.Time, limit int) ([]string, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT id FROM tenant_configs WHERE budget_reset_at <= $1
		ORDER BY budget_reset_at, id LIMIT $2`, instant(now), limit)
	if err != nil {
		return nil, db.fail(err, "list tenants that are due")
	}
	ids, err := collect(rows, func(s scanner) (id string, err error) {
		err = s.Scan(&id)
		return id, err
	})
	if err != nil {
		return nil, db.fail(err, "list tenants that are due")
	}
	return ids, nil
}

// RollWindow closes the stored window when it has ended by now, opens the one
// that holds now, and returns the tenant as it is then. However many callers
// race, one gets true and one audit row is written.
//
// It raises no revision: others work the same window out for themselves.
func (db *DB) RollWindow(ctx context.Context, tenantID string, now time.Time) (r budget.Record, rolled bool, err error) {
	err = db.inTx(ctx, now, func(t *tx) error {
		if r, err = t.record(ctx, tenantID); err != nil {
			return err
		}
		if rolled, err = t.roll(ctx, &r); err != nil {
			return err
		}
		if !rolled {
			return errUnchanged
		}
		return nil
	})
	if err != nil {
		return budget.Record{}, false, db.fail(err, "roll the window of tenant %q", tenantID)
	}
	return r, rolled, nil
}

// ended reports whether the tenant's stored window is over at t.
func ended(c *budget.Tenant, t time.Time) bool {
	return !c.Window.End.IsZero() && !t.Before(c.Window.End)
}

// roll moves the tenant to the window that holds t.at, if the stored one has
// ended. r becomes what is stored.
func (t *tx) roll(ctx context.Context, r *budget.Record) (bool, error) {
	if !ended(&r.Tenant, t.at) {
		return false, nil
	}
	next := r.Window.At(t.at, r.Rule)
	return t.moveTo(ctx, r, next, budget.By{Actor: self, Reason: "the window ended"})
}

// moveTo closes the tenant's window and opens next. It returns false when somebody
// else has moved the tenant on meanwhile. r becomes what is stored.
func (t *tx) moveTo(ctx context.Context, r *budget.Record, next budget.Window, by budget.By) (bool, error) {
	moved, err := t.exec(ctx, `UPDATE tenant_configs SET window_number = $1, window_start_at = $2, budget_reset_at = $3
		WHERE id = $4 AND window_number = $5`,
		next.Number, instant(next.Start), instant(next.End), r.ID, r.Window.Number)
	if err != nil {
		return false, fmt.Errorf("move to window %d: %w", next.Number, err)
	}
	if moved == 0 {
		*r, err = t.record(ctx, r.ID)
		return false, err
	}
	closed := closedFacts{Window: r.Window, Spent: r.Spent}
	// Also windows in between that passed while nobody was there but in which
	// something was spent.
	_, err = t.ExecContext(ctx, `UPDATE budget_windows SET closed_at = $1 WHERE tenant_id = $2 AND number < $3 AND closed_at IS NULL`,
		instant(t.at), r.ID, next.Number)
	if err != nil {
		return false, fmt.Errorf("close windows before %d: %w", next.Number, err)
	}
	if err := t.openWindow(ctx, r.ID, next, 0); err != nil {
		return false, err
	}
	after, err := t.record(ctx, r.ID)
	if err != nil {
		return false, err
	}
	*r = after
	opened := openedFacts{Window: r.Window, Spent: r.Spent, MaxBudget: r.MaxBudget}
	return true, t.audit(ctx, by, "budget_reset", r.ID, closed, opened)
}

// openWindow writes the row of a window, or completes one that spend has made
// before the window was opened: then that spend stays.
func (t *tx) openWindow(ctx context.Context, tenantID string, w budget.Window, spent budget.Money) error {
	_, err := t.ExecContext(ctx, `INSERT INTO budget_windows (tenant_id, number, start_at, end_at, spent_nusd)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, number) DO UPDATE SET start_at = excluded.start_at, end_at = excluded.end_at, closed_at = NULL`,
		tenantID, w.Number, instant(w.Start), instant(w.End), int64(spent))
	if err != nil {
		return fmt.Errorf("open window %d: %w", w.Number, err)
	}
	return nil
}

// ResetWindow closes the open window with the spend stored for it and opens the
// next one, which ends at the rule's first boundary after now. by.Reason is
// required. What has been counted and not yet saved reaches the closed window
// with the next SaveSpend.
func (db *DB) ResetWindow(ctx context.Context, tenantID string, by budget.By) (budget.Record, error) {
	if by.Reason == "" {
		return budget.Record{}, invalid("reason", "a reset needs a reason")
	}
	return db.changeRecord(ctx, tenantID, by, func(t *tx, r *budget.Record) error {
		if _, err := t.roll(ctx, r); err != nil {
			return err
		}
		// A clock that stands before the window's start makes no window that ends
		// before it begins.
		at := later(t.at, r.Window.Start)
		if err := t.endWindow(ctx, r.ID, r.Window.Number, at); err != nil {
			return err
		}
		_, err := t.moveTo(ctx, r, r.Window.Restart(at, r.Rule), by)
		return err
	})
}

// endWindow writes when a window really ended, or will end.
func (t *tx) endWindow(ctx context.Context, tenantID string, number int64, at time.Time) error {
	_, err := t.ExecContext(ctx, `UPDATE budget_windows SET end_at = $1 WHERE tenant_id = $2 AND number = $3`,
		instant(at), tenantID, number)
	if err != nil {
		return fmt.Errorf("end window %d: %w", number, err)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
