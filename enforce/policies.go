package enforce

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"golang.org/x/sync/singleflight"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
)

const (
	// cachedPolicies bounds the cache; a policy and its record are about 700 bytes.
	cachedPolicies = 1 << 17
	// storeTimeout is how long a first call waits for the store.
	storeTimeout = 250 * time.Millisecond
	// retryAfter is how soon a policy that could not be read is tried again.
	retryAfter = time.Second
	// rejectedFor is how long LiteLLM's "no such key" is believed.
	rejectedFor = 30 * time.Second
	// keptFor is how long the cache keeps a policy that nobody refreshes.
	keptFor = 10 * time.Minute
)

// policies finds the policy of a credential: in the cache, else in the store,
// else by asking LiteLLM. The cache may drop an entry at any time, and does; it
// is never the only copy of anything.
type policies struct {
	e       *Enforcer
	cache   *ristretto.Cache[uint64, *policy]
	flights singleflight.Group
	changes changes
	// refreshes are under way in the background.
	refreshes sync.WaitGroup
	closed    context.Context
	close     context.CancelFunc
}

func newPolicies(e *Enforcer) (*policies, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, *policy]{
		NumCounters:        10 * cachedPolicies,
		MaxCost:            cachedPolicies,
		BufferItems:        64,
		IgnoreInternalCost: true, // cost counts entries
	})
	if err != nil {
		return nil, err
	}
	ps := &policies{e: e, cache: cache}
	ps.closed, ps.close = context.WithCancel(context.Background())
	return ps, nil
}

// find returns the policy of the asking credential; never nil. A stale one
// serves while one refresh runs.
func (ps *policies) find(ctx context.Context, ask *Ask, now time.Time) *policy {
	p, ok := ps.cache.Get(cacheKey(ask.Key))
	if !ok || p.hash != ask.Key {
		return ps.load(ctx, ask, nil)
	}
	if ps.changes.since(p) {
		return ps.load(ctx, ask, p)
	}
	if now.After(p.fresh) {
		if p.record == nil {
			return ps.load(ctx, ask, p)
		}
		ps.refresh(p)
	}
	return p
}

// cacheKey is the digest's head; entries hold the whole digest, since integer
// keys are not checked for collisions.
func cacheKey(h budget.KeyHash) uint64 { return binary.LittleEndian.Uint64(h[:]) }

// load reads a policy once for all callers that want it at the same time. last
// is what was known before, for when the store is out of reach.
func (ps *policies) load(ctx context.Context, ask *Ask, last *policy) *policy {
	v, _, _ := ps.flights.Do(string(ask.Key[:]), func() (any, error) {
		// Whoever waits beside this caller must not lose the answer when this
		// caller's client leaves; read has its own deadlines.
		return ps.read(context.WithoutCancel(ctx), ask, last), nil
	})
	return v.(*policy)
}

func (ps *policies) read(ctx context.Context, ask *Ask, last *policy) *policy {
	began := ps.e.now()
	record, err := ps.fromStore(ctx, ask.Key, began)
	switch {
	case err == nil:
		return ps.keep(ps.known(ask.Key, record, began))
	case !errors.Is(err, budget.ErrNotFound):
		ps.e.metrics.storeFailed()
		if last != nil && last.record != nil {
			return ps.keep(last.again(ps.e.now().Add(retryAfter)))
		}
		return ps.unknown(ask.Key, budget.StoreDown, began, retryAfter)
	}
	ps.openUnknown(ctx, ask.Key, began)
	if ask.Kind != VirtualKey {
		return ps.unknown(ask.Key, budget.UnknownTenant, began, rejectedFor)
	}
	record, err = ps.e.tenants.lookup(ctx, ask.Key, string(ask.Credential))
	switch {
	case err == nil:
		return ps.keep(ps.known(ask.Key, record, began))
	case errors.Is(err, ErrRejected), errors.Is(err, ErrNoKey), errors.Is(err, errNotCreated):
		return ps.unknown(ask.Key, budget.UnknownTenant, began, rejectedFor)
	}
	return ps.unknown(ask.Key, budget.UnknownTenant, began, retryAfter)
}

// fromStore reads the key's record with the window that is open now.
func (ps *policies) fromStore(ctx context.Context, hash budget.KeyHash, now time.Time) (budget.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	record, err := ps.e.store.RecordByKey(ctx, hash, now)
	if err != nil || record.Window.At(now, record.Rule) == record.Window {
		return record, err
	}
	record, _, err = ps.e.store.RollWindow(ctx, record.ID, now)
	return record, err
}

// known makes a policy of a record and opens its account: from then on the
// ledger's figure counts. Spend that the credential had before it was known
// moves to the tenant.
func (ps *policies) known(hash budget.KeyHash, r budget.Record, began time.Time) *policy {
	account := ledger.Key{Owner: r.ID, Window: r.Window.Number}
	ps.e.ledger.Open(account, r.Spent)
	ps.e.adopt(hash, account)
	return &policy{hash: hash, record: &r, loaded: began, fresh: began.Add(ps.e.settings.Load().StatusTTL)}
}

// again is the policy as it was, to be read anew at the given time.
func (p *policy) again(at time.Time) *policy {
	return &policy{hash: p.hash, record: p.record, unknown: p.unknown, loaded: at.Add(-retryAfter), fresh: at}
}

func (ps *policies) keep(p *policy) *policy {
	ps.cache.SetWithTTL(cacheKey(p.hash), p, 1, keptFor)
	return p
}

func (ps *policies) unknown(hash budget.KeyHash, why budget.Reason, began time.Time, retry time.Duration) *policy {
	p := &policy{hash: hash, unknown: why, loaded: began, fresh: ps.e.now().Add(retry)}
	ps.cache.SetWithTTL(cacheKey(hash), p, 1, rejectedFor)
	return p
}

// openUnknown takes up what the credential had spent before a restart.
func (ps *policies) openUnknown(ctx context.Context, hash budget.KeyHash, now time.Time) {
	account, start := ps.e.unknownAccount(hash, now)
	if _, open := ps.e.ledger.Totals(account); open {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	spent, err := ps.e.store.Unresolved(ctx, hash, start)
	if err != nil {
		ps.e.metrics.storeFailed()
		return
	}
	if spent > 0 {
		ps.e.ledger.Open(account, spent)
	}
}

// refresh reads a stale policy anew in the background, once at a time.
func (ps *policies) refresh(p *policy) {
	if ps.closed.Err() != nil || !p.refreshing.CompareAndSwap(false, true) {
		return
	}
	ps.refreshes.Go(func() {
		defer p.refreshing.Store(false)
		ps.load(ps.closed, &Ask{Key: p.hash}, p)
	})
}

// forget drops a credential's policy, so that the next call reads it anew.
func (ps *policies) forget(hash budget.KeyHash) {
	ps.changes.key(hash, ps.e.now())
}

// stop ends the background refreshes and the cache's own goroutine.
func (ps *policies) stop() {
	ps.close()
	ps.refreshes.Wait()
	ps.cache.Close()
}
