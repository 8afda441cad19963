package admin

import (
	"context"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// Store is the rows, as the admin API needs them. Methods may block until their
// context ends and are safe for concurrent use. They answer budget.ErrNotFound
// when there is no such row, budget.ErrConflict when one is in the way, and
// budget.ErrStale when a revision has passed; any other error means the store is
// out of reach. Every change writes its audit row in the same transaction.
type Store interface {
	TenantStore
	KeyStore
	OverrideStore
	HistoryStore
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
}

// TenantStore is tenants and their budgets.
type TenantStore interface {
	Record(ctx context.Context, tenantID string, now time.Time) (budget.Record, error)
	// Tenants returns a page in the order of ids, and the last id of the page when
	// more follow.
	Tenants(ctx context.Context, f budget.TenantFilter, now time.Time) (page []budget.Record, next string, err error)
	// CountTenants counts tenants by state, by their spend as stored.
	CountTenants(ctx context.Context, now time.Time) (map[budget.State]int, error)
	// CreateTenant makes the tenant; one that is there already is left as it is.
	CreateTenant(ctx context.Context, t budget.NewTenant) (budget.Record, error)
	PutTenant(ctx context.Context, tenantID string, c budget.TenantChange, by budget.By) (budget.Record, error)
	PutBudget(ctx context.Context, tenantID string, c budget.Terms, by budget.By) (budget.Record, error)
	// DeleteTenant removes the tenant with its keys and overrides; its windows and
	// its history stay.
	DeleteTenant(ctx context.Context, tenantID string, by budget.By) error
	// ResetWindow closes the open window and opens the next.
	ResetWindow(ctx context.Context, tenantID string, by budget.By) (budget.Record, error)
}

// KeyStore is which virtual key belongs to whom.
type KeyStore interface {
	RecordByKey(ctx context.Context, hash budget.KeyHash, now time.Time) (budget.Record, error)
	Keys(ctx context.Context, tenantID string) ([]budget.TenantKey, error)
	// AddKey gives a key to its tenant; ErrConflict when another tenant has it.
	// Adding it again changes its alias.
	AddKey(ctx context.Context, k budget.TenantKey, by budget.By) (budget.TenantKey, error)
	RemoveKey(ctx context.Context, tenantID string, hash budget.KeyHash, by budget.By) error
}

// OverrideStore is temporary changes of budgets.
type OverrideStore interface {
	// GrantOverride stores o; ErrConflict when another is active and replace is
	// false, else the other is revoked.
	GrantOverride(ctx context.Context, o budget.Override, replace bool, by budget.By) (budget.Override, error)
	// RevokeOverride ends the active override; ErrNotFound when none is.
	RevokeOverride(ctx context.Context, tenantID string, by budget.By) (budget.Override, error)
	// Overrides returns a tenant's overrides, the newest first.
	Overrides(ctx context.Context, tenantID string) ([]budget.Override, error)
}

// HistoryStore is what has happened.
type HistoryStore interface {
	RecordAlert(ctx context.Context, e budget.AlertEvent) error
	// Alerts and Audit return the newest rows first, and the id to go on below when
	// more follow, else 0.
	Alerts(ctx context.Context, f budget.HistoryFilter) (page []budget.AlertEvent, next int64, err error)
	Audit(ctx context.Context, f budget.HistoryFilter) (page []budget.AuditEntry, next int64, err error)
}

// Enforcer is the live side of a tenant. All methods are safe for concurrent use.
type Enforcer interface {
	// Status returns a tenant's account as it stands now, and its record;
	// budget.ErrNotFound when there is no such tenant.
	Status(ctx context.Context, tenantID string) (enforce.Status, budget.Record, error)
	// LiveSpend returns what has been counted in a window; false: not counted here.
	LiveSpend(tenantID string, window int64) (budget.Money, bool)
	// Flush writes what has been counted to the store.
	Flush(ctx context.Context) error
	// Invalidate and InvalidateKey make the next decision read anew. They neither
	// block nor fail.
	Invalidate(tenantID string)
	InvalidateKey(hash budget.KeyHash)
}

// Upstream is LiteLLM, as its health goes.
type Upstream interface {
	// Health asks LiteLLM how it is; trouble is part of the answer.
	Health(ctx context.Context) UpstreamHealth
}

// UpstreamHealth is what could be learnt about LiteLLM.
type UpstreamHealth struct {
	Reachable bool
	Version   string // empty: it does not say
	// MasterKey is accepted, rejected, not_set or unknown.
	MasterKey string
	// Database is as LiteLLM names it: connected, disconnected, stalled, "Not
	// connected"; empty: not learnt.
	Database string
	Problem  string // for people; empty: none. Holds no secret.
}
