package store

import (
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// override is $50 more for a tenant, between two times after t0.
func override(id string, from, until time.Duration) budget.Override {
	return budget.Override{
		TenantID: id, Amount: 50 * budget.Dollar, Reason: "a big day", GrantedBy: "ann",
		StartsAt: t0.Add(from), ExpiresAt: t0.Add(until),
	}
}

func testOverrides(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme", "a")
	o, err := db.GrantOverride(t.Context(), override("acme", 0, 24*time.Hour), false, by(0))
	if err != nil || o.ID == 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	got, err := db.RecordByKey(t.Context(), hash("a"), t0.Add(24*time.Hour-time.Microsecond))
	if err != nil || !reflect.DeepEqual(got.Override, &o) || got.Revision <= r.Revision {
		t.Errorf("%+v with %+v, %v", got, got.Override, err)
	}
	if got := mustRecord(t, db, "acme", t0.Add(24*time.Hour)); got.Override != nil {
		t.Errorf("expired, and still %+v", got.Override)
	}
	if _, err := db.GrantOverride(t.Context(), override("acme", time.Hour, 2*time.Hour), false, by(time.Hour)); !errors.Is(err, budget.ErrConflict) {
		t.Errorf("a second one: %v", err)
	}
	second := override("acme", time.Hour, 2*time.Hour)
	second.Amount, second.DisableEnforcement = 0, true
	second, err = db.GrantOverride(t.Context(), second, true, by(time.Hour))
	if err != nil || second.ID <= o.ID {
		t.Fatalf("replacing: %+v, %v", second, err)
	}
	if got := mustRecord(t, db, "acme", t0.Add(time.Hour)); !reflect.DeepEqual(got.Override, &second) {
		t.Errorf("%+v", got.Override)
	}
	revoked, err := db.RevokeOverride(t.Context(), "acme", by(90*time.Minute))
	if err != nil || revoked.ID != second.ID || !revoked.RevokedAt.Equal(t0.Add(90*time.Minute)) {
		t.Errorf("%+v, %v", revoked, err)
	}
	if _, err := db.RevokeOverride(t.Context(), "acme", by(90*time.Minute)); !errors.Is(err, budget.ErrNotFound) {
		t.Errorf("revoking nothing: %v", err)
	}
	list, err := db.Overrides(t.Context(), "acme")
	if err != nil || len(list) != 2 || list[0] != revoked || list[1].ID != o.ID || !list[1].RevokedAt.Equal(t0.Add(time.Hour)) {
		t.Errorf("%+v, %v", list, err)
	}
	if got := audits(t, db, "acme"); !reflect.DeepEqual(got, []string{"tenant_created", "override_granted", "override_revoked", "override_granted", "override_revoked"}) {
		t.Errorf("audit %v", got)
	}
}

func testOverridesRefuse(t *testing.T, db *DB) {
	mustCreate(t, db, "acme")
	before := dump(t, db)
	for _, c := range []struct {
		why  string
		bend func(*budget.Override)
		is   error
	}{
		{"nothing changes", func(o *budget.Override) { o.Amount = 0 }, budget.ErrInvalid},
		{"less money", func(o *budget.Override) { o.Amount = -1 }, budget.ErrInvalid},
		{"over at once", func(o *budget.Override) { o.ExpiresAt = o.StartsAt }, budget.ErrInvalid},
		{"over within what is stored of an instant", func(o *budget.Override) { o.ExpiresAt = o.StartsAt.Add(time.Nanosecond) }, budget.ErrInvalid},
		{"no end", func(o *budget.Override) { o.ExpiresAt = time.Time{} }, budget.ErrInvalid},
		{"nobody's", func(o *budget.Override) { o.TenantID = "nobody" }, budget.ErrNotFound},
	} {
		o := override("acme", 0, time.Hour)
		c.bend(&o)
		if _, err := db.GrantOverride(t.Context(), o, true, by(0)); !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %v", c.why, err, c.is)
		}
	}
	o := override("acme", 0, time.Hour)
	o.Reason = ""
	if _, err := db.GrantOverride(t.Context(), o, true, budget.By{Actor: "ann"}); !errors.Is(err, budget.ErrInvalid) {
		t.Errorf("no reason: %v", err)
	}
	if dump(t, db) != before {
		t.Error("a refusal left something behind")
	}
}

// Overrides that follow each other do not overlap, so at any instant the record
// has the active one, and before it the next.
func testOverridesInARow(t *testing.T, db *DB) {
	mustCreate(t, db, "acme")
	later, err := db.GrantOverride(t.Context(), override("acme", 2*time.Hour, 3*time.Hour), false, by(0))
	if err != nil {
		t.Fatal(err)
	}
	first, err := db.GrantOverride(t.Context(), override("acme", 0, 2*time.Hour), false, by(0))
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]int64{0: first.ID, 2*time.Hour - 1: first.ID, 2 * time.Hour: later.ID} {
		if got := mustRecord(t, db, "acme", t0.Add(after)); got.Override == nil || got.Override.ID != want {
			t.Errorf("after %s: %+v, want %d", after, got.Override, want)
		}
	}
	if _, err := db.GrantOverride(t.Context(), override("acme", time.Hour, 5*time.Hour), true, by(0)); err != nil {
		t.Fatal(err)
	}
	list, err := db.Overrides(t.Context(), "acme")
	if err != nil || len(list) != 3 || list[1].RevokedAt.IsZero() || list[2].RevokedAt.IsZero() {
		t.Errorf("replacing ends all that overlap: %+v, %v", list, err)
	}
}

func testOverrideRace(t *testing.T, db *DB) {
	mustCreate(t, db, "acme")
	const callers = 8
	errs := make([]error, callers)
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			_, errs[i] = db.GrantOverride(t.Context(), override("acme", 0, time.Hour), false, by(0))
		})
	}
	running.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, budget.ErrConflict):
			t.Error(err)
		}
	}
	list, err := db.Overrides(t.Context(), "acme")
	if won != 1 || err != nil || len(list) != 1 {
		t.Errorf("%d won, %d are stored, %v", won, len(list), err)
	}
}
