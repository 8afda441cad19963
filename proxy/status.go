package proxy

import (
	"encoding/json"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// isOwnStatus: GET /v1/budget, by which the holder of a key sees its budget.
func isOwnStatus(h *requestHead) bool {
	return string(h.path) == "/v1/budget" && string(h.method) == "GET"
}

// ownStatus is what the holder of a key sees. Amounts are dollars.
type ownStatus struct {
	TenantID      string        `json:"tenant_id"`
	State         budget.State  `json:"state"`
	Spend         budget.Money  `json:"spend_usd"`
	Held          budget.Money  `json:"held_usd"`
	Limit         *budget.Money `json:"limit_usd"` // null: no limit
	Alert         *budget.Money `json:"alert_usd"`
	Block         *budget.Money `json:"block_usd"`
	Remaining     *budget.Money `json:"remaining_usd"` // to the block point
	Percentage    *float64      `json:"percentage"`    // of the limit
	Window        budget.Window `json:"window"`
	ResetsAt      time.Time     `json:"resets_at,omitzero"`
	OverrideUntil time.Time     `json:"override_until,omitzero"`
}

// answerStatus answers GET /v1/budget from what enforce knows about the caller's
// own key, and about no other. It returns false: the request has been answered.
func (x *exchange) answerStatus() bool {
	if x.ask.Kind == enforce.NoCredential {
		return x.fail(troubleNoCredential)
	}
	s, ok := x.s.enforcer.StatusOf(x.s.ctx, x.ask.Key)
	if !ok {
		return x.fail(troubleUnknownKey)
	}
	body, err := json.Marshal(statusFor(&s))
	if err != nil {
		panic("BUG: budget status does not encode")
	}
	x.reply(answer{status: 200, body: append(body, '\n'), headers: []field{
		{name: []byte("Content-Type"), value: []byte("application/json")},
		{name: []byte("Cache-Control"), value: []byte("no-store")},
	}})
	return false
}

func statusFor(s *enforce.Status) ownStatus {
	out := ownStatus{
		TenantID: s.TenantID, State: s.State, Spend: s.Spent, Held: s.Held, Window: s.Window,
		ResetsAt: s.Window.End, OverrideUntil: s.OverrideUntil,
	}
	if p := &s.Points; p.Limit > 0 || !p.Unlimited {
		remaining := s.Remaining()
		out.Limit, out.Alert, out.Block, out.Remaining = &p.Limit, &p.Alert, &p.Block, &remaining
		if p.Limit > 0 {
			percent := 100 * s.Spent.Float() / p.Limit.Float()
			out.Percentage = &percent
		}
	}
	return out
}
