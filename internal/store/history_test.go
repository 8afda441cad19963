package store

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

func testChanges(t *testing.T, db *DB) {
	since := int64(0)
	expect := func(what string, want ...budget.Change) {
		t.Helper()
		got, newest, err := db.Changes(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i].Revision <= since || got[i].Revision > newest {
				t.Errorf("%s: revision %d, asked from %d, newest %d", what, got[i].Revision, since, newest)
			}
			got[i].Revision = 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		since = newest
	}
	acme := budget.Change{TenantID: "acme"}
	withKey := func(k string) budget.Change { h := hash(k); return budget.Change{TenantID: "acme", KeyHash: &h} }
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	expect("an empty store")
	r := mustCreate(t, db, "acme", "a", "b")
	expect("a new tenant", acme, withKey("a"), withKey("b"))
	expect("nothing since")
	must(db.AddKey(t.Context(), budget.TenantKey{Hash: hash("c"), TenantID: "acme"}, by(0)))
	expect("a key came", acme, withKey("c"))
	must(nil, db.RemoveKey(t.Context(), "acme", hash("c"), by(0)))
	expect("a key went", acme, withKey("c"))
	must(db.PutBudget(t.Context(), "acme", change(&r), by(0)))
	must(db.GrantOverride(t.Context(), override("acme", 0, time.Hour), false, by(0)))
	must(db.RevokeOverride(t.Context(), "acme", by(0)))
	must(db.ResetWindow(t.Context(), "acme", by(0)))
	must(db.PutTenant(t.Context(), "acme", budget.TenantChange{Alias: new("x")}, by(0)))
	expect("budget, override, its end, reset, alias", acme, acme, acme, acme, acme)
	mustSave(t, db, "acme", 2, 1)
	if _, _, err := db.RollWindow(t.Context(), "acme", t0.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	expect("spend and the end of a window are none")
	if got := mustRecord(t, db, "acme", t0); got.Revision != since {
		t.Errorf("the tenant is at revision %d, the store at %d", got.Revision, since)
	}
}

func testChangesInPages(t *testing.T, db *DB) {
	for i := range 5 {
		mustCreate(t, db, fmt.Sprint("tenant ", i))
	}
	var got []string
	since, calls := int64(0), 0
	for {
		changes, newest, err := db.changes(t.Context(), since, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			got = append(got, c.TenantID)
		}
		calls++
		if newest == since || calls > 10 {
			break
		}
		since = newest
	}
	if len(got) != 5 || got[4] != "tenant 4" {
		t.Errorf("%q in %d calls", got, calls)
	}
}

func testChangesArePruned(t *testing.T, db *DB) {
	for i := range 10 {
		n := newTenant(t, fmt.Sprint("old ", i))
		if _, err := db.CreateTenant(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	late := changesKept + time.Hour
	for i := range 4 {
		n := newTenant(t, fmt.Sprint("new ", i))
		n.CreatedAt = t0.Add(late)
		if _, err := db.CreateTenant(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	got, newest, err := db.Changes(t.Context(), 0)
	if err != nil || len(got) != 4 || got[0].TenantID != "new 0" || newest != got[3].Revision {
		t.Errorf("%+v, %d, %v", got, newest, err)
	}
}

func testAlerts(t *testing.T, db *DB) {
	h := hash("a")
	nan, dollars, huge := math.NaN(), 325.5, 1e300
	events := []budget.AlertEvent{
		{At: t0, Source: "litellm", Type: "budget_crossed", Group: "key", TenantID: "acme", KeyHash: &h, SpendUSD: &dollars, MaxUSD: &huge, Projected: true,
			Detail: []byte("{\"x\":\"\xff\x00\"}"), WindowHint: 3},
		{At: t0.Add(time.Second), Source: "litellm", Type: "threshold_crossed", Group: "team", Subject: "team-1", SpendUSD: &nan},
		{At: t0.Add(2 * time.Second), Source: "pursestring", Type: "budget_crossed", TenantID: "acme"},
	}
	for _, e := range events {
		if err := db.RecordAlert(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	all, next, err := db.Alerts(t.Context(), budget.HistoryFilter{Limit: 10})
	if err != nil || len(all) != 3 || next != 0 {
		t.Fatalf("%+v, %d, %v", all, next, err)
	}
	for i, got := range all {
		want := events[len(events)-1-i]
		want.ID = got.ID
		if want.SpendUSD == &nan {
			want.SpendUSD = nil // no number is no claim
		}
		if want.MaxUSD == &huge {
			want.MaxUSD = new(budget.MaxMoney.Float())
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	page, next, err := db.Alerts(t.Context(), budget.HistoryFilter{TenantID: "acme", Type: "budget_crossed", Limit: 1})
	if err != nil || len(page) != 1 || page[0].Source != "pursestring" || next != page[0].ID {
		t.Fatalf("%+v, %d, %v", page, next, err)
	}
	page, next, err = db.Alerts(t.Context(), budget.HistoryFilter{TenantID: "acme", Type: "budget_crossed", Limit: 1, Before: next})
	if err != nil || len(page) != 1 || !bytes.Equal(page[0].Detail, events[0].Detail) || next != 0 {
		t.Errorf("%+v, %d, %v", page, next, err)
	}
}

func testAudit(t *testing.T, db *DB) {
	for _, id := range []string{"acme", "other"} {
		mustCreate(t, db, id)
		for range 3 {
			if _, err := db.ResetWindow(t.Context(), id, by(0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	f := budget.HistoryFilter{TenantID: "acme", Limit: 3}
	for {
		page, next, err := db.Audit(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			got = append(got, a.Action)
			if a.TenantID != "acme" {
				t.Errorf("%+v", a)
			}
		}
		if next == 0 {
			break
		}
		f.Before = next
	}
	if !reflect.DeepEqual(got, []string{"budget_reset", "budget_reset", "budget_reset", "tenant_created"}) {
		t.Errorf("%v", got)
	}
	if page, _, err := db.Audit(t.Context(), budget.HistoryFilter{Type: "tenant_created"}); err != nil || len(page) != 2 {
		t.Errorf("%+v, %v", page, err)
	}
}
