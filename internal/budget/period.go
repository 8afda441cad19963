package budget

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Period is how long one window of a budget lasts: a number of seconds, or a
// number of calendar months. The zero Period never ends. The spellings are
// LiteLLM's (30s, 5m, 12h, 30d, 2w, 1mo), the meaning is ours: 30d is thirty
// days from the anchor, not the first of the month.
type Period struct {
	seconds int64
	months  int
	text    string
}

var periodForm = regexp.MustCompile(`^([1-9][0-9]{0,8})(mo|[smhdw])$`)

// longestPeriod keeps every boundary far inside what time.Time can add.
const longestPeriod = 100 * 366 * 24 * time.Hour

// ParsePeriod reads Ns, Nm, Nh, Nd, Nw or Nmo with N ≥ 1 and at most a hundred
// years, or LiteLLM's words hourly, daily, weekly and monthly. The empty string
// is the zero Period.
func ParsePeriod(s string) (Period, error) {
	switch s {
	case "":
		return Period{}, nil
	case "hourly":
		s = "1h"
	case "daily":
		s = "1d"
	case "weekly":
		s = "1w"
	case "monthly":
		s = "1mo"
	}
	m := periodForm.FindStringSubmatch(s)
	if m == nil {
		return Period{}, fmt.Errorf("budget duration %q is not a number with s, m, h, d, w or mo, such as 30d or 1mo", clip(s))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return Period{}, fmt.Errorf("budget duration %q: %w", clip(s), err)
	}
	p := Period{text: s}
	if m[2] == "mo" {
		if n > 1200 {
			return Period{}, fmt.Errorf("budget duration %q is longer than a hundred years", s)
		}
		p.months = int(n)
		return p, nil
	}
	unit := map[string]int64{"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}[m[2]]
	if n > int64(longestPeriod/time.Second)/unit {
		return Period{}, fmt.Errorf("budget duration %q is longer than a hundred years", s)
	}
	p.seconds = n * unit
	return p, nil
}

// IsZero reports whether the period never ends.
func (p Period) IsZero() bool { return p.seconds == 0 && p.months == 0 }

// String returns the period as it was written; "" never ends.
func (p Period) String() string { return p.text }

// Alignment says where windows begin.
type Alignment string

// Alignments. The empty Alignment is Anniversary.
const (
	// Anniversary repeats from the tenant's anchor.
	Anniversary Alignment = "anniversary"
	// Calendar begins whole days at local midnight, whole weeks on Monday,
	// whole months on the 1st; other periods repeat from the anchor.
	Calendar Alignment = "calendar"
)

// Rule says when windows begin and end. Two replicas with the same Rule compute
// the same boundaries.
type Rule struct {
	Period    Period
	Anchor    time.Time      // a boundary; UTC
	Alignment Alignment      // empty: Anniversary
	Zone      *time.Location // nil: UTC; days, weeks and months are local to it
}

// Next returns the first boundary after t, in UTC, or the zero time when the
// period never ends.
func (r Rule) Next(t time.Time) time.Time {
	p := r.Period
	switch {
	case p.IsZero():
		return time.Time{}
	case r.Alignment == Calendar && p.months > 0:
		return r.nextMonths(t, time.Date(2000, 1, 1, 0, 0, 0, 0, r.zone()))
	case r.Alignment == Calendar && p.seconds%(7*86400) == 0:
		return r.nextDays(t, time.Date(2000, 1, 3, 0, 0, 0, 0, r.zone())) // a Monday
	case r.Alignment == Calendar && p.seconds%86400 == 0:
		return r.nextDays(t, time.Date(2000, 1, 1, 0, 0, 0, 0, r.zone()))
	case p.months > 0:
		return r.nextMonths(t, r.Anchor.In(r.zone()))
	case p.seconds%86400 == 0:
		return r.nextDays(t, r.Anchor.In(r.zone()))
	default:
		return r.nextSeconds(t)
	}
}

func (r Rule) zone() *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return r.Zone
}

func (r Rule) nextSeconds(t time.Time) time.Time {
	n := floorDiv(t.Unix()-r.Anchor.Unix(), r.Period.seconds)
	at := func(n int64) time.Time {
		return time.Unix(r.Anchor.Unix()+n*r.Period.seconds, int64(r.Anchor.Nanosecond())).UTC()
	}
	return firstAfter(t, n, at)
}

// nextDays counts calendar days, so that a day with 23 or 25 hours moves no
// boundary off its local time.
func (r Rule) nextDays(t, base time.Time) time.Time {
	days := int(r.Period.seconds / 86400)
	n := floorDiv(t.Unix()-base.Unix(), r.Period.seconds)
	at := func(n int64) time.Time { return base.AddDate(0, 0, int(n)*days).UTC() }
	return firstAfter(t, n-1, at)
}

func (r Rule) nextMonths(t, base time.Time) time.Time {
	local := t.In(base.Location())
	months := (local.Year()-base.Year())*12 + int(local.Month()) - int(base.Month())
	n := floorDiv(int64(months), int64(r.Period.months))
	at := func(n int64) time.Time { return addMonths(base, int(n)*r.Period.months).UTC() }
	return firstAfter(t, n-1, at)
}

// firstAfter returns the first at(n), at(n+1), … after t. Callers start within a
// few steps below the answer.
func firstAfter(t time.Time, n int64, at func(int64) time.Time) time.Time {
	for {
		if b := at(n); b.After(t) {
			return b
		}
		n++
	}
}

// addMonths adds months to base, clamped to the month's last day: a month after
// 31 January is 28 or 29 February, two months after it is 31 March.
func addMonths(base time.Time, months int) time.Time {
	y, m, d := base.Date()
	first := time.Date(y, m+time.Month(months), 1, 0, 0, 0, 0, base.Location())
	if last := first.AddDate(0, 1, -1).Day(); d > last {
		d = last
	}
	return time.Date(first.Year(), first.Month(), d, base.Hour(), base.Minute(), base.Second(), base.Nanosecond(), base.Location())
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// Window is one concrete, numbered stretch of a period: [Start, End). A zero End
// never comes.
type Window struct {
	Number int64     `json:"number"` // from 1, rising by one at each boundary and each reset
	Start  time.Time `json:"start"`
	End    time.Time `json:"end,omitzero"`
}

// mostBoundaries bounds the walk over windows missed while everything was down.
const mostBoundaries = 1_000_000

// At returns the window that holds t, given that w once did: w itself before its
// end, else the window reached by the boundaries of r that have passed since. A
// clock that steps back never reopens a window.
func (w Window) At(t time.Time, r Rule) Window {
	if w.End.IsZero() || t.Before(w.End) {
		return w
	}
	if skip := r.fixedBoundaries(w.End, t); skip > 0 {
		w.Number += skip
		w.End = w.End.Add(time.Duration(skip) * time.Duration(r.Period.seconds) * time.Second)
	}
	for range mostBoundaries {
		w = Window{Number: w.Number + 1, Start: w.End, End: r.Next(w.End)}
		if w.End.IsZero() || t.Before(w.End) {
			return w
		}
	}
	return Window{Number: w.Number + 1, Start: t, End: r.Next(t)}
}

// fixedBoundaries counts the whole periods between two instants that can be
// skipped at once, for periods of a fixed length; the walk does the rest.
func (r Rule) fixedBoundaries(from, to time.Time) int64 {
	if r.Period.seconds == 0 || r.Period.seconds%86400 == 0 || !r.Next(from.Add(-1)).Equal(from) {
		return 0
	}
	return max(0, (to.Unix()-from.Unix())/r.Period.seconds-1)
}

// Restart returns the window that a reset at t opens: the next number, ending at
// the rule's first boundary after t.
func (w Window) Restart(t time.Time, r Rule) Window {
	return Window{Number: w.Number + 1, Start: t.UTC(), End: r.Next(t)}
}

// Reruled returns w under a new rule: the number and the start stay, the end
// becomes the new rule's first boundary after t.
func (w Window) Reruled(t time.Time, r Rule) Window {
	return Window{Number: w.Number, Start: w.Start, End: r.Next(t)}
}
