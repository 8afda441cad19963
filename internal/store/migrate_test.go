package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

func TestMigrateUpDownUpWithData(t *testing.T) {
	t.Parallel()
	db := openMigrated(t, "sqlite:"+t.TempDir()+"/store.db")
	ctx := t.Context()
	mustCreate(t, db, "acme", "a")
	mustSave(t, db, "acme", 1, 7*budget.Dollar)
	before := mustRecord(t, db, "acme", t0)

	if steps, err := db.MigrateDown(ctx, 1); err != nil || len(steps) != 1 || steps[0].Version != 2 {
		t.Fatalf("one step down: %v, %v", steps, err)
	}
	if err := db.CheckSchema(ctx); !errors.Is(err, budget.ErrUnavailable) || !strings.Contains(err.Error(), `"pursestring migrate up"`) {
		t.Errorf("one step behind: %v", err)
	}
	if steps, err := db.MigrateUp(ctx); err != nil || len(steps) != 1 {
		t.Fatalf("up again: %v, %v", steps, err)
	}
	after := mustRecord(t, db, "acme", t0)
	if after.Spent != 7*budget.Dollar || after.Revision != before.Revision || after.Window != before.Window {
		t.Errorf("the tenant was %+v and is %+v", before, after)
	}
	// Revisions go on above those that tenants have.
	r, err := db.PutTenant(ctx, "acme", budget.TenantChange{Alias: new("Acme")}, by(0))
	if err != nil || r.Revision <= before.Revision {
		t.Errorf("revision %d after %d, %v", r.Revision, before.Revision, err)
	}

	if steps, err := db.MigrateDown(ctx, 100); err != nil || len(steps) != 2 {
		t.Fatalf("all the way down: %v, %v", steps, err)
	}
	if left := dump(t, db); strings.Contains(left, "tenant") || strings.Contains(left, "budget") {
		t.Errorf("tables are left: %s", left)
	}
	if steps, err := db.MigrateUp(ctx); err != nil || len(steps) != 2 {
		t.Fatalf("up from nothing: %v, %v", steps, err)
	}
	if err := db.CheckSchema(ctx); err != nil {
		t.Error(err)
	}
	mustCreate(t, db, "acme", "a")
}

func TestMigrationStatus(t *testing.T) {
	t.Parallel()
	db := openRaw(t, "sqlite:"+t.TempDir()+"/store.db")
	pending, err := db.MigrationStatus(t.Context())
	if err != nil || len(pending) != 2 || pending[0].Applied() || pending[0].Name != "00001_budgets.sql" {
		t.Fatalf("of an empty file: %+v, %v", pending, err)
	}
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	done, err := db.MigrationStatus(t.Context())
	if err != nil || !done[0].Applied() || !done[1].Applied() {
		t.Fatalf("after up: %+v, %v", done, err)
	}
}

func TestSchemaAheadOfThisVersion(t *testing.T) {
	t.Parallel()
	db := openMigrated(t, "sqlite::memory:")
	if _, err := db.write.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	err := db.CheckSchema(t.Context())
	if !errors.Is(err, budget.ErrUnavailable) || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("check: %v", err)
	}
	if _, err := db.MigrateUp(t.Context()); !errors.Is(err, budget.ErrUnavailable) {
		t.Errorf("up: %v", err)
	}
}
