package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// self is the actor of what nobody asked for.
const self = "pursestring"

// errUnchanged ends a transaction that turned out to have nothing to do.
var errUnchanged = errors.New("nothing to change")

// querier is what reading needs: a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// tx is one writing transaction.
type tx struct {
	*sql.Tx
	at       time.Time // the instant of what is written
	revision int64     // of the last change noted; 0: none
}

// inTx runs fn in one writing transaction: all of it is stored, or nothing is,
// also when ctx ends in the middle.
func (db *DB) inTx(ctx context.Context, at time.Time, fn func(*tx) error) (err error) {
	t, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		// After a commit this does nothing. A rollback fails only when the
		// connection is gone, and the transaction with it.
		_ = t.Rollback()
	}()
	if err := fn(&tx{Tx: t, at: at}); err != nil {
		if errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	}
	return t.Commit()
}

// change runs fn in one transaction that begins by noting a change of the
// tenant, and so has its turn before it reads anything.
func (db *DB) change(ctx context.Context, tenantID string, at time.Time, fn func(*tx) error) error {
	return db.inTx(ctx, at, func(t *tx) error {
		if err := t.note(ctx, tenantID, nil); err != nil {
			return err
		}
		return fn(t)
	})
}

// exec runs a statement and returns how many rows it touched.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// audit writes down who changed what and why. before and after become JSON; nil
// is nothing.
func (t *tx) audit(ctx context.Context, by budget.By, action, tenantID string, before, after any) error {
	b, err := facts(before)
	if err != nil {
		return err
	}
	a, err := facts(after)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `INSERT INTO audit_log (at, actor, action, tenant_id, before_json, after_json, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		instant(t.at), actor(by), action, tenantID, b, a, text(by.Reason))
	if err != nil {
		return fmt.Errorf("write audit row %s: %w", action, err)
	}
	return nil
}

func actor(by budget.By) string {
	if by.Actor == "" {
		return self
	}
	return text(by.Actor)
}

func facts(v any) (sql.NullString, error) {
	if v == nil {
		return sql.NullString{}, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return sql.NullString{}, fmt.Errorf("audit facts: %w", err)
	}
	return sql.NullString{String: string(b), Valid: true}, nil
}
