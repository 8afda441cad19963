package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// changers is everything that changes a tenant "acme" which has key a, an override
// and a window that ends before end.
func changers(t *testing.T, db *DB, end time.Time) map[string]func() error {
	ctx := t.Context()
	r := mustRecord(t, db, "acme", t0)
	return map[string]func() error{
		"CreateTenant": func() error {
			n := newTenant(t, "new", "n1", "n2")
			n.InheritedSpend = budget.Dollar
			_, err := db.CreateTenant(ctx, n)
			return err
		},
		"CreateTenant with a new key": func() error { _, err := db.CreateTenant(ctx, newTenant(t, "acme", "n3")); return err },
		"PutTenant": func() error {
			_, err := db.PutTenant(ctx, "acme", budget.TenantChange{Alias: new("x")}, by(0))
			return err
		},
		"PutBudget": func() error {
			c := change(&r)
			c.Period = mustPeriod(t, "1d")
			_, err := db.PutBudget(ctx, "acme", c, by(0))
			return err
		},
		"PutBudget after the window": func() error { _, err := db.PutBudget(ctx, "acme", change(&r), budget.By{At: end}); return err },
		"DeleteTenant":               func() error { return db.DeleteTenant(ctx, "acme", by(0)) },
		"AddKey": func() error {
			_, err := db.AddKey(ctx, budget.TenantKey{Hash: hash("n4"), TenantID: "acme"}, by(0))
			return err
		},
		"AddKey with another alias": func() error {
			_, err := db.AddKey(ctx, budget.TenantKey{Hash: hash("a"), TenantID: "acme", Alias: "x"}, by(0))
			return err
		},
		"RemoveKey":      func() error { return db.RemoveKey(ctx, "acme", hash("a"), by(0)) },
		"GrantOverride":  func() error { _, err := db.GrantOverride(ctx, override("acme", 0, time.Hour), true, by(0)); return err },
		"RevokeOverride": func() error { _, err := db.RevokeOverride(ctx, "acme", by(0)); return err },
		"ResetWindow":    func() error { _, err := db.ResetWindow(ctx, "acme", by(0)); return err },
		"RollWindow":     func() error { _, _, err := db.RollWindow(ctx, "acme", end); return err },
	}
}

// The audit row is the last that a change writes; when it cannot be written,
// nothing is.
func testAllOrNothing(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme", "a")
	if _, err := db.GrantOverride(t.Context(), override("acme", 0, time.Hour), false, by(0)); err != nil {
		t.Fatal(err)
	}
	exec := func(stmt string) {
		t.Helper()
		if _, err := db.write.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TRIGGER full BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no more paper'); END`)
	before := dump(t, db)
	for name, do := range changers(t, db, r.Window.End) {
		if err := do(); err == nil || !strings.Contains(err.Error(), "no more paper") {
			t.Errorf("%s: %v", name, err)
		}
		if dump(t, db) != before {
			t.Fatalf("%s left something behind", name)
		}
	}
	exec(`DROP TRIGGER full`)
	exec(`CREATE TRIGGER full BEFORE DELETE ON unresolved_spend BEGIN SELECT RAISE(ABORT, 'no more paper'); END`)
	if err := db.SaveSpend(t.Context(), nil, []budget.UnresolvedSpend{{Hash: hash("u"), Spent: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	before = dump(t, db)
	err := db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: "acme", Number: 1, Spent: 1}}, nil, []budget.KeyHash{hash("u")})
	if err == nil || dump(t, db) != before {
		t.Errorf("SaveSpend left something behind: %v", err)
	}
	exec(`DROP TRIGGER full`)
	for _, name := range []string{"PutTenant", "AddKey", "GrantOverride", "RollWindow"} {
		if err := changers(t, db, r.Window.End)[name](); err != nil {
			t.Errorf("afterwards %s: %v", name, err)
		}
	}
}

func testCancelledInBetween(t *testing.T, db *DB) {
	mustCreate(t, db, "acme", "a")
	before := dump(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.change(ctx, "acme", t0, func(tx *tx) error {
		if _, err := tx.exec(ctx, `UPDATE tenant_configs SET alias = 'half' WHERE id = 'acme'`); err != nil {
			return err
		}
		cancel()
		_, err := tx.exec(ctx, `UPDATE tenant_configs SET alias = 'whole' WHERE id = 'acme'`)
		return err
	})
	if err == nil || dump(t, db) != before {
		t.Errorf("a statement after the end: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	err = db.change(ctx, "acme", t0, func(tx *tx) error {
		defer cancel()
		_, err := tx.exec(ctx, `UPDATE tenant_configs SET alias = 'half' WHERE id = 'acme'`)
		return err
	})
	if err == nil || dump(t, db) != before {
		t.Errorf("a commit after the end: %v", err)
	}
	if _, err := db.PutTenant(t.Context(), "acme", budget.TenantChange{Alias: new("x")}, by(0)); err != nil {
		t.Errorf("the connection is of no use any more: %v", err)
	}
}

func testNotThere(t *testing.T, db *DB) {
	mustCreate(t, db, "acme", "a")
	before := dump(t, db)
	ctx := t.Context()
	for name, do := range map[string]func() error{
		"Record":       func() error { _, err := db.Record(ctx, "nobody", t0); return err },
		"PutTenant":    func() error { _, err := db.PutTenant(ctx, "nobody", budget.TenantChange{}, by(0)); return err },
		"PutBudget":    func() error { _, err := db.PutBudget(ctx, "nobody", budget.Terms{}, by(0)); return err },
		"DeleteTenant": func() error { return db.DeleteTenant(ctx, "nobody", by(0)) },
		"AddKey": func() error {
			_, err := db.AddKey(ctx, budget.TenantKey{Hash: hash("z"), TenantID: "nobody"}, by(0))
			return err
		},
		"RemoveKey":      func() error { return db.RemoveKey(ctx, "nobody", hash("a"), by(0)) },
		"GrantOverride":  func() error { _, err := db.GrantOverride(ctx, override("nobody", 0, 1), false, by(0)); return err },
		"RevokeOverride": func() error { _, err := db.RevokeOverride(ctx, "nobody", by(0)); return err },
		"ResetWindow":    func() error { _, err := db.ResetWindow(ctx, "nobody", by(0)); return err },
		"RollWindow":     func() error { _, _, err := db.RollWindow(ctx, "nobody", t0); return err },
	} {
		if err := do(); !errors.Is(err, budget.ErrNotFound) || !strings.Contains(err.Error(), `"nobody"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if dump(t, db) != before {
		t.Error("something was written for nobody")
	}
}

func testHostileTexts(t *testing.T, db *DB) {
	mustCreate(t, db, "innocent", "i")
	for _, s := range []string{
		`'; DROP TABLE tenant_configs; --`, `" OR "1"="1`, `$1`, `?1`, `:id`, `%_\`, "a\\'b", `{{.}}`, `<script>`, "\u202e", "客户", strings.Repeat("x", 256), "$$;$$", "/*", "a/../b",
	} {
		n := newTenant(t, s, "key of "+s)
		n.Alias, n.Reason, n.Actor = s, s, s
		n.Keys[0].Alias = s
		r, err := db.CreateTenant(t.Context(), n)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		b := budget.By{Actor: s, Reason: s, At: t0}
		o := override(s, 0, time.Hour)
		o.Reason, o.GrantedBy = s, s
		if o, err = db.GrantOverride(t.Context(), o, false, b); err != nil || o.Reason != s {
			t.Errorf("%q: %+v, %v", s, o, err)
		}
		mustSave(t, db, s, 1, 5)
		got, err := db.RecordByKey(t.Context(), hash("key of "+s), t0)
		if err != nil || got.ID != s || got.Alias != s || got.Spent != 5 || got.Override.Reason != s || got.Revision <= r.Revision {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
		if keys, err := db.Keys(t.Context(), s); err != nil || len(keys) != 1 || keys[0].Alias != s {
			t.Errorf("%q: %+v, %v", s, keys, err)
		}
		if a := auditRows(t, db, s); len(a) != 2 || a[0].Reason != s || a[0].Actor != s {
			t.Errorf("%q: %+v", s, a)
		}
		if err := db.DeleteTenant(t.Context(), s, b); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	// What is no text becomes one instead of an error: it comes from LiteLLM.
	n := newTenant(t, "odd")
	n.Alias, n.Reason = "a\x00b\xff", "\x00"
	if r, err := db.CreateTenant(t.Context(), n); err != nil || r.Alias != "a\uFFFDb\uFFFD" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := db.Record(t.Context(), "innocent", t0); err != nil {
		t.Error("somebody else is gone:", err)
	}
}

// Readers see a tenant whole, before a change or after it, and do not wait for
// writers.
func testReadersAndWriters(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme", "a")
	c := change(&r)
	c.MaxBudget, c.GraceThreshold = new(110*budget.Dollar), 110
	if _, err := db.PutBudget(t.Context(), "acme", c, by(0)); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() {
			for !done.Load() {
				got, err := db.RecordByKey(t.Context(), hash("a"), t0)
				if err != nil {
					t.Error(err)
					return
				}
				if whole := budget.Money(got.GraceThreshold) * budget.Dollar; *got.MaxBudget != whole {
					t.Errorf("half a change: %s with %d %%", *got.MaxBudget, got.GraceThreshold)
				}
			}
		})
	}
	for i := range 50 {
		c.GraceThreshold = 101 + i%49
		c.MaxBudget = new(budget.Money(c.GraceThreshold) * budget.Dollar)
		if _, err := db.PutBudget(t.Context(), "acme", c, by(0)); err != nil {
			t.Fatal(err)
		}
		if err := db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: "acme", Number: 1, Spent: budget.Money(i)}}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	done.Store(true)
	running.Wait()
	if got := mustRecord(t, db, "acme", t0); got.Spent != 49 {
		t.Error(fmt.Sprint("spent ", got.Spent))
	}
}
