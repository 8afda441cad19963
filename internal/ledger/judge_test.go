package ledger

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/pursestring/pursestring/internal/budget"
)

func dollars(f float64) budget.Money {
	m, _ := budget.USD(f)
	return m
}

func estimate(mean, worst, sd float64) budget.Estimate {
	return budget.Estimate{Mean: dollars(mean), Worst: dollars(worst), StdDev: sd}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	line := Lines{Block: dollars(110), Overshoot: dollars(100)}
	strict := Lines{Block: dollars(110)}
	busy := sums{spent: dollars(50), mean: dollars(40), worst: dollars(80), variance: 25, inFlight: 4}
	cases := []struct {
		says string
		l    Lines
		s    sums
		e    budget.Estimate
		want Outcome
	}{
		{"a first call with money left goes", line, sums{}, estimate(1, 2, 0.5), Went},
		{"at the block point everything is over", line, sums{spent: dollars(110)}, estimate(0, 0, 0), Over},
		{"a nano-dollar below it, alone, a call goes as the last", line, sums{spent: dollars(110) - 1}, estimate(1, 2, 0), WentLast},
		{"risk beside the calls in flight makes it busy: 50+45+3σ", line, busy, estimate(5, 10, 5), Busy},
		{"less risk fits: 50+41+15", line, busy, estimate(1, 1, 0), Went},
		{"worst cases count against block point and overshoot", line, sums{spent: dollars(50), worst: dollars(155), mean: 1, inFlight: 9}, estimate(0.1, 6, 0), Busy},
		{"and fit up to it", line, sums{spent: dollars(50), worst: dollars(155), mean: 1, inFlight: 9}, estimate(0.1, 5, 0), Went},
		{"without overshoot a worst case above what is left is too large, alone", strict, sums{spent: dollars(100)}, estimate(1, 11, 0), TooLarge},
		{"and beside others", strict, sums{spent: dollars(100), inFlight: 1, worst: 1, mean: 1}, estimate(1, 11, 0), TooLarge},
		{"without overshoot what fits exactly goes", strict, sums{spent: dollars(100)}, estimate(1, 10, 0), Went},
		{"without overshoot what fits alone but not beside others is busy", strict, sums{spent: dollars(100), worst: dollars(5), mean: dollars(1), inFlight: 1}, estimate(1, 10, 0), Busy},
		{"unlimited never refuses", Lines{Unlimited: true}, sums{spent: dollars(1e9)}, estimate(1e6, 1e6, 0), Went},
		{"a block point of 0 is over from the start", Lines{Overshoot: dollars(100)}, sums{}, estimate(1, 1, 0), Over},
		{"sums saturate instead of wrapping", line, sums{worst: budget.MaxMoney, mean: 1, inFlight: 1}, estimate(1, 1e12, 0), Busy},
		{"an endless deviation counts as the worst case", line, sums{}, budget.Estimate{Mean: dollars(1), Worst: dollars(2), StdDev: math.Inf(1)}, Went},
	}
	for _, c := range cases {
		if got := judge(c.l, c.s, c.e); got != c.want {
			t.Errorf("%s: got %d, want %d", c.says, got, c.want)
		}
	}
}

// The bound in judge's comment, for any order of calls whose worst case is right.
func TestJudgeBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := Lines{
			Block:     budget.Money(rapid.Int64Range(0, 1000).Draw(t, "block")),
			Overshoot: budget.Money(rapid.Int64Range(0, 500).Draw(t, "overshoot")),
		}
		var s sums
		var open []budget.Estimate
		largest := budget.Money(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "settle") {
				e := open[0]
				open = open[1:]
				s = s.without(e)
				s.spent += budget.Money(rapid.Int64Range(0, int64(e.Worst)).Draw(t, "cost"))
			} else {
				worst := rapid.Int64Range(0, 400).Draw(t, "worst")
				e := budget.Estimate{
					Worst:  budget.Money(worst),
					Mean:   budget.Money(rapid.Int64Range(0, worst).Draw(t, "mean")),
					StdDev: rapid.Float64Range(0, 1e-7).Draw(t, "sd"),
				}
				if judge(l, s, e).Goes() {
					s, open, largest = s.with(e), append(open, e), max(largest, e.Worst)
				}
			}
			bound := l.Block + max(l.Overshoot, largest)
			if l.Overshoot == 0 {
				bound = l.Block
			}
			if s.spent > bound {
				t.Fatalf("spent %d passed %d (block %d, overshoot %d, largest %d)", s.spent, bound, l.Block, l.Overshoot, largest)
			}
		}
	})
}
