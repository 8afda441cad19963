package budget

import "time"

// Verdict is what happens to a call.
type Verdict string

// Verdicts.
const (
	Allow       Verdict = "allow"
	Block       Verdict = "block"
	FailOpen    Verdict = "fail_open" // could not tell, so it passes
	ShadowBlock Verdict = "shadow_block"
	ShadowWait  Verdict = "shadow_wait"
)

// Reason says why. The list is closed: reasons are metric labels.
type Reason string

// Reasons.
const (
	WithinBudget   Reason = "within_budget"
	LastCall       Reason = "last_call"       // nothing in flight and money left: goes, though it may pass the line by itself
	Unlimited      Reason = "unlimited"       // no max_budget
	OverrideActive Reason = "override_active" // enforcement switched off for a while
	Costless       Reason = "costless"        // the route or the model costs nothing
	MasterKey      Reason = "master_key"      // exempt, counted
	UnknownTenant  Reason = "unknown_tenant"  // the key's tenant is not known (yet)
	StoreDown      Reason = "store_unavailable"
	LedgerDown     Reason = "ledger_unavailable"
	OverBlockPoint Reason = "over_block_point"
	TooLarge       Reason = "too_large_for_remaining"
	BudgetInUse    Reason = "budget_in_use" // fits the budget, not beside the calls in flight
	UpstreamLimit  Reason = "upstream_limit"
	UpstreamInUse  Reason = "upstream_reserved"
)

// Provenance says where a settled cost came from, best first.
type Provenance string

// Provenances.
const (
	FromHeader    Provenance = "header"     // x-litellm-response-cost
	FromUsageCost Provenance = "usage_cost" // usage.cost in the body
	FromUsage     Provenance = "usage"      // usage × prices
	FromCacheHit  Provenance = "cache_hit"  // x-litellm-cache-key: LiteLLM bills 0
	FromError     Provenance = "error"      // answered with an error and no cost
	FromEstimate  Provenance = "estimate"   // nothing said what it cost
)

// Estimate is what a call may cost before it is made. Mean ≤ Worst.
type Estimate struct {
	Mean  Money
	Worst Money
	// StdDev is the standard deviation of the cost, in dollars.
	StdDev float64
}

// KeyFacts is what LiteLLM says about one virtual key. Amounts are dollars per
// LiteLLM's own window; the zero value of an optional field means it was null.
type KeyFacts struct {
	Hash     KeyHash
	Alias    string
	Status   string // active, expired, revoked, deleted; older versions: ""
	UserID   string
	TeamID   string
	TenantID string // metadata.tenant_id
	Limits   UpstreamBudget
}

// UpstreamBudget is a budget as LiteLLM keeps it for a key, user or team.
type UpstreamBudget struct {
	MaxBudget  *Money
	Period     Period    // zero: none
	ResetAt    time.Time // zero: none
	Spend      Money
	TotalSpend *Money // lifetime; nil: an older LiteLLM
	Managed    bool   // the limit was written by us, so it is not inherited
}

// UpstreamRefusal is LiteLLM's own budget refusal (error.type budget_exceeded),
// taken apart. The amounts in its text hold LiteLLM's open reservations and are
// no evidence, so "current cost" is not kept.
type UpstreamRefusal struct {
	// Subject is whose limit it names: key, key_window, user, team, team_window,
	// team_member, end_user, organization, project, tag, model, access_group,
	// global, provider; "" when the text is not known.
	Subject string
	ID      string // the user, team, … it names, or a key's hash when it gives one; may be empty
	Max     *Money // the limit it names; nil: none
}
