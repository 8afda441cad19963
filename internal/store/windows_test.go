package store

import (
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

func windowsOf(t *testing.T, db *DB, id string) []budget.WindowRow {
	t.Helper()
	w, err := db.Windows(t.Context(), id, 100)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func testReset(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme")
	mustSave(t, db, "acme", 1, 110*budget.Dollar)
	got, err := db.ResetWindow(t.Context(), "acme", by(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	at := t0.Add(time.Hour)
	want := budget.Window{Number: 2, Start: at, End: t0.AddDate(0, 0, 30)}
	if got.Window != want || got.Spent != 0 || got.Revision <= r.Revision {
		t.Errorf("%+v", got)
	}
	mustSave(t, db, "acme", 1, 111*budget.Dollar) // a call that was in flight
	rows := windowsOf(t, db, "acme")
	wantRows := []budget.WindowRow{
		{Window: want},
		{Window: budget.Window{Number: 1, Start: t0, End: at}, Spent: 111 * budget.Dollar, ClosedAt: at},
	}
	if !reflect.DeepEqual(rows, wantRows) {
		t.Errorf("rows\n%+v, want\n%+v", rows, wantRows)
	}
	audit := auditRows(t, db, "acme")
	last := audit[len(audit)-1]
	var before, after struct {
		Spent     float64 `json:"spend_usd"`
		MaxBudget float64 `json:"max_budget"`
		Window    struct {
			Number int64 `json:"number"`
		} `json:"window"`
	}
	if err := errors.Join(json.Unmarshal(last.Before, &before), json.Unmarshal(last.After, &after)); err != nil {
		t.Fatal(err)
	}
	if last.Action != "budget_reset" || last.Actor != "ann" || before.Spent != 110 || before.Window.Number != 1 || after.MaxBudget != 100 || after.Window.Number != 2 {
		t.Errorf("audit %+v: %s → %s", last, last.Before, last.After)
	}
	if _, err := db.ResetWindow(t.Context(), "acme", budget.By{Actor: "ann"}); !errors.Is(err, budget.ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
}

// An admin plane whose clock is behind the one that opened the window must not
// make windows that end before they begin.
func testResetClockBehind(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme")
	got, err := db.ResetWindow(t.Context(), "acme", by(-time.Hour))
	if err != nil || !got.Window.Start.Equal(t0) || !got.Window.End.After(t0) || got.Window.Number != 2 {
		t.Errorf("%+v, %v", got.Window, err)
	}
	c := change(&r)
	c.Period = mustPeriod(t, "1h")
	if got, err = db.PutBudget(t.Context(), "acme", c, by(-2*time.Hour)); err != nil || !got.Window.End.Equal(t0.Add(time.Hour)) {
		t.Errorf("%+v, %v", got.Window, err)
	}
}

func testRoll(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme", "a")
	mustSave(t, db, "acme", 1, 42*budget.Dollar)
	before := dump(t, db)
	same, rolled, err := db.RollWindow(t.Context(), "acme", r.Window.End.Add(-time.Microsecond))
	if err != nil || rolled || same.Window != r.Window || same.Spent != 42*budget.Dollar || dump(t, db) != before {
		t.Errorf("before its end: %v, %+v, %v", rolled, same, err)
	}
	got, rolled, err := db.RollWindow(t.Context(), "acme", r.Window.End)
	want := budget.Window{Number: 2, Start: r.Window.End, End: t0.AddDate(0, 0, 60)}
	if err != nil || !rolled || got.Window != want || got.Spent != 0 {
		t.Errorf("at its end: %v, %+v, %v", rolled, got, err)
	}
	rows := windowsOf(t, db, "acme")
	if len(rows) != 2 || rows[1].Spent != 42*budget.Dollar || !rows[1].ClosedAt.Equal(r.Window.End) || !rows[0].ClosedAt.IsZero() {
		t.Errorf("%+v", rows)
	}
	if got.Revision != r.Revision {
		t.Error("a window that ends is no change that others could not see coming")
	}
	audit := auditRows(t, db, "acme")
	if last := audit[len(audit)-1]; last.Action != "budget_reset" || last.Actor != "pursestring" {
		t.Errorf("audit %+v", last)
	}
	if _, _, err := db.RollWindow(t.Context(), "nobody", t0); !errors.Is(err, budget.ErrNotFound) {
		t.Errorf("nobody's: %v", err)
	}
}

func testRollOverMany(t *testing.T, db *DB) {
	mustCreate(t, db, "acme")
	mustSave(t, db, "acme", 3, budget.Dollar) // of a time when the store could not be rolled
	now := t0.AddDate(0, 0, 30*6+5)
	got, rolled, err := db.RollWindow(t.Context(), "acme", now)
	want := budget.Window{Number: 7, Start: t0.AddDate(0, 0, 180), End: t0.AddDate(0, 0, 210)}
	if err != nil || !rolled || got.Window != want {
		t.Errorf("%v, %+v, %v", rolled, got.Window, err)
	}
	for _, w := range windowsOf(t, db, "acme") {
		if w.ClosedAt.IsZero() != (w.Number == 7) {
			t.Errorf("window %d closed at %s", w.Number, w.ClosedAt)
		}
	}
	if got := audits(t, db, "acme"); !reflect.DeepEqual(got, []string{"tenant_created", "budget_reset"}) {
		t.Errorf("one row for the whole absence: %v", got)
	}
}

func testRollAfterSpend(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme")
	mustSave(t, db, "acme", 2, 9*budget.Dollar) // settled in the next window before anybody closed this one
	got, rolled, err := db.RollWindow(t.Context(), "acme", r.Window.End.Add(time.Second))
	if err != nil || !rolled || got.Spent != 9*budget.Dollar {
		t.Errorf("%v, %+v, %v", rolled, got, err)
	}
	if w := windowsOf(t, db, "acme")[0]; w.Window != got.Window || w.Spent != 9*budget.Dollar {
		t.Errorf("%+v", w)
	}
}

func testRollRace(t *testing.T, db *DB) {
	r := mustCreate(t, db, "acme")
	const callers = 8
	won := make([]bool, callers)
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			got, rolled, err := db.RollWindow(t.Context(), "acme", r.Window.End)
			if err != nil || got.Window.Number != 2 {
				t.Errorf("%+v, %v", got.Window, err)
			}
			won[i] = rolled
		})
	}
	running.Wait()
	n := 0
	for _, w := range won {
		if w {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d callers rolled it", n)
	}
	if got := audits(t, db, "acme"); !reflect.DeepEqual(got, []string{"tenant_created", "budget_reset"}) {
		t.Errorf("audit %v", got)
	}
}

func testDue(t *testing.T, db *DB) {
	for id, period := range map[string]string{"hour": "1h", "day": "1d", "never": "", "week": "1w"} {
		n := newTenant(t, id)
		n.Rule.Period, n.Window = mustPeriod(t, period), budget.Window{}
		if _, err := db.CreateTenant(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		after time.Duration
		limit int
		want  []string
	}{
		{time.Hour - 1, 10, nil},
		{time.Hour, 10, []string{"hour"}},
		{100 * 24 * time.Hour, 10, []string{"hour", "day", "week"}},
		{100 * 24 * time.Hour, 2, []string{"hour", "day"}},
	} {
		got, err := db.DueTenants(t.Context(), t0.Add(c.after), c.limit)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("after %s: %v, %v, want %v", c.after, got, err, c.want)
		}
	}
}
