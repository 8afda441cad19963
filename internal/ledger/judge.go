package ledger

import (
	"math"

	"github.com/pursestring/pursestring/internal/budget"
)

// riskFactor is how many standard deviations beyond their mean the calls in
// flight are expected to stay under together.
const riskFactor = 3

// sums are an account's calls in flight, taken together. Variances add up while
// standard deviations do not: that is why many calls side by side need far less
// set aside than each of them alone.
type sums struct {
	spent, mean, worst budget.Money
	variance           float64 // dollars²
	inFlight           int
}

// with returns the sums with one more call in flight.
func (s sums) with(e budget.Estimate) sums {
	s.mean = s.mean.Add(e.Mean)
	s.worst = s.worst.Add(e.Worst)
	s.variance += e.StdDev * e.StdDev
	s.inFlight++
	return s
}

// without returns the sums with one call less. An account with nothing in flight
// starts again at exactly 0, so rounding cannot add up.
func (s sums) without(e budget.Estimate) sums {
	s.inFlight--
	if s.inFlight <= 0 {
		return sums{spent: s.spent}
	}
	s.mean = max(0, s.mean.Sub(e.Mean))
	s.worst = max(0, s.worst.Sub(e.Worst))
	s.variance = max(0, s.variance-e.StdDev*e.StdDev)
	return s
}

// risk is mean + 3σ of the calls in flight, rounded up, at most their worst case.
func (s sums) risk() budget.Money {
	if s.variance == 0 {
		return min(s.mean, s.worst)
	}
	return min(s.mean.Add(budget.USDUp(riskFactor*math.Sqrt(s.variance))), s.worst)
}

func (s sums) totals() Totals {
	return Totals{Spent: s.spent, Mean: s.mean, Worst: s.worst, Risk: s.risk(), InFlight: s.inFlight}
}

// judge says whether one more call fits. Two lines must hold for all calls in
// flight together with it:
//
//	spent + risk  ≤ block point                  what they will probably cost
//	spent + worst ≤ block point + overshoot      what they could cost at the very most
//
// A call that fits neither goes all the same when it is alone and money is left:
// the last call, which passes the line by itself or not at all. So, as far as
// worst cases are right, spent ≤ block point + max(overshoot, one worst case) at
// all times: every call but a last one was admitted under the second line, and a
// last one starts below the block point with nothing beside it. With an overshoot
// of 0 there is no last call, and a call that could not fit even alone is told so
// at once, since waiting only makes less room.
func judge(l Lines, s sums, e budget.Estimate) Outcome {
	if l.Unlimited {
		return Went
	}
	if s.spent >= l.Block {
		return Over
	}
	if l.Overshoot <= 0 && s.spent.Add(e.Worst) > l.Block {
		return TooLarge
	}
	together := s.with(e)
	if together.spent.Add(together.risk()) <= l.Block &&
		together.spent.Add(together.worst) <= l.Block.Add(l.Overshoot) {
		return Went
	}
	if s.inFlight > 0 {
		return Busy
	}
	return WentLast
}
