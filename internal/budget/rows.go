package budget

import "time"

// NewTenant is a tenant to be made, with its first keys.
type NewTenant struct {
	Tenant
	Keys []TenantKey
	// InheritedSpend was spent at LiteLLM in the window that the tenant starts
	// with; it becomes an adjustment of source "inherit".
	InheritedSpend Money
	Actor          string
	Reason         string
}

// WindowSpend is what one tenant has settled in one window: an absolute figure,
// written by the one ledger that counts it.
type WindowSpend struct {
	TenantID string
	Number   int64
	Spent    Money
	Start    time.Time // zero: not known to the writer
	End      time.Time // zero: not known to the writer, or never
}

// UnresolvedSpend is what one credential has settled whose tenant is not known.
type UnresolvedSpend struct {
	Hash  KeyHash
	Spent Money
}

// Change names what changed at a revision, for caches of other processes.
type Change struct {
	Revision int64
	TenantID string
	KeyHash  *KeyHash // set when a key came or went
}
