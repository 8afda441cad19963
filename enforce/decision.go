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

// Decision is the answer to one Ask. It is a value; whoever holds it ends it by
// exactly one Settle or Release.
type Decision struct {
	Verdict budget.Verdict
	Reason  budget.Reason
	Mode    budget.Mode
	// Hold is zero when the call was refused, or when the ledger was out of reach.
	Hold ledger.Hold
	// Status is the account at the moment of the decision, and after a settlement
	// the account as it stands then.
	Status Status

	exempt bool        // the master key's
	origin *unresolved // the credential, when its tenant is not known
}

// unresolved is a credential without a tenant, kept in memory from the decision
// until the call has shown whether LiteLLM accepts it.
type unresolved struct {
	hash       budget.KeyHash
	credential string
}

// Goes reports whether the call may be sent.
func (d *Decision) Goes() bool { return d.Verdict != budget.Block }

// Status is what a caller is told about its budget: spend in one window against
// the lines of that moment. Amounts of an unlimited tenant's lines are 0.
type Status struct {
	TenantID       string // of an unknown tenant: "key:" and the first twelve digits of the key's hash
	Known          bool   // the tenant is known
	State          budget.State
	Points         budget.Points
	GraceThreshold int          // percent
	Spent          budget.Money // settled
	Held           budget.Money // Σ worst case in flight
	Risk           budget.Money // what the calls in flight will probably stay under
	InFlight       int
	Window         budget.Window
	OverrideID     int64     // 0: none active
	OverrideUntil  time.Time // zero: none active
	Revision       int64
}

// Remaining is what is left to the block point, by settled spend; never negative.
func (s *Status) Remaining() budget.Money { return max(0, s.Points.Block.Sub(s.Spent)) }

// count fills in an account's sums and the state that follows from them.
func (s *Status) count(t ledger.Totals) {
	s.Spent, s.Held, s.Risk, s.InFlight = t.Spent, t.Worst, t.Risk, t.InFlight
	s.State = s.Points.State(t.Spent)
}

// Settlement is what a call turned out to cost.
type Settlement struct {
	Cost       budget.Money // ≥ 0
	Provenance budget.Provenance
	// Accepted: LiteLLM took the credential (it answered with anything but a
	// refusal of the key itself). Only then may an unseen key get a tenant.
	Accepted bool
}
