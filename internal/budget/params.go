package budget

import "time"

// By says who changes something, when and why: the audit row of the change,
// written in the same transaction.
type By struct {
	Actor  string // token name, or "pursestring"
	Reason string // may be empty where none is asked for
	At     time.Time
}

// Terms are a new budget for a tenant, whole: every field is written. The
// window keeps its number and its spend, and ends at the new rule's first
// boundary after By.At.
type Terms struct {
	MaxBudget      *Money    // > 0; nil: metered, never blocked
	AlertThreshold int       // percent of the limit, 50–100
	GraceThreshold int       // percent of the limit, 100–150
	Period         Period    // zero: never resets
	Anchor         time.Time // zero: the anchor stays
	Alignment      Alignment
	Zone           *time.Location // nil: UTC
	// IfRevision is the revision that the caller has seen; the change is refused
	// with ErrStale when the tenant has another by now. Nil: whatever is there.
	IfRevision *int64
}

// TenantChange is what PUT of a tenant may set beside its budget.
type TenantChange struct {
	Alias *string // nil: stays
	Mode  *Mode   // nil: stays; empty: the global mode
}

// TenantFilter selects tenants, by id, a page at a time.
type TenantFilter struct {
	Search string // part of the id or the alias, in any case; empty: all
	After  string // the last id of the page before; empty: from the first
	Limit  int    // rows, > 0
}

// HistoryFilter selects rows of the alert history or the audit log, newest first.
type HistoryFilter struct {
	TenantID string // empty: all
	Type     string // event type or action; empty: all
	Before   int64  // rows with an id below it; 0: from the newest
	Limit    int    // rows, > 0
}
