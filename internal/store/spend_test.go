package store

import (
	"errors"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

func testSpend(t *testing.T, db *DB) {
	mustCreate(t, db, "acme")
	mustCreate(t, db, "other")
	for range 2 { // twice is as good as once
		err := db.SaveSpend(t.Context(), []budget.WindowSpend{
			{TenantID: "acme", Number: 1, Spent: 5},
			{TenantID: "other", Number: 1, Spent: budget.MaxMoney},
		}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if r := mustRecord(t, db, "acme", t0); r.Spent != 5 {
		t.Errorf("%d", r.Spent)
	}
	if r := mustRecord(t, db, "other", t0); r.Spent != budget.MaxMoney {
		t.Errorf("%d", r.Spent)
	}
	before := dump(t, db)
	err := db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: "acme", Number: 1, Spent: 6}, {TenantID: "other", Number: 1, Spent: -1}}, nil, nil)
	if !errors.Is(err, budget.ErrInvalid) || dump(t, db) != before {
		t.Errorf("negative spend: %v", err)
	}
	if err := db.SaveSpend(t.Context(), nil, nil, nil); err != nil {
		t.Error(err)
	}
}

// The ledger may be ahead of the store, and late settlements behind it.
func testSpendWithoutWindow(t *testing.T, db *DB) {
	n := newTenant(t, "acme")
	n.Window.Number = 5
	r, err := db.CreateTenant(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	start, end := t0.AddDate(0, 0, -30), t0
	err = db.SaveSpend(t.Context(), []budget.WindowSpend{
		{TenantID: "acme", Number: 4, Spent: 4, Start: start, End: end},
		{TenantID: "acme", Number: 6, Spent: 6},
		// What the store knows of a window it knows better.
		{TenantID: "acme", Number: 5, Spent: 5, Start: start, End: end},
		{TenantID: "acme", Number: 7, Spent: 7, Start: end, End: start},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := windowsOf(t, db, "acme")
	if len(rows) != 4 {
		t.Fatalf("%+v", rows)
	}
	for i, want := range []budget.WindowRow{
		{Window: budget.Window{Number: 7, Start: end}, Spent: 7},
		{Window: budget.Window{Number: 6}, Spent: 6},
		{Window: r.Window, Spent: 5},
		{Window: budget.Window{Number: 4, Start: start, End: end}, Spent: 4, ClosedAt: t0},
	} {
		if rows[i] != want {
			t.Errorf("%+v, want %+v", rows[i], want)
		}
	}
	if err := db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: "acme", Number: 6, Spent: 66, Start: end, End: end.Add(time.Hour)}}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if w := windowsOf(t, db, "acme")[1]; w.Spent != 66 || !w.End.Equal(end.Add(time.Hour)) {
		t.Errorf("what was not known is taken: %+v", w)
	}
}

func testSpendWithoutTenant(t *testing.T, db *DB) {
	mustCreate(t, db, "acme")
	err := db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: "nobody", Number: 1, Spent: 5}, {TenantID: "acme", Number: 1, Spent: 7}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := mustRecord(t, db, "acme", t0); r.Spent != 7 {
		t.Errorf("the others of the batch: %s", r.Spent)
	}
	if w := windowsOf(t, db, "nobody"); len(w) != 0 {
		t.Errorf("%+v", w)
	}
}

func testUnresolved(t *testing.T, db *DB) {
	mustCreate(t, db, "acme", "known")
	unresolved := func(k string, since time.Time) budget.Money {
		t.Helper()
		m, err := db.Unresolved(t.Context(), hash(k), since)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	err := db.SaveSpend(t.Context(), nil, []budget.UnresolvedSpend{{Hash: hash("known"), Spent: 3}, {Hash: hash("x"), Spent: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := unresolved("x", time.Time{}); got != 4 {
		t.Errorf("ever: %d", got)
	}
	if got := unresolved("x", t0); got != 4 {
		t.Errorf("since it was saved: %d", got)
	}
	if got := unresolved("x", t0.Add(time.Second)); got != 0 {
		t.Errorf("of a window that began later: %d", got)
	}
	if got := unresolved("y", time.Time{}); got != 0 {
		t.Errorf("of nobody: %d", got)
	}
	stranded, err := db.Stranded(t.Context())
	if err != nil || len(stranded) != 1 || stranded[0] != (budget.UnresolvedSpend{Hash: hash("known"), Spent: 3}) {
		t.Errorf("stranded %+v, %v", stranded, err)
	}
	for range 2 { // twice is as good as once
		err = db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: "acme", Number: 1, Spent: 3}}, nil, []budget.KeyHash{hash("known")})
		if err != nil {
			t.Fatal(err)
		}
		if r := mustRecord(t, db, "acme", t0); r.Spent != 3 || unresolved("known", time.Time{}) != 0 {
			t.Errorf("moved: %s", r.Spent)
		}
	}
	if stranded, err = db.Stranded(t.Context()); err != nil || len(stranded) != 0 {
		t.Errorf("stranded %+v, %v", stranded, err)
	}
}
