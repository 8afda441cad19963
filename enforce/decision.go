package enforce

import (
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
)

// CredentialKind says what a caller sent.
type CredentialKind uint8

// Credential kinds.
const (
	NoCredential    CredentialKind = iota // nothing, or nothing that LiteLLM would read there
	VirtualKey                            // sk-…
	OtherCredential                       // a session token, a JWT, or whatever custom_auth takes
)

// Ask is one call that wants to go.
type Ask struct {
	Key  budget.KeyHash // of the credential that LiteLLM will charge; zero for NoCredential
	Kind CredentialKind
	// Credential is what Key hashes, used for one thing only: to look the key up
	// at LiteLLM with its own authority when its tenant is not known. Admit copies
	// it when it must outlive the call.
	Credential []byte
	Estimate   budget.Estimate
	// Free: the call cannot cost anything (explicit zero price), so it passes
	// also over the block point. It is held and settled all the same.
	Free bool
}

// Decision is the answer to one Ask. It is a value.
type Decision struct {
	Verdict budget.Verdict
	Reason  budget.Reason
	Mode    budget.Mode
	// Hold must be ended by exactly one Settle or Release. Zero when the call was
	// refused.
	Hold ledger.Hold
	// Status is the account at the moment of the decision.
	Status Status
}

// Goes reports whether the call may be sent.
func (d *Decision) Goes() bool { return d.Verdict != budget.Block }

// Status is what a caller is told about its budget: spend in one window against
// the lines of that moment. Amounts of an unlimited tenant's lines are 0.
type Status struct {
	TenantID       string // empty: not known
	State          budget.State
	Points         budget.Points
	GraceThreshold int
	Spent          budget.Money // settled
	Held           budget.Money // Σ worst case in flight
	Risk           budget.Money // mean + 3σ in flight
	InFlight       int
	Window         budget.Window
	OverrideID     int64 // 0: none active
	OverrideUntil  time.Time
	Revision       int64
}

// Remaining is what is left to the block point, by settled spend; never negative.
func (s *Status) Remaining() budget.Money { return max(0, s.Points.Block.Sub(s.Spent)) }

// Settlement is what a call turned out to cost.
type Settlement struct {
	Cost       budget.Money // ≥ 0
	Provenance budget.Provenance
	// Accepted: LiteLLM took the credential (it answered with anything but a
	// refusal of the key itself). Only then may an unseen key get a tenant.
	Accepted bool
}
