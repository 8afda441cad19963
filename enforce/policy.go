package enforce

import (
	"sync/atomic"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// policy is what is known about one credential: an immutable snapshot that any
// number of decisions read at once. Only its refresh flag changes.
type policy struct {
	hash   budget.KeyHash // the whole digest: the cache compares 64 bits of it
	record *budget.Record // nil: the tenant is not known
	// unknown says why record is nil.
	unknown budget.Reason
	// loaded is when reading began, so that a change made while it went on is
	// newer than the policy.
	loaded time.Time
	fresh  time.Time // serves without a refresh until then
	// refreshing is set by the one caller that refreshes a stale policy.
	refreshing atomic.Bool
}
