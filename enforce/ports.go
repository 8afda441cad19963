package enforce

import (
	"context"
	"errors"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Store is what decisions need of the rows. Methods may block until their
// context ends, are safe for concurrent use, and answer budget.ErrNotFound when
// there is no such row; any other error means the store is out of reach.
type Store interface {
	RecordByKey(ctx context.Context, hash budget.KeyHash, now time.Time) (budget.Record, error)
	Record(ctx context.Context, tenantID string, now time.Time) (budget.Record, error)
	// CreateTenant makes the tenant, or adds the keys to one that is there.
	CreateTenant(ctx context.Context, t budget.NewTenant) (budget.Record, error)
	// RollWindow closes windows that have ended and opens the one that holds now.
	// Exactly one caller gets true.
	RollWindow(ctx context.Context, tenantID string, now time.Time) (budget.Record, bool, error)
	DueTenants(ctx context.Context, now time.Time, limit int) ([]string, error)
	// SaveSpend writes absolute totals, in one transaction with the removal of
	// the unresolved spend that has moved into them. Saving twice is as good as once.
	SaveSpend(ctx context.Context, windows []budget.WindowSpend, unresolved []budget.UnresolvedSpend, moved []budget.KeyHash) error
	// Unresolved returns what a credential without a tenant has spent since the
	// given instant; 0 when nothing is kept.
	Unresolved(ctx context.Context, hash budget.KeyHash, since time.Time) (budget.Money, error)
	// Stranded returns unresolved spend whose key has a tenant by now.
	Stranded(ctx context.Context) ([]budget.UnresolvedSpend, error)
	// Changes returns what changed after a revision, and the newest revision.
	Changes(ctx context.Context, since int64) ([]budget.Change, int64, error)
}

// Directory is LiteLLM's admin API, as far as a key's tenant is concerned. It
// asks with the key's own authority. Errors are ErrRejected, ErrNoKey, or
// trouble; none of them holds the credential.
type Directory interface {
	Key(ctx context.Context, credential string) (budget.KeyFacts, error)
	Team(ctx context.Context, credential, id string) (budget.UpstreamBudget, error)
	// User also tells whether the user is a proxy admin, whose keys are nobody's.
	User(ctx context.Context, credential, id string) (facts budget.UpstreamBudget, proxyAdmin bool, err error)
}

// What a Directory says of a credential, beside trouble.
var (
	// ErrRejected: LiteLLM does not accept the credential.
	ErrRejected = errors.New("credential rejected by LiteLLM")
	// ErrNoKey: LiteLLM accepts the credential, but there is no such row: the
	// master key, a session token or a JWT, which are no virtual keys; or a user or
	// team that the key may not see.
	ErrNoKey = errors.New("credential is no virtual key")
)
