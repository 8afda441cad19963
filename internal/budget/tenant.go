package budget

import "time"

// Mode says whether a decision binds.
type Mode string

// Modes. The empty Mode of a tenant means the global one.
const (
	Enforce Mode = "enforce"
	Shadow  Mode = "shadow" // never waits, refuses or translates; counts what it would have done
	Off     Mode = "off"    // only for tenants.auto_create: makes no tenant
)

// Tenant is who has a budget. It is configuration: what has been spent lives in
// the ledger and in the store's windows.
type Tenant struct {
	ID             string
	Alias          string // for people; may be empty
	MaxBudget      *Money // per period, > 0; nil: metered, never blocked
	AlertThreshold int    // percent of the limit, 50–100
	GraceThreshold int    // percent of the limit, 100–150
	Rule           Rule
	Window         Window // the window open when the row was written; Window.At rolls it on
	Mode           Mode   // empty: enforce.mode
	Origin         Origin
	NeedsBudget    bool   // made with the defaults, because LiteLLM names no limit
	UpstreamLimit  *Money // LiteLLM's own max_budget for what named the tenant, as last read; nil: none
	Revision       int64  // rises with every change, over all tenants
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Origin says what named a tenant; the values are those of tenants.resolve.
type Origin string

// Origins.
const (
	OriginAdmin    Origin = "admin"
	OriginStore    Origin = "store"
	OriginMetadata Origin = "metadata.tenant_id"
	OriginTeam     Origin = "team_id"
	OriginUser     Origin = "user_id"
	OriginKey      Origin = "key"
)

// TenantKey is one virtual key of a tenant.
type TenantKey struct {
	Hash      KeyHash
	TenantID  string
	Alias     string
	Baseline  Money // LiteLLM's spend for the key when it was adopted
	CreatedAt time.Time
}

// Override is a temporary change of one tenant's budget. It is active from
// StartsAt until ExpiresAt, by itself, whether or not a process runs.
type Override struct {
	ID                 int64
	TenantID           string
	Amount             Money // added to the limit, ≥ 0
	DisableEnforcement bool
	Reason             string
	GrantedBy          string
	StartsAt           time.Time
	ExpiresAt          time.Time
	RevokedAt          time.Time // zero: not revoked
}

// ActiveAt reports whether the override counts at t.
func (o *Override) ActiveAt(t time.Time) bool {
	return o != nil && o.RevokedAt.IsZero() && !t.Before(o.StartsAt) && t.Before(o.ExpiresAt)
}

// Record is a tenant with what a decision needs beside its row.
type Record struct {
	Tenant
	Override *Override // granted, not revoked and not yet expired; nil: none
	Spent    Money     // settled in Tenant.Window, as last stored
}

// Points are the three lines of a budget at one instant.
type Points struct {
	Limit Money // max_budget + active override
	Alert Money // limit × alert_threshold / 100
	Block Money // limit × grace_threshold / 100
	// Unlimited: nothing is refused, because there is no max_budget or an
	// override has switched enforcement off. With no max_budget the three
	// amounts are 0 and mean nothing.
	Unlimited bool
}

// PointsAt returns the lines of r at t.
func (r *Record) PointsAt(t time.Time) Points {
	if r.MaxBudget == nil {
		return Points{Unlimited: true}
	}
	limit := *r.MaxBudget
	p := Points{}
	if r.Override.ActiveAt(t) {
		limit = limit.Add(r.Override.Amount)
		p.Unlimited = r.Override.DisableEnforcement
	}
	p.Limit = limit
	p.Alert = limit.Percent(r.AlertThreshold)
	p.Block = limit.Percent(r.GraceThreshold)
	return p
}

// State is how far a tenant's settled spend has come.
type State string

// States, in order.
const (
	StateOK      State = "ok"
	StateWarning State = "warning" // from the alert point
	StateGrace   State = "grace"   // from the limit
	StateBlocked State = "blocked" // from the block point
)

// State returns where spent stands between the lines. A tenant without a limit
// is always ok; one whose enforcement is switched off is at most in grace.
func (p Points) State(spent Money) State {
	switch {
	case p.Limit <= 0:
		return StateOK
	case spent >= p.Block && !p.Unlimited:
		return StateBlocked
	case spent >= p.Limit:
		return StateGrace
	case spent >= p.Alert:
		return StateWarning
	}
	return StateOK
}
