package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pursestring/pursestring/internal/budget"
)

// Keys returns a tenant's keys, the oldest first; none for a tenant that is not
// there.
func (db *DB) Keys(ctx context.Context, tenantID string) ([]budget.TenantKey, error) {
	keys, err := keysOf(ctx, db.read, tenantID)
	if err != nil {
		return nil, db.fail(err, "list keys of tenant %q", tenantID)
	}
	return keys, nil
}

func keysOf(ctx context.Context, q querier, tenantID string) ([]budget.TenantKey, error) {
	rows, err := q.QueryContext(ctx, `SELECT key_hash, tenant_id, alias, baseline_nusd, created_at FROM tenant_keys
		WHERE tenant_id = $1 ORDER BY created_at, key_hash`, tenantID)
	if err != nil {
		return nil, err
	}
	return collect(rows, scanKey)
}

func scanKey(s scanner) (k budget.TenantKey, err error) {
	var hash string
	var at sql.NullInt64
	if err := s.Scan(&hash, &k.TenantID, &k.Alias, &k.Baseline, &at); err != nil {
		return k, err
	}
	k.CreatedAt = timeOf(at)
	k.Hash, err = hashOf(hash)
	return k, err
}

// AddKey gives a key to its tenant (k.TenantID) and returns it as stored. Adding
// it again changes its alias and nothing else. budget.ErrConflict names the
// tenant that has it, when it is another.
func (db *DB) AddKey(ctx context.Context, k budget.TenantKey, by budget.By) (budget.TenantKey, error) {
	_, err := db.changeRecord(ctx, k.TenantID, by, func(t *tx, _ *budget.Record) error {
		added, there, err := t.insertKey(ctx, k.TenantID, k)
		if err != nil {
			return err
		}
		if there == nil {
			k = added
			return t.audit(ctx, by, "key_added", k.TenantID, nil, factsOfKey(k))
		}
		alias := text(k.Alias)
		k = *there
		if k.Alias == alias {
			return errUnchanged
		}
		k.Alias = alias
		if _, err := t.ExecContext(ctx, `UPDATE tenant_keys SET alias = $1 WHERE key_hash = $2`, alias, k.Hash.String()); err != nil {
			return fmt.Errorf("rename key: %w", err)
		}
		return t.audit(ctx, by, "key_changed", k.TenantID, factsOfKey(*there), factsOfKey(k))
	})
	if err != nil {
		return budget.TenantKey{}, db.fail(err, "add key %s to tenant %q", k.Hash, k.TenantID)
	}
	return k, nil
}

// insertKey gives a key to a tenant and notes it, or returns the key as it is
// there when the tenant has it already.
func (t *tx) insertKey(ctx context.Context, tenantID string, k budget.TenantKey) (added budget.TenantKey, there *budget.TenantKey, err error) {
	row := t.QueryRowContext(ctx, `SELECT key_hash, tenant_id, alias, baseline_nusd, created_at FROM tenant_keys
		WHERE key_hash = $1`, k.Hash.String())
	old, err := scanKey(row)
	switch {
	case err == nil && old.TenantID == tenantID:
		return k, &old, nil
	case err == nil:
		return k, nil, conflict("key_hash", "the key with hash %s belongs to tenant %q, remove it there first", k.Hash, old.TenantID)
	case !errors.Is(err, sql.ErrNoRows):
		return k, nil, fmt.Errorf("look for key: %w", err)
	}
	k.TenantID, k.Alias = tenantID, text(k.Alias)
	if k.CreatedAt.IsZero() {
		k.CreatedAt = t.at
	}
	k.CreatedAt = timeOf(instant(k.CreatedAt)) // as it will be read
	_, err = t.ExecContext(ctx, `INSERT INTO tenant_keys (key_hash, tenant_id, alias, baseline_nusd, created_at)
		VALUES ($1, $2, $3, $4, $5)`, k.Hash.String(), k.TenantID, k.Alias, int64(k.Baseline), instant(k.CreatedAt))
	if err != nil {
		return k, nil, fmt.Errorf("insert key: %w", err)
	}
	return k, nil, t.noteKey(ctx, tenantID, k.Hash)
}

// addMissingKeys gives a tenant that is there the keys it lacks.
func (t *tx) addMissingKeys(ctx context.Context, n budget.NewTenant, by budget.By) error {
	changed := false
	for _, k := range n.Keys {
		k, there, err := t.insertKey(ctx, n.ID, k)
		if err != nil {
			return err
		}
		if there != nil {
			continue
		}
		changed = true
		if err := t.audit(ctx, by, "key_added", n.ID, nil, factsOfKey(k)); err != nil {
			return err
		}
	}
	if !changed {
		return errUnchanged
	}
	return t.stamp(ctx, n.ID)
}

// RemoveKey takes a key from its tenant; budget.ErrNotFound when the tenant has
// no such key. Its spend stays with the tenant.
func (db *DB) RemoveKey(ctx context.Context, tenantID string, hash budget.KeyHash, by budget.By) error {
	_, err := db.changeRecord(ctx, tenantID, by, func(t *tx, _ *budget.Record) error {
		row := t.QueryRowContext(ctx, `DELETE FROM tenant_keys WHERE key_hash = $1 AND tenant_id = $2
			RETURNING key_hash, tenant_id, alias, baseline_nusd, created_at`, hash.String(), tenantID)
		k, err := scanKey(row)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("tenant %q has no key with hash %s", tenantID, hash)
		}
		if err != nil {
			return fmt.Errorf("delete key: %w", err)
		}
		if err := t.noteKey(ctx, tenantID, hash); err != nil {
			return err
		}
		return t.audit(ctx, by, "key_removed", tenantID, factsOfKey(k), nil)
	})
	if err != nil {
		return db.fail(err, "remove key %s of tenant %q", hash, tenantID)
	}
	return nil
}
