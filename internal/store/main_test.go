package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// childTask makes the test binary play another process: see process_test.go.
const childTask = "PURSESTRING_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if task, path, ok := strings.Cut(os.Getenv(childTask), ":"); ok {
		os.Exit(child(task, path))
	}
	os.Exit(m.Run())
}

// t0 is when things happen in tests, unless they say otherwise.
var t0 = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return t0 }

// by is an admin who changes something at a given time after t0.
func by(after time.Duration) budget.By {
	return budget.By{Actor: "ann", Reason: "because", At: t0.Add(after)}
}

// openers are the databases that the conformance suite runs over. Each makes an
// empty store, with the schema, that is closed when the test ends.
var openers = map[string]func(testing.TB) *DB{
	"sqlite file":   func(t testing.TB) *DB { return openMigrated(t, "sqlite:"+t.TempDir()+"/store.db") },
	"sqlite memory": func(t testing.TB) *DB { return openMigrated(t, "sqlite::memory:") },
}

func openRaw(t testing.TB, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), url, Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func openMigrated(t testing.TB, url string) *DB {
	t.Helper()
	db := openRaw(t, url)
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func mustPeriod(t testing.TB, s string) budget.Period {
	t.Helper()
	p, err := budget.ParsePeriod(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func hash(s string) budget.KeyHash { return budget.HashKey([]byte("sk-test-" + s)) }

// newTenant is a tenant with $100 per 30 days from t0, and the given keys.
func newTenant(t testing.TB, id string, keys ...string) budget.NewTenant {
	t.Helper()
	rule := budget.Rule{Period: mustPeriod(t, "30d"), Anchor: t0}
	n := budget.NewTenant{
		Tenant: budget.Tenant{
			ID: id, MaxBudget: new(100 * budget.Dollar), AlertThreshold: 80, GraceThreshold: 110, Rule: rule,
			Window: budget.Window{Number: 1, Start: t0, End: rule.Next(t0)}, CreatedAt: t0,
		},
		Actor: "ann", Reason: "new here",
	}
	for _, k := range keys {
		n.Keys = append(n.Keys, budget.TenantKey{Hash: hash(k), Alias: k, Baseline: budget.Dollar})
	}
	return n
}

func mustCreate(t testing.TB, db *DB, id string, keys ...string) budget.Record {
	t.Helper()
	r, err := db.CreateTenant(t.Context(), newTenant(t, id, keys...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustSave(t testing.TB, db *DB, id string, window int64, spent budget.Money) {
	t.Helper()
	err := db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: id, Number: window, Spent: spent}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func mustRecord(t testing.TB, db *DB, id string, now time.Time) budget.Record {
	t.Helper()
	r, err := db.Record(t.Context(), id, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// audits returns the actions written about a tenant, the oldest first.
func audits(t testing.TB, db *DB, id string) (actions []string) {
	t.Helper()
	for _, a := range auditRows(t, db, id) {
		actions = append(actions, a.Action)
	}
	return actions
}

func auditRows(t testing.TB, db *DB, id string) []budget.AuditEntry {
	t.Helper()
	page, next, err := db.Audit(t.Context(), budget.HistoryFilter{TenantID: id, Limit: 1000})
	if err != nil || next != 0 {
		t.Fatal(next, err)
	}
	for i, j := 0, len(page)-1; i < j; i, j = i+1, j-1 {
		page[i], page[j] = page[j], page[i]
	}
	return page
}

// dump is everything the store holds, to see that nothing has changed.
func dump(t testing.TB, db *DB) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	rows, err := db.read.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := collect(rows, func(s scanner) (name string, err error) { return name, s.Scan(&name) })
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, table := range tables {
		rows, err := db.read.QueryContext(ctx, `SELECT * FROM `+table)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		list, err := collect(rows, func(s scanner) (string, error) {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			err := s.Scan(into...)
			return fmt.Sprint(values...), err
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n%s\n", table, strings.Join(list, "\n"))
	}
	return b.String()
}
