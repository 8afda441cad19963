package budget

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		t, err = time.Parse("2006-01-02", s)
	}
	if err != nil {
		panic(err)
	}
	return t
}

func period(s string) Period {
	p, err := ParsePeriod(s)
	if err != nil {
		panic(err)
	}
	return p
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestParsePeriod(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"30s", "5m", "12h", "30d", "2w", "1mo", "90d", "24h"} {
		if p, err := ParsePeriod(good); err != nil || p.IsZero() || p.String() != good {
			t.Errorf("%q: %v, %v", good, p, err)
		}
	}
	for word, want := range map[string]string{"hourly": "1h", "daily": "1d", "weekly": "1w", "monthly": "1mo"} {
		if p, err := ParsePeriod(word); err != nil || p.String() != want {
			t.Errorf("%q: %v, %v", word, p, err)
		}
	}
	if p, err := ParsePeriod(""); err != nil || !p.IsZero() {
		t.Errorf("the empty period: %v, %v", p, err)
	}
	for _, bad := range []string{"0d", "-1d", "30", "d", "1y", "1.5d", " 30d", "30D", "99999999999d", "1200000w", "1201mo", "30d30d", "٣d"} {
		if p, err := ParsePeriod(bad); err == nil {
			t.Errorf("%q was read as %v", bad, p)
		}
	}
}

func TestRuleNext(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	cases := []struct {
		says    string
		rule    Rule
		from    string
		want    []string // the boundaries that follow, one after the other
		aligned Alignment
	}{
		{"30d from the anchor, not from the 1st", Rule{Period: period("30d"), Anchor: at("2026-11-21 09:30:00")}, "2026-11-24",
			[]string{"2026-12-21 09:30:00", "2027-01-20 09:30:00"}, Anniversary},
		{"a month from the 31st is clamped to the month's end and comes back", Rule{Period: period("1mo"), Anchor: at("2027-01-31")}, "2027-01-31",
			[]string{"2027-02-28", "2027-03-31", "2027-04-30"}, Anniversary},
		{"in a leap year February has 29", Rule{Period: period("1mo"), Anchor: at("2028-01-31")}, "2028-02-01", []string{"2028-02-29"}, Anniversary},
		{"an anchor in the future counts backwards too", Rule{Period: period("30d"), Anchor: at("2027-06-01")}, "2027-04-03",
			[]string{"2027-05-02", "2027-06-01"}, Anniversary},
		{"hours run through", Rule{Period: period("30h"), Anchor: at("2026-11-24")}, "2026-11-24 01:00:00", []string{"2026-11-25 06:00:00", "2026-11-26 12:00:00"}, Anniversary},
		{"calendar days begin at local midnight", Rule{Period: period("1d"), Zone: berlin}, "2026-11-24 22:59:59", []string{"2026-11-24 23:00:00"}, Calendar},
		{"also over the end of summer time", Rule{Period: period("1d"), Zone: berlin}, "2026-10-24 22:00:00", []string{"2026-10-25 23:00:00"}, Calendar},
		{"and its beginning", Rule{Period: period("1d"), Zone: berlin}, "2026-03-28 23:00:00", []string{"2026-03-29 22:00:00"}, Calendar},
		{"calendar weeks begin on Monday", Rule{Period: period("1w")}, "2026-11-24", []string{"2026-11-30", "2026-12-07"}, Calendar},
		{"calendar months on the 1st", Rule{Period: period("1mo")}, "2026-11-24", []string{"2026-12-01", "2027-01-01"}, Calendar},
		{"days from an anchor keep their local hour", Rule{Period: period("1d"), Anchor: at("2026-10-20 10:00:00"), Zone: berlin}, "2026-10-25 10:00:00",
			[]string{"2026-10-25 11:00:00"}, Anniversary},
	}
	for _, c := range cases {
		c.rule.Alignment = c.aligned
		from := at(c.from)
		for _, want := range c.want {
			got := c.rule.Next(from)
			if !got.Equal(at(want)) {
				t.Errorf("%s: after %v comes %v, want %v", c.says, from, got, want)
			}
			from = got
		}
	}
	if !(Rule{}).Next(at("2026-01-01")).IsZero() {
		t.Error("a period that never ends has no boundary")
	}
}

// Boundaries rise strictly, and Next lands on the first one after any instant
// between two of them.
func TestRuleNextIsTheFirstBoundary(t *testing.T) {
	t.Parallel()
	zones := []*time.Location{nil, zone(t, "Europe/Berlin"), zone(t, "America/St_Johns"), zone(t, "Pacific/Apia")}
	rapid.Check(t, func(t *rapid.T) {
		r := Rule{
			Period:    period(rapid.SampledFrom([]string{"7s", "5m", "30h", "1d", "30d", "1w", "2w", "1mo", "5mo", "12mo"}).Draw(t, "period")),
			Anchor:    time.Unix(rapid.Int64Range(1.5e9, 2e9).Draw(t, "anchor"), 0).UTC(),
			Alignment: rapid.SampledFrom([]Alignment{Anniversary, Calendar}).Draw(t, "alignment"),
			Zone:      rapid.SampledFrom(zones).Draw(t, "zone"),
		}
		from := time.Unix(rapid.Int64Range(1.5e9, 2e9).Draw(t, "from"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		first := r.Next(from)
		if !first.After(from) {
			t.Fatalf("%v is not after %v", first, from)
		}
		second := r.Next(first)
		gap := second.Sub(first)
		if gap <= 0 {
			t.Fatalf("%v then %v", first, second)
		}
		between := first.Add(time.Duration(rapid.Int64Range(0, int64(gap)-1).Draw(t, "between")))
		if got := r.Next(between); !got.Equal(second) {
			t.Fatalf("after %v comes %v, want %v", between, got, second)
		}
		if got := r.Next(first.Add(-1)); !got.Equal(first) {
			t.Fatalf("a nano-second before %v the next is %v", first, got)
		}
	})
}

func TestWindowAt(t *testing.T) {
	t.Parallel()
	rule := Rule{Period: period("30d"), Anchor: at("2026-01-01")}
	w := Window{Number: 3, Start: at("2026-03-02"), End: at("2026-04-01")}
	for _, c := range []struct {
		says, now string
		number    int64
		end       string
	}{
		{"inside", "2026-03-15", 3, "2026-04-01"},
		{"the end belongs to the next", "2026-04-01", 4, "2026-05-01"},
		{"three windows missed", "2026-06-30 00:00:01", 7, "2026-07-30"},
		{"a clock that steps back reopens nothing", "2020-01-01", 3, "2026-04-01"},
	} {
		got := w.At(at(c.now), rule)
		if got.Number != c.number || !got.End.Equal(at(c.end)) {
			t.Errorf("%s: %+v, want number %d to %s", c.says, got, c.number, c.end)
		}
	}
	never := Window{Number: 1, Start: at("2026-01-01")}
	if got := never.At(at("2100-01-01"), Rule{}); got != never {
		t.Errorf("a window without an end moved to %+v", got)
	}
	second := Window{Number: 1, Start: at("2026-01-01"), End: at("2026-01-01 00:00:01")}
	got := second.At(at("2036-01-01"), Rule{Period: period("1s"), Anchor: at("2026-01-01")})
	if want := int64(at("2036-01-01").Sub(at("2026-01-01"))/time.Second) + 1; got.Number != want || !got.End.Equal(at("2036-01-01 00:00:01")) {
		t.Errorf("ten years of seconds: %+v, want number %d", got, want)
	}
}

// However a stretch of time is walked, in one step or in many, it ends in the
// same window: replicas that look at different moments agree.
func TestWindowAtAgrees(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := Rule{Period: period(rapid.SampledFrom([]string{"37s", "5m", "1d", "1mo", "1w"}).Draw(t, "period")), Anchor: at("2026-01-31 10:00:00"),
			Alignment: rapid.SampledFrom([]Alignment{Anniversary, Calendar}).Draw(t, "alignment")}
		start := at("2026-02-03 11:12:13")
		w := Window{Number: 1, Start: start, End: r.Next(start)}
		stepped, now := w, start
		for range rapid.IntRange(1, 20).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(40*24*time.Hour)).Draw(t, "step")))
			stepped = stepped.At(now, r)
		}
		if direct := w.At(now, r); direct != stepped {
			t.Fatalf("at %v: %+v directly, %+v in steps", now, direct, stepped)
		}
	})
}

func TestWindowRestartAndReruled(t *testing.T) {
	t.Parallel()
	rule := Rule{Period: period("30d"), Anchor: at("2026-11-21")}
	w := Window{Number: 4, Start: at("2026-11-21"), End: at("2026-12-21")}
	if got := w.Restart(at("2026-11-24"), rule); got.Number != 5 || !got.Start.Equal(at("2026-11-24")) || !got.End.Equal(at("2026-12-21")) {
		t.Errorf("a reset opened %+v", got)
	}
	rule.Period = period("29d")
	if got := w.Reruled(at("2026-11-24"), rule); got.Number != 4 || !got.Start.Equal(w.Start) || !got.End.Equal(at("2026-12-20")) {
		t.Errorf("a new duration made %+v, want the same window to 20 December", got)
	}
}
