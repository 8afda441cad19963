// Package ledger holds the live counters: what each window has spent and what
// the calls in flight may still cost.
//
// A Ledger answers one question in one atomic step, Hold: does this call still
// fit? Every hold then ends exactly once, by Settle, by Release, or by its
// deadline. Memory is the ledger of one process.
package ledger

import (
	"errors"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// ErrUnavailable reports that the counters are out of reach. The caller goes on
// by what it knows; it is never a refusal.
var ErrUnavailable = errors.New("ledger unavailable")

// Key names one account: what one owner spends in one numbered window.
type Key struct {
	Owner  string // tenant id, or "key:<hash>" while the tenant is unknown
	Window int64
}

// Lines are what a call must stay under, as the policy says at this moment.
type Lines struct {
	Block     budget.Money // the block point
	Overshoot budget.Money // how far past it the worst case may come
	Unlimited bool         // nothing is refused; only counted
}

// Request asks for one hold.
type Request struct {
	Account  Key
	Lines    Lines
	Estimate budget.Estimate
	Deadline time.Time // when a hold that nobody ends is settled at its mean
	Force    bool      // hold whatever the lines say (shadow, fail-open, exempt)
}

// Outcome is what Hold decided.
type Outcome uint8

// Outcomes.
const (
	Went     Outcome = iota // fits beside the calls in flight
	WentLast                // nothing else was in flight and money was left
	Busy                    // fits the budget, but not beside the calls in flight
	TooLarge                // would not fit even alone, and overshoot is 0
	Over                    // spent ≥ block point
)

// Totals are an account's sums at one moment.
type Totals struct {
	Spent    budget.Money // settled
	Mean     budget.Money // Σ mean of the calls in flight
	Worst    budget.Money // Σ worst case of the calls in flight
	Risk     budget.Money // mean + 3σ of the calls in flight together, at most Worst
	InFlight int
}

// Hold is one call in flight. The zero Hold is none: ending it does nothing.
type Hold struct{ id uint64 }

// IsZero reports whether h holds nothing.
func (h Hold) IsZero() bool { return h.id == 0 }
