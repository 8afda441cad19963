package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

func testCreate(t *testing.T, db *DB) {
	n := newTenant(t, "acme", "a", "b")
	n.Alias, n.Origin, n.NeedsBudget, n.UpstreamLimit, n.Mode = "Acme Inc.", budget.OriginTeam, true, new(7*budget.Cent), budget.Shadow
	made, err := db.CreateTenant(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	want := n.Tenant
	want.Rule.Alignment, want.Rule.Zone = budget.Anniversary, time.UTC
	want.UpdatedAt, want.Revision = t0, made.Revision
	if !reflect.DeepEqual(made, budget.Record{Tenant: want}) {
		t.Errorf("made\n%+v, want\n%+v", made, want)
	}
	if made.Revision < 1 {
		t.Errorf("revision %d", made.Revision)
	}
	for _, k := range []string{"a", "b"} {
		if r, err := db.RecordByKey(t.Context(), hash(k), t0); err != nil || !reflect.DeepEqual(r, made) {
			t.Errorf("by key %s: %+v, %v", k, r, err)
		}
	}
	if _, err := db.RecordByKey(t.Context(), hash("c"), t0); !errors.Is(err, budget.ErrNotFound) {
		t.Errorf("by a key that nobody has: %v", err)
	}
	rows := auditRows(t, db, "acme")
	if len(rows) != 1 || rows[0].Action != "tenant_created" || rows[0].Actor != "ann" || rows[0].Reason != "new here" || rows[0].Before != nil {
		t.Fatalf("audit: %+v", rows)
	}
	var after struct {
		MaxBudget float64 `json:"max_budget"`
		Duration  string  `json:"budget_duration"`
		Keys      []any   `json:"keys"`
	}
	if err := json.Unmarshal(rows[0].After, &after); err != nil || after.MaxBudget != 100 || after.Duration != "30d" || len(after.Keys) != 2 {
		t.Errorf("audit after: %s (%v)", rows[0].After, err)
	}
}

func testCreateFillsGaps(t *testing.T, db *DB) {
	n := budget.NewTenant{Tenant: budget.Tenant{ID: "acme", AlertThreshold: 80, GraceThreshold: 110, Rule: budget.Rule{Period: mustPeriod(t, "1mo")}}}
	r, err := db.CreateTenant(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	want := budget.Window{Number: 1, Start: t0, End: time.Date(2026, 4, 10, 12, 0, 0, 0, time.UTC)}
	if r.Window != want || !r.Rule.Anchor.Equal(t0) || !r.CreatedAt.Equal(t0) || r.MaxBudget != nil || r.Origin != budget.OriginAdmin {
		t.Errorf("%+v", r)
	}
	if a := auditRows(t, db, "acme")[0]; a.Actor != "pursestring" {
		t.Errorf("nobody asked, so the actor is us, not %q", a.Actor)
	}
}

func testCreateAgain(t *testing.T, db *DB) {
	first := mustCreate(t, db, "acme", "a")
	mustSave(t, db, "acme", 1, budget.Dollar)
	n := newTenant(t, "acme", "a", "b")
	n.MaxBudget, n.InheritedSpend, n.CreatedAt = nil, 50*budget.Dollar, t0.Add(time.Hour)
	second, err := db.CreateTenant(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if second.MaxBudget == nil || second.Spent != budget.Dollar || !second.CreatedAt.Equal(first.CreatedAt) || second.Revision <= first.Revision {
		t.Errorf("was %+v, is %+v", first, second)
	}
	if keys, err := db.Keys(t.Context(), "acme"); err != nil || len(keys) != 2 {
		t.Errorf("keys %+v, %v", keys, err)
	}
	before := dump(t, db)
	third, err := db.CreateTenant(t.Context(), n)
	if err != nil || third.Revision != second.Revision {
		t.Errorf("%+v, %v", third, err)
	}
	if dump(t, db) != before {
		t.Error("a third time changed something")
	}
	if got := audits(t, db, "acme"); !reflect.DeepEqual(got, []string{"tenant_created", "key_added"}) {
		t.Errorf("audit %v", got)
	}
}

func testCreateRefuses(t *testing.T, db *DB) {
	mustCreate(t, db, "owner", "taken")
	before := dump(t, db)
	for _, c := range []struct {
		why  string
		bend func(*budget.NewTenant)
		is   error
		says string
	}{
		{"a reserved id", func(n *budget.NewTenant) { n.ID = "key:1" }, budget.ErrInvalid, "key:1"},
		{"no id", func(n *budget.NewTenant) { n.ID = "" }, budget.ErrInvalid, "empty"},
		{"a budget of nothing", func(n *budget.NewTenant) { n.MaxBudget = new(budget.Money(0)) }, budget.ErrInvalid, "max_budget"},
		{"a negative budget", func(n *budget.NewTenant) { n.MaxBudget = new(budget.Money(-1)) }, budget.ErrInvalid, "max_budget"},
		{"an alert below 50", func(n *budget.NewTenant) { n.AlertThreshold = 49 }, budget.ErrInvalid, "50–100"},
		{"an alert above 100", func(n *budget.NewTenant) { n.AlertThreshold = 101 }, budget.ErrInvalid, "50–100"},
		{"grace below 100", func(n *budget.NewTenant) { n.GraceThreshold = 99 }, budget.ErrInvalid, "100–150"},
		{"grace above 150", func(n *budget.NewTenant) { n.GraceThreshold = 151 }, budget.ErrInvalid, "100–150"},
		{"another alignment", func(n *budget.NewTenant) { n.Rule.Alignment = "lunar" }, budget.ErrInvalid, "lunar"},
		{"the machine's own zone", func(n *budget.NewTenant) { n.Rule.Zone = time.Local }, budget.ErrInvalid, "Local"},
		{"a zone without a name", func(n *budget.NewTenant) { n.Rule.Zone = time.FixedZone("X", 60) }, budget.ErrInvalid, "timezone"},
		{"a mode that is for auto_create", func(n *budget.NewTenant) { n.Mode = budget.Off }, budget.ErrInvalid, "mode"},
		{"negative spend", func(n *budget.NewTenant) { n.InheritedSpend = -1 }, budget.ErrInvalid, "negative"},
		{"a window that ends before it begins", func(n *budget.NewTenant) { n.Window.End = t0 }, budget.ErrInvalid, "ends"},
		{"somebody else's key", func(n *budget.NewTenant) {
			n.Keys = append(n.Keys, budget.TenantKey{Hash: hash("free")}, budget.TenantKey{Hash: hash("taken")})
		}, budget.ErrConflict, `"owner"`},
	} {
		n := newTenant(t, "new")
		c.bend(&n)
		_, err := db.CreateTenant(t.Context(), n)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v saying %q", c.why, err, c.is, c.says)
		}
	}
	if dump(t, db) != before {
		t.Error("a refusal left something behind")
	}
}

// A window's number is never used again, or the ledger would count the new
// tenant's calls on top of the old one's.
func testCreateAfterDelete(t *testing.T, db *DB) {
	mustCreate(t, db, "acme", "a")
	mustSave(t, db, "acme", 1, 90*budget.Dollar)
	if _, err := db.ResetWindow(t.Context(), "acme", by(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.GrantOverride(t.Context(), override("acme", 2*time.Hour, 48*time.Hour), false, by(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := db.DeleteTenant(t.Context(), "acme", by(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, db, "acme", "a")
	if r.Window.Number != 3 || r.Spent != 0 || r.Override != nil {
		t.Errorf("%+v", r)
	}
}

func testRulesSurvive(t *testing.T, db *DB) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for i, rule := range []budget.Rule{
		{},
		{Period: mustPeriod(t, "30s"), Anchor: t0},
		{Period: mustPeriod(t, "monthly"), Anchor: t0.Add(123456 * time.Microsecond)},
		{Period: mustPeriod(t, "7d"), Anchor: t0, Alignment: budget.Calendar, Zone: berlin},
		{Period: mustPeriod(t, "1mo"), Anchor: time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), Zone: berlin},
		{Period: mustPeriod(t, "12h"), Anchor: time.Date(2100, 1, 1, 0, 0, 0, 1999, time.UTC)},
	} {
		n := newTenant(t, fmt.Sprint("tenant ", i))
		n.Rule, n.Window = rule, budget.Window{}
		r, err := db.CreateTenant(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{t0, t0.AddDate(0, 5, 3), t0.AddDate(1, 0, 0)} {
			// Stored instants are whole microseconds.
			if got, want := r.Rule.Next(at), rule.Next(at); !got.Equal(want.Truncate(time.Microsecond)) {
				t.Errorf("rule %d after %s: %s, want %s", i, at, got, want)
			}
		}
		if r.Window.End.IsZero() != rule.Period.IsZero() || r.Rule.Period != rule.Period {
			t.Errorf("rule %d: %+v", i, r)
		}
	}
}

func testInheritedSpend(t *testing.T, db *DB) {
	n := newTenant(t, "acme", "a")
	n.InheritedSpend = 42 * budget.Dollar
	r, err := db.CreateTenant(t.Context(), n)
	if err != nil || r.Spent != 42*budget.Dollar {
		t.Fatalf("%+v, %v", r, err)
	}
	var sum, window int64
	var source, reason string
	err = db.read.QueryRowContext(t.Context(), `SELECT amount_nusd, window_number, source, reason FROM spend_adjustments WHERE tenant_id = $1`, "acme").
		Scan(&sum, &window, &source, &reason)
	if err != nil || budget.Money(sum) != r.Spent || window != 1 || source != "inherit" || reason != "new here" {
		t.Errorf("adjustment %d in window %d, %s, %q, %v", sum, window, source, reason, err)
	}
}

func change(r *budget.Record) budget.Terms {
	return budget.Terms{
		MaxBudget: r.MaxBudget, AlertThreshold: r.AlertThreshold, GraceThreshold: r.GraceThreshold,
		Period: r.Rule.Period, Alignment: r.Rule.Alignment, Zone: r.Rule.Zone,
	}
}

func testPutBudget(t *testing.T, db *DB) {
	n := newTenant(t, "acme", "a")
	n.NeedsBudget = true
	r, err := db.CreateTenant(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, db, "acme", 1, 3*budget.Dollar)
	c := change(&r)
	c.MaxBudget, c.AlertThreshold, c.GraceThreshold, c.IfRevision = new(250*budget.Dollar), 60, 120, &r.Revision
	got, err := db.PutBudget(t.Context(), "acme", c, by(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if *got.MaxBudget != 250*budget.Dollar || got.AlertThreshold != 60 || got.GraceThreshold != 120 || got.NeedsBudget ||
		got.Window != r.Window || got.Spent != 3*budget.Dollar || got.Revision <= r.Revision || !got.UpdatedAt.Equal(t0.Add(time.Hour)) {
		t.Errorf("%+v", got)
	}
	c.MaxBudget, c.IfRevision = nil, nil
	if got, err = db.PutBudget(t.Context(), "acme", c, by(time.Hour)); err != nil || got.MaxBudget != nil {
		t.Errorf("without a limit: %+v, %v", got, err)
	}
	rows := auditRows(t, db, "acme")
	last := rows[len(rows)-1]
	if last.Action != "budget_changed" || !strings.Contains(string(last.Before), `"max_budget":250`) || !strings.Contains(string(last.After), `"max_budget":null`) ||
		last.Actor != "ann" || last.Reason != "because" || !last.At.Equal(t0.Add(time.Hour)) {
		t.Errorf("audit %+v: %s → %s", last, last.Before, last.After)
	}
}

func testPutBudgetRefuses(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme", "a")
	before := dump(t, db)
	for _, c := range []struct {
		why  string
		bend func(*budget.Terms)
		is   error
	}{
		{"an older revision", func(c *budget.Terms) { c.IfRevision = new(r.Revision - 1) }, budget.ErrStale},
		{"a revision to come", func(c *budget.Terms) { c.IfRevision = new(r.Revision + 1) }, budget.ErrStale},
		{"no money", func(c *budget.Terms) { c.MaxBudget = new(budget.Money(0)) }, budget.ErrInvalid},
		{"alert", func(c *budget.Terms) { c.AlertThreshold = 0 }, budget.ErrInvalid},
		{"grace", func(c *budget.Terms) { c.GraceThreshold = 0 }, budget.ErrInvalid},
		{"zone", func(c *budget.Terms) { c.Zone = time.Local }, budget.ErrInvalid},
	} {
		bc := change(&r)
		c.bend(&bc)
		if _, err := db.PutBudget(t.Context(), "acme", bc, by(0)); !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %v", c.why, err, c.is)
		}
	}
	if dump(t, db) != before {
		t.Error("a refusal left something behind")
	}
}

func testPutBudgetNewRule(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme", "a")
	mustSave(t, db, "acme", 1, 3*budget.Dollar)
	at := 40 * time.Hour
	for _, c := range []struct {
		why  string
		bend func(*budget.Terms)
		end  time.Time
	}{
		{"a shorter period ends at its next boundary", func(c *budget.Terms) { c.Period = mustPeriod(t, "1d") }, t0.Add(48 * time.Hour)},
		{"none never ends", func(c *budget.Terms) { c.Period = budget.Period{} }, time.Time{}},
		{"a period again", func(c *budget.Terms) { c.Period = mustPeriod(t, "1h") }, t0.Add(41 * time.Hour)},
		{"by the calendar", func(c *budget.Terms) {
			c.Period, c.Alignment = mustPeriod(t, "1mo"), budget.Calendar
		}, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
		{"from another anchor", func(c *budget.Terms) {
			c.Period, c.Alignment, c.Anchor = mustPeriod(t, "1d"), "", t0.Add(7*time.Hour)
		}, t0.Add(55 * time.Hour)},
	} {
		bc := change(&r)
		c.bend(&bc)
		got, err := db.PutBudget(t.Context(), "acme", bc, by(at))
		if err != nil {
			t.Fatalf("%s: %v", c.why, err)
		}
		want := budget.Window{Number: 1, Start: t0, End: c.end}
		if got.Window != want || got.Spent != 3*budget.Dollar {
			t.Errorf("%s: window %+v with %s, want %+v", c.why, got.Window, got.Spent, want)
		}
		if w, err := db.Windows(t.Context(), "acme", 9); err != nil || len(w) != 1 || w[0].Window != want {
			t.Errorf("%s: rows %+v, %v", c.why, w, err)
		}
	}
}

func testPutBudgetAfterWindowEnd(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme", "a")
	mustSave(t, db, "acme", 1, 3*budget.Dollar)
	c := change(&r)
	c.Period = mustPeriod(t, "1d")
	got, err := db.PutBudget(t.Context(), "acme", c, by(30*24*time.Hour+time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := budget.Window{Number: 2, Start: t0.AddDate(0, 0, 30), End: t0.AddDate(0, 0, 31)}
	if got.Window != want || got.Spent != 0 {
		t.Errorf("window %+v with %s, want %+v", got.Window, got.Spent, want)
	}
	if got := audits(t, db, "acme"); !reflect.DeepEqual(got, []string{"tenant_created", "budget_reset", "budget_changed"}) {
		t.Errorf("audit %v", got)
	}
}

func testPutTenant(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme")
	got, err := db.PutTenant(t.Context(), "acme", budget.TenantChange{Alias: new("Acme"), Mode: new(budget.Shadow)}, by(time.Hour))
	if err != nil || got.Alias != "Acme" || got.Mode != budget.Shadow || got.Revision <= r.Revision {
		t.Fatalf("%+v, %v", got, err)
	}
	before := dump(t, db)
	same, err := db.PutTenant(t.Context(), "acme", budget.TenantChange{Alias: new("Acme")}, by(2*time.Hour))
	if err != nil || same.Revision != got.Revision || dump(t, db) != before {
		t.Errorf("the same again changed something: %+v, %v", same, err)
	}
	if _, err := db.PutTenant(t.Context(), "acme", budget.TenantChange{Mode: new(budget.Off)}, by(0)); !errors.Is(err, budget.ErrInvalid) {
		t.Errorf("mode off: %v", err)
	}
	if got, err = db.PutTenant(t.Context(), "acme", budget.TenantChange{Mode: new(budget.Mode(""))}, by(0)); err != nil || got.Mode != "" || got.Alias != "Acme" {
		t.Errorf("%+v, %v", got, err)
	}
}

func testDelete(t *testing.T, db *DB) {
	mustCreate(t, db, "other", "o")
	mustCreate(t, db, "acme", "a", "b")
	mustSave(t, db, "acme", 1, budget.Dollar)
	if _, err := db.GrantOverride(t.Context(), override("acme", 0, time.Hour), false, by(0)); err != nil {
		t.Fatal(err)
	}
	_, before, err := db.Changes(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.DeleteTenant(t.Context(), "acme", by(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"a", "b"} {
		if _, err := db.RecordByKey(t.Context(), hash(k), t0); !errors.Is(err, budget.ErrNotFound) {
			t.Errorf("key %s: %v", k, err)
		}
	}
	if _, err := db.Record(t.Context(), "acme", t0); !errors.Is(err, budget.ErrNotFound) {
		t.Error(err)
	}
	if _, err := db.Record(t.Context(), "other", t0); err != nil {
		t.Error("the other one:", err)
	}
	changes, _, err := db.Changes(t.Context(), before)
	if err != nil || len(changes) != 3 || changes[0].TenantID != "acme" || changes[1].KeyHash == nil || changes[2].KeyHash == nil {
		t.Errorf("changes %+v, %v", changes, err)
	}
	// What happened stays, and a settlement that was on its way arrives.
	mustSave(t, db, "acme", 1, 2*budget.Dollar)
	mustSave(t, db, "acme", 2, 9*budget.Dollar) // a window it never had
	w, err := db.Windows(t.Context(), "acme", 9)
	if err != nil || len(w) != 1 || w[0].Spent != 2*budget.Dollar || w[0].ClosedAt.IsZero() {
		t.Errorf("windows %+v, %v", w, err)
	}
	if o, err := db.Overrides(t.Context(), "acme"); err != nil || len(o) != 1 || !o[0].RevokedAt.Equal(t0.Add(time.Minute)) {
		t.Errorf("overrides %+v, %v", o, err)
	}
	if got := audits(t, db, "acme"); !reflect.DeepEqual(got, []string{"tenant_created", "override_granted", "tenant_deleted"}) {
		t.Errorf("audit %v", got)
	}
}

func testKeys(t *testing.T, db *DB) {
	mustCreate(t, db, "other", "o")
	r := mustCreate(t, db, "acme", "a")
	k, err := db.AddKey(t.Context(), budget.TenantKey{Hash: hash("b"), TenantID: "acme", Alias: "bot", Baseline: 3}, by(time.Hour))
	want := budget.TenantKey{Hash: hash("b"), TenantID: "acme", Alias: "bot", Baseline: 3, CreatedAt: t0.Add(time.Hour)}
	if err != nil || k != want {
		t.Fatalf("%+v, %v", k, err)
	}
	if again := mustRecord(t, db, "acme", t0); again.Revision <= r.Revision {
		t.Error("a new key is a change")
	}
	before := dump(t, db)
	if k, err = db.AddKey(t.Context(), budget.TenantKey{Hash: hash("b"), TenantID: "acme", Alias: "bot", Baseline: 9}, by(2*time.Hour)); err != nil || k != want || dump(t, db) != before {
		t.Errorf("the same again changed something: %+v, %v", k, err)
	}
	want.Alias = "robot"
	if k, err = db.AddKey(t.Context(), budget.TenantKey{Hash: hash("b"), TenantID: "acme", Alias: "robot", Baseline: 9}, by(2*time.Hour)); err != nil || k != want {
		t.Errorf("renamed: %+v, %v", k, err)
	}
	if _, err = db.AddKey(t.Context(), budget.TenantKey{Hash: hash("o"), TenantID: "acme"}, by(0)); !errors.Is(err, budget.ErrConflict) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("somebody else's: %v", err)
	}
	if keys, err := db.Keys(t.Context(), "acme"); err != nil || len(keys) != 2 || keys[0].Hash != hash("a") || keys[1] != want {
		t.Errorf("keys %+v, %v", keys, err)
	}
	if err := db.RemoveKey(t.Context(), "acme", hash("o"), by(0)); !errors.Is(err, budget.ErrNotFound) {
		t.Errorf("removing somebody else's: %v", err)
	}
	if err := db.RemoveKey(t.Context(), "acme", hash("b"), by(0)); err != nil {
		t.Error(err)
	}
	if err := db.RemoveKey(t.Context(), "acme", hash("b"), by(0)); !errors.Is(err, budget.ErrNotFound) {
		t.Errorf("removing it twice: %v", err)
	}
	if got := audits(t, db, "acme"); !reflect.DeepEqual(got, []string{"tenant_created", "key_added", "key_changed", "key_removed"}) {
		t.Errorf("audit %v", got)
	}
}

func testPages(t *testing.T, db *DB) {
	const n = 1000
	want := map[string]bool{}
	err := db.inTx(t.Context(), t0, func(tx *tx) error { // one transaction: a thousand take a while
		for i := range n {
			nt := newTenant(t, fmt.Sprintf("tenant/%03d%%", (i*7)%n))
			want[nt.ID] = true
			if err := tx.note(t.Context(), nt.ID, nil); err != nil {
				return err
			}
			if err := tx.createTenant(t.Context(), nt, by(0)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after, last, pages := "", "", 0
	for {
		page, next, err := db.Tenants(t.Context(), budget.TenantFilter{After: after, Limit: 70}, t0)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, r := range page {
			if r.ID <= last || !want[r.ID] {
				t.Fatalf("%q after %q", r.ID, last)
			}
			delete(want, r.ID)
			last = r.ID
		}
		if next == "" {
			break
		}
		if len(page) != 70 {
			t.Fatalf("page %d has %d", pages, len(page))
		}
		after = next
		if pages == 3 { // a tenant that appears behind us moves no page
			mustCreate(t, db, "a-newcomer")
		}
	}
	if len(want) != 0 || pages != 15 {
		t.Errorf("%d left after %d pages", len(want), pages)
	}
	if page, next, err := db.Tenants(t.Context(), budget.TenantFilter{Limit: 1001}, t0); err != nil || len(page) != 1000 || next == "" {
		t.Errorf("a page is bounded: %d, %q, %v", len(page), next, err)
	}
}

func testSearch(t *testing.T, db *DB) {
	for id, alias := range map[string]string{"acme": "Rockets", "100%": "", "a_b": "", "axb": "", `back\slash`: "", "Ωmega": "Ärger"} {
		n := newTenant(t, id)
		n.Alias = alias
		if _, err := db.CreateTenant(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for search, want := range map[string][]string{
		"":            {"100%", "a_b", "acme", "axb", `back\slash`, "Ωmega"},
		"ACM":         {"acme"},
		"rock":        {"acme"},
		"%":           {"100%"},
		"_":           {"a_b"},
		`\`:           {`back\slash`},
		"Ω":           {"Ωmega"},
		"Ärg":         {"Ωmega"},
		"' OR 1=1 --": nil,
	} {
		page, _, err := db.Tenants(t.Context(), budget.TenantFilter{Search: search, Limit: 10}, t0)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range page {
			got = append(got, r.ID)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("search %q finds %q, want %q", search, got, want)
		}
	}
}

func testCount(t *testing.T, db *DB) {
	for id, spent := range map[string]budget.Money{"ok": 79, "warning": 80, "grace": 100, "grace 2": 109, "blocked": 110} {
		mustCreate(t, db, id)
		mustSave(t, db, id, 1, spent*budget.Dollar)
	}
	counts := func(now time.Time) map[budget.State]int {
		t.Helper()
		c, err := db.CountTenants(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	want := map[budget.State]int{budget.StateOK: 1, budget.StateWarning: 1, budget.StateGrace: 2, budget.StateBlocked: 1}
	if got := counts(t0); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if _, err := db.GrantOverride(t.Context(), override("blocked", 0, time.Hour), false, by(0)); err != nil {
		t.Fatal(err)
	}
	want = map[budget.State]int{budget.StateOK: 2, budget.StateWarning: 1, budget.StateGrace: 2, budget.StateBlocked: 0}
	if got := counts(t0); !reflect.DeepEqual(got, want) {
		t.Errorf("with an override: %v, want %v", got, want)
	}
	want = map[budget.State]int{budget.StateOK: 5, budget.StateWarning: 0, budget.StateGrace: 0, budget.StateBlocked: 0}
	if got := counts(t0.AddDate(0, 0, 30)); !reflect.DeepEqual(got, want) {
		t.Errorf("in the next window: %v, want %v", got, want)
	}
}
