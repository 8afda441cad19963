package proxy

import (
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// Headers that tell a caller about its budget.
const (
	headerState     = "x-budget-state"
	headerMode      = "x-budget-mode"
	headerLimit     = "x-budget-limit-usd"
	headerSpend     = "x-budget-spend-usd"
	headerRemaining = "x-budget-remaining-usd"
	headerReset     = "x-budget-reset"
	headerCost      = "x-budget-cost-usd"
)

// appendBudget writes the account into the answer's head.
func (x *exchange) appendBudget(s *enforce.Status) {
	var buf [40]byte
	if s.State != "" {
		x.addHeader(headerState, append(buf[:0], s.State...))
	}
	if x.decision.Mode == budget.Shadow {
		x.addHeader(headerMode, append(buf[:0], budget.Shadow...))
	}
	if !s.Known { // its figures are of a credential, under the defaults
		return
	}
	if !x.s.o.HideAmounts {
		x.appendAmounts(s)
	}
	if !s.Window.End.IsZero() {
		x.addHeader(headerReset, s.Window.End.UTC().AppendFormat(buf[:0], time.RFC3339))
	}
}

// appendAmounts writes the dollars.
func (x *exchange) appendAmounts(s *enforce.Status) {
	var buf [40]byte
	x.addHeader(headerSpend, s.Spent.AppendDecimal(buf[:0]))
	if s.Points.Limit > 0 || !s.Points.Unlimited {
		x.addHeader(headerLimit, s.Points.Limit.AppendDecimal(buf[:0]))
		x.addHeader(headerRemaining, s.Remaining().AppendDecimal(buf[:0]))
	}
}

func (x *exchange) addHeader(name string, value []byte) {
	x.ctx.Response.Header.SetBytesV(name, value)
}
