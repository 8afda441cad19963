package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// SaveSpend writes what the one ledger has counted: absolute totals of windows,
// open or closed, and of credentials without a tenant; and it removes the
// unresolved spend of credentials whose total has moved into one of the windows.
// It is one transaction, and saving twice is as good as once.
//
// A window that the store has not opened yet gets a row; RollWindow completes it.
// Spend of a tenant that has been deleted still reaches the windows it had, and
// is otherwise left out.
func (db *DB) SaveSpend(ctx context.Context, windows []budget.WindowSpend, unresolved []budget.UnresolvedSpend, moved []budget.KeyHash) error {
	if len(windows)+len(unresolved)+len(moved) == 0 {
		return nil
	}
	for _, w := range windows {
		if w.Spent < 0 || w.Number < 1 {
			return invalid("spend_usd", "BUG: spend %s in window %d of tenant %q", w.Spent, w.Number, w.TenantID)
		}
	}
	for _, u := range unresolved {
		if u.Spent < 0 {
			return invalid("spend_usd", "BUG: spend %s of key %s", u.Spent, u.Hash)
		}
	}
	err := db.inTx(ctx, db.now(), func(t *tx) error {
		if err := t.saveWindows(ctx, windows); err != nil {
			return err
		}
		if err := t.saveUnresolved(ctx, unresolved); err != nil {
			return err
		}
		return t.removeUnresolved(ctx, moved)
	})
	if err != nil {
		return db.fail(err, "save spend of %d windows and %d keys", len(windows), len(unresolved)+len(moved))
	}
	return nil
}

// Where the store knows a window it knows it better than the writer, who may not
// have heard of a new rule yet: its start and end stay.
const updateSpend = `UPDATE budget_windows SET spent_nusd = $1,
	end_at = CASE WHEN start_at IS NULL THEN $2 ELSE end_at END,
	start_at = COALESCE(start_at, $3)
	WHERE tenant_id = $4 AND number = $5`

func (t *tx) saveWindows(ctx context.Context, windows []budget.WindowSpend) (err error) {
	if len(windows) == 0 {
		return nil
	}
	update, err := t.PrepareContext(ctx, updateSpend)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, update.Close()) }()
	for i := range windows {
		w := &windows[i]
		start, end := w.Start, w.End
		if start.IsZero() || end.Before(start) {
			end = time.Time{}
		}
		r, err := update.ExecContext(ctx, int64(w.Spent), instant(end), instant(start), w.TenantID, w.Number)
		if err != nil {
			return fmt.Errorf("window %d of tenant %q: %w", w.Number, w.TenantID, err)
		}
		n, err := r.RowsAffected()
		if err == nil && n == 0 {
			err = t.insertSpend(ctx, w, start, end)
		}
		if err != nil {
			return fmt.Errorf("window %d of tenant %q: %w", w.Number, w.TenantID, err)
		}
	}
	return nil
}

// insertSpend writes the row of a window that the store does not know yet, or
// that nobody has spent in before it was closed.
func (t *tx) insertSpend(ctx context.Context, w *budget.WindowSpend, start, end time.Time) error {
	var open int64
	err := t.QueryRowContext(ctx, `SELECT window_number FROM tenant_configs WHERE id = $1`, w.TenantID).Scan(&open)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // deleted since
	}
	if err != nil {
		return err
	}
	closed := time.Time{}
	if w.Number < open {
		closed = t.at
	}
	_, err = t.ExecContext(ctx, `INSERT INTO budget_windows (tenant_id, number, start_at, end_at, spent_nusd, closed_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (tenant_id, number) DO UPDATE SET spent_nusd = excluded.spent_nusd`,
		w.TenantID, w.Number, instant(start), instant(end), int64(w.Spent), instant(closed))
	return err
}

func (t *tx) saveUnresolved(ctx context.Context, unresolved []budget.UnresolvedSpend) error {
	for _, u := range unresolved {
		_, err := t.ExecContext(ctx, `INSERT INTO unresolved_spend (key_hash, spent_nusd, updated_at) VALUES ($1, $2, $3)
			ON CONFLICT (key_hash) DO UPDATE SET spent_nusd = excluded.spent_nusd, updated_at = excluded.updated_at`,
			u.Hash.String(), int64(u.Spent), instant(t.at))
		if err != nil {
			return fmt.Errorf("spend of key %s: %w", u.Hash, err)
		}
	}
	return nil
}

func (t *tx) removeUnresolved(ctx context.Context, moved []budget.KeyHash) error {
	for _, h := range moved {
		if _, err := t.ExecContext(ctx, `DELETE FROM unresolved_spend WHERE key_hash = $1`, h.String()); err != nil {
			return fmt.Errorf("spend of key %s: %w", h, err)
		}
	}
	return nil
}

// Unresolved returns what a credential without a tenant has spent, as last saved,
// when that was at or after since; else 0, as when nothing is kept.
func (db *DB) Unresolved(ctx context.Context, hash budget.KeyHash, since time.Time) (budget.Money, error) {
	after := instant(since)
	after.Valid = true // the zero time is before everything, not unknown
	var spent budget.Money
	err := db.read.QueryRowContext(ctx, `SELECT spent_nusd FROM unresolved_spend WHERE key_hash = $1 AND updated_at >= $2`,
		hash.String(), after).Scan(&spent)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, db.fail(err, "load unresolved spend of key %s", hash)
	}
	return spent, nil
}

// Stranded returns unresolved spend whose key has a tenant by now: what was left
// when a process ended between the two.
func (db *DB) Stranded(ctx context.Context) ([]budget.UnresolvedSpend, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT u.key_hash, u.spent_nusd FROM unresolved_spend u
		JOIN tenant_keys k ON k.key_hash = u.key_hash ORDER BY u.key_hash`)
	if err != nil {
		return nil, db.fail(err, "look for unresolved spend of known keys")
	}
	list, err := collect(rows, func(s scanner) (u budget.UnresolvedSpend, err error) {
		var hash string
		if err := s.Scan(&hash, &u.Spent); err != nil {
			return u, err
		}
		u.Hash, err = hashOf(hash)
		return u, err
	})
	if err != nil {
		return nil, db.fail(err, "look for unresolved spend of known keys")
	}
	return list, nil
}
