package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

const (
	// changesKept is how long changes stay readable, far longer than any cache
	// trusts what it has.
	changesKept = 24 * time.Hour
	// changesPage is how many one call of Changes returns at most.
	changesPage = 10_000
	// changesPruned is how many old rows each new one removes at most.
	changesPruned = 4
)

// note raises the store's revision and leaves a row that says what changed.
func (t *tx) note(ctx context.Context, tenantID string, key *budget.KeyHash) error {
	err := t.QueryRowContext(ctx, `UPDATE store_revision SET value = value + 1 WHERE id = 1 RETURNING value`).Scan(&t.revision)
	if err != nil {
		return fmt.Errorf("raise revision: %w", err)
	}
	var hash sql.NullString
	if key != nil {
		hash = optional(key.String())
	}
	_, err = t.ExecContext(ctx, `INSERT INTO tenant_changes (revision, tenant_id, key_hash, at) VALUES ($1, $2, $3, $4)`,
		t.revision, tenantID, hash, instant(t.at))
	if err != nil {
		return fmt.Errorf("note change: %w", err)
	}
	_, err = t.ExecContext(ctx, `DELETE FROM tenant_changes WHERE revision IN (
		SELECT revision FROM tenant_changes WHERE at < $1 ORDER BY at LIMIT $2)`,
		instant(t.at.Add(-changesKept)), changesPruned)
	if err != nil {
		return fmt.Errorf("prune changes: %w", err)
	}
	return nil
}

// noteKey notes that a key came or went, beside the change of its tenant.
func (t *tx) noteKey(ctx context.Context, tenantID string, key budget.KeyHash) error {
	return t.note(ctx, tenantID, &key)
}

// stamp gives the tenant the revision of the change just noted.
func (t *tx) stamp(ctx context.Context, tenantID string) error {
	_, err := t.ExecContext(ctx, `UPDATE tenant_configs SET revision = $1, updated_at = $2 WHERE id = $3`,
		t.revision, instant(t.at), tenantID)
	return err
}

// Changes returns what changed after the revision since, oldest first, and the
// revision to ask from next time. A page is bounded: after a long absence the
// revision returned is below the newest, and the next call goes on from there.
// Changes older than a day are gone; nobody's cache may be that old. Nothing new
// costs one row read.
func (db *DB) Changes(ctx context.Context, since int64) ([]budget.Change, int64, error) {
	changes, newest, err := db.changes(ctx, since, changesPage)
	if err != nil {
		return nil, since, db.fail(err, "read changes since revision %d", since)
	}
	return changes, newest, nil
}

func (db *DB) changes(ctx context.Context, since int64, page int) ([]budget.Change, int64, error) {
	var newest int64
	if err := db.read.QueryRowContext(ctx, `SELECT value FROM store_revision WHERE id = 1`).Scan(&newest); err != nil {
		return nil, 0, err
	}
	if newest <= since {
		return nil, newest, nil
	}
	// Up to newest only: what commits between the two reads comes next time.
	rows, err := db.read.QueryContext(ctx, `SELECT revision, tenant_id, key_hash FROM tenant_changes
		WHERE revision > $1 AND revision <= $2 ORDER BY revision LIMIT $3`, since, newest, page)
	if err != nil {
		return nil, 0, err
	}
	changes, err := collect(rows, func(s scanner) (c budget.Change, err error) {
		var hash sql.NullString
		if err := s.Scan(&c.Revision, &c.TenantID, &hash); err != nil {
			return c, err
		}
		c.KeyHash, err = optionalHash(hash)
		return c, err
	})
	if err == nil && len(changes) == page {
		newest = changes[page-1].Revision
	}
	return changes, newest, err
}
