// Package ledger holds the live counters: what each window has spent and what
// the calls in flight may still cost.
//
// A Ledger answers one question in one atomic step, Hold: does this call still
// fit? Every hold then ends exactly once, by Settle, by Release, or by its
// deadline. Memory is the ledger of one process.
package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// ErrUnavailable reports that the counters are out of reach. The caller goes on
// by what it knows; it is never a refusal.
var ErrUnavailable = errors.New("ledger unavailable")

// Ledger keeps accounts and the holds on them. Every method is safe for
// concurrent use, and those without an error cannot block.
type Ledger interface {
	// Open makes an account with what is known to be spent. An account that is
	// already there keeps its own figure, which is newer.
	Open(k Key, spent budget.Money)
	// Hold judges a call and, when it goes, adds it to the calls in flight: one
	// atomic step. An account that was never opened begins at 0. It fails only
	// with ErrUnavailable.
	Hold(ctx context.Context, r Request) (Held, error)
	// Settle ends a hold with what the call cost (≥ 0), in the account that
	// admitted it, and reports false when the hold had ended before: then nothing
	// changes. The totals are those afterwards.
	Settle(h Hold, cost budget.Money) (Settled, bool)
	// Release ends a hold whose call never reached the upstream.
	Release(h Hold) bool
	// Renew moves a hold's deadline.
	Renew(h Hold, deadline time.Time)
	// Totals returns an account's sums, and false when there is no such account.
	Totals(k Key) (Totals, bool)
	// Move adds what from has spent to to, at once and for every hold that is
	// still open on from, and returns the amount moved now. from is gone when its
	// last hold has ended.
	Move(from, to Key) budget.Money
	// Flush hands every account that has changed since the last Flush to save, as
	// absolute totals. When save fails they count as changed again.
	Flush(save func([]Balance) error) error
	// Expire settles, at their mean, the holds whose deadline is before now, and
	// returns them.
	Expire(now time.Time) []Expired
	// Forget drops the accounts of windows that a later one of the same owner has
	// followed and that have nothing in flight and nothing unsaved. It returns how
	// many.
	Forget() int
	// Size counts accounts and open holds.
	Size() (accounts, holds int)
}

// Key names one account: what one owner spends in one numbered window.
type Key struct {
	Owner  string // tenant id, or what the caller uses for spend without a tenant
	Window int64
}

// Lines are what a call must stay under, as the policy says at this moment.
type Lines struct {
	Block     budget.Money // the block point
	Overshoot budget.Money // how far past it the worst case may come, ≥ 0
	Unlimited bool         // nothing is refused; only counted
}

// Request asks for one hold.
type Request struct {
	Account  Key
	Lines    Lines
	Estimate budget.Estimate
	Deadline time.Time // when a hold that nobody ends is settled at its mean
	// Force holds whatever the judgement is: for calls that go all the same
	// (shadow mode, exempt, free). The outcome still says what would have been.
	Force bool
	// Ephemeral makes an account that is forgotten as soon as nothing is in flight
	// and nothing was spent: for owners that anybody can make up.
	Ephemeral bool
}

// Held is the answer to a Request.
type Held struct {
	Hold    Hold // zero when the call does not go
	Outcome Outcome
	Totals  Totals // at the moment of the judgement, without the call itself
}

// Outcome is what Hold decided.
type Outcome uint8

// Outcomes.
const (
	Went     Outcome = iota // fits beside the calls in flight
	WentLast                // nothing else was in flight and money was left
	Busy                    // fits the budget, but not beside the calls in flight
	TooLarge                // would not fit even alone, and no overshoot is allowed
	Over                    // spent ≥ block point
)

// Goes reports whether a call with this outcome is let through.
func (o Outcome) Goes() bool { return o == Went || o == WentLast }

// Totals are an account's sums at one moment.
type Totals struct {
	Spent    budget.Money // settled
	Mean     budget.Money // Σ mean of the calls in flight
	Worst    budget.Money // Σ worst case of the calls in flight
	Risk     budget.Money // what the calls in flight are expected to stay under together
	InFlight int
}

// Hold is one call in flight. The zero Hold is none: ending it does nothing.
type Hold struct{ id uint64 }

// IsZero reports whether h holds nothing.
func (h Hold) IsZero() bool { return h.id == 0 }

// Settled is an account just after a settlement.
type Settled struct {
	Account Key
	Totals  Totals
}

// Balance is what an account has spent, as an absolute figure.
type Balance struct {
	Account Key
	Spent   budget.Money
}

// Expired is a hold that nobody ended.
type Expired struct {
	Account Key
	Cost    budget.Money // its mean, at which it was settled
}
