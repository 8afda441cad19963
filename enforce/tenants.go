package enforce

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pursestring/pursestring/internal/budget"
)

const (
	// lookupsPerSecond and lookupsAtOnce bound what LiteLLM is asked about keys,
	// over all keys together.
	lookupsPerSecond = 10
	lookupsAtOnce    = 4
	// lookupsSpared are kept for keys that LiteLLM is known to accept: whoever
	// makes up keys cannot use up the look-ups of those that are real.
	lookupsSpared = lookupsPerSecond / 2
	// lookupWait is how long a first call waits for its look-up.
	lookupWait = 500 * time.Millisecond
	// lookupTimeout bounds a look-up in the background.
	lookupTimeout = 10 * time.Second
)

// tenants makes tenants of keys that were not seen before, by what LiteLLM says
// about them.
type tenants struct {
	e       *Enforcer
	dir     Directory
	limiter *rate.Limiter
	slots   chan struct{}
	pending pending
}

var (
	// errLimited: the look-up has to wait for its turn, in the background.
	errLimited = errors.New("look-ups are at their limit")
	// errNotCreated: LiteLLM knows the key, and the settings make no tenant of it.
	errNotCreated = errors.New("no tenant is made of this key")
)

func newTenants(e *Enforcer, dir Directory) *tenants {
	return &tenants{
		e:       e,
		dir:     dir,
		limiter: rate.NewLimiter(lookupsPerSecond, lookupsPerSecond),
		slots:   make(chan struct{}, lookupsAtOnce),
		pending: newPending(),
	}
}

// lookup asks LiteLLM about a key on its first call, and makes its tenant. When
// the limit is reached, or LiteLLM does not answer in time, the call goes on
// without; in the second case the key is asked about again in the background.
func (t *tenants) lookup(ctx context.Context, hash budget.KeyHash, credential string) (budget.Record, error) {
	if t.dir == nil || t.e.settings.Load().AutoCreate == budget.Off {
		return budget.Record{}, errNotCreated
	}
	if t.limiter.Tokens() < lookupsSpared+1 || !t.limiter.Allow() {
		t.e.metrics.lookedUp("limited")
		return budget.Record{}, errLimited
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	default:
		t.e.metrics.lookedUp("limited")
		return budget.Record{}, errLimited
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	record, err := t.ask(ctx, hash, credential)
	if trouble(err) {
		t.pending.add(&unresolved{hash: hash, credential: credential}, false, t.e.now())
	}
	return record, err
}

// trouble reports an error that says nothing about the key.
func trouble(err error) bool {
	return err != nil && !errors.Is(err, ErrRejected) && !errors.Is(err, ErrNoKey) && !errors.Is(err, errNotCreated)
}

// accepted takes note that LiteLLM has served a key whose tenant is not known:
// it is worth a look-up, before all that were never accepted.
func (t *tenants) accepted(u *unresolved) {
	if t.dir == nil || t.e.settings.Load().AutoCreate == budget.Off {
		return
	}
	if !t.pending.add(u, true, t.e.now()) {
		t.e.metrics.lookedUp("dropped")
	}
}

// run looks pending keys up in the background until ctx ends. It leaves half of
// the places to first calls, which are waiting for theirs.
func (t *tenants) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range lookupsAtOnce / 2 {
		workers.Go(func() { t.work(ctx) })
	}
	workers.Wait()
}

func (t *tenants) work(ctx context.Context) {
	for {
		u, wait := t.pending.next(t.e.now())
		if u == nil {
			if !t.pending.sleep(ctx, wait) {
				return
			}
			continue
		}
		if t.limiter.Wait(ctx) != nil {
			return
		}
		t.retry(ctx, u)
	}
}

// retry asks about one pending key. A key that has become known meanwhile, or
// that LiteLLM refuses, is done with; trouble puts it off.
func (t *tenants) retry(ctx context.Context, u *pendingKey) {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	record, err := t.ask(ctx, u.hash, u.credential)
	if trouble(err) {
		t.pending.putOff(u, t.e.now())
		t.e.log.Warn("key look-up postponed", "key_hash", u.hash.String(), "err", err)
		return
	}
	t.pending.done(u)
	if err != nil {
		return
	}
	t.e.policies.known(u.hash, record, t.e.now()) // what was spent so far moves now
	t.e.policies.forget(u.hash)                   // and the next call finds the tenant
}

// ask looks one key up and makes or joins its tenant.
func (t *tenants) ask(ctx context.Context, hash budget.KeyHash, credential string) (budget.Record, error) {
	facts, err := t.dir.Key(ctx, credential)
	if err != nil {
		t.e.metrics.lookedUp(lookupResult(err))
		return budget.Record{}, err
	}
	if facts.Status != "" && facts.Status != "active" {
		t.e.metrics.lookedUp("rejected")
		return budget.Record{}, fmt.Errorf("key is %s: %w", facts.Status, ErrRejected)
	}
	facts.Hash = hash
	record, err := t.create(ctx, facts, credential)
	if err != nil {
		t.e.metrics.lookedUp(lookupResult(err))
		return record, err
	}
	t.e.metrics.lookedUp("found")
	return record, nil
}

func lookupResult(err error) string {
	switch {
	case errors.Is(err, ErrRejected):
		return "rejected"
	case errors.Is(err, ErrNoKey):
		return "no_key"
	case errors.Is(err, errNotCreated):
		return "not_created"
	}
	return "failed"
}

// create makes the tenant that the facts name, with the budget of what named it,
// or adds the key to the tenant that is there.
func (t *tenants) create(ctx context.Context, facts budget.KeyFacts, credential string) (budget.Record, error) {
	settings := t.e.settings.Load()
	now := t.e.now().UTC()
	named, err := t.name(ctx, settings, facts, credential)
	if err != nil {
		return budget.Record{}, err
	}
	tenant := settings.Defaults.tenant(named.id, now)
	tenant.Origin = named.origin
	tenant.Alias = named.alias
	if settings.AutoCreate == budget.Shadow {
		tenant.Mode = budget.Shadow
	}
	spent := inherit(&tenant, named.limits, settings.Inherit, now)
	baseline := facts.Limits.Spend
	if facts.Limits.TotalSpend != nil {
		baseline = *facts.Limits.TotalSpend
	}
	return t.e.store.CreateTenant(ctx, budget.NewTenant{
		Tenant:         tenant,
		Keys:           []budget.TenantKey{{Hash: facts.Hash, TenantID: tenant.ID, Alias: facts.Alias, Baseline: baseline, CreatedAt: now}},
		InheritedSpend: spent,
		Actor:          "pursestring",
		Reason:         "first call of a key that LiteLLM accepts, named by " + string(named.origin),
	})
}

// inherit gives the tenant the budget that LiteLLM keeps for what named it, and
// returns the spend to begin with. Only a limit with a duration says in which
// window spend belongs; what we wrote there ourselves is not LiteLLM's word.
func inherit(t *budget.Tenant, from budget.UpstreamBudget, wanted bool, now time.Time) budget.Money {
	if from.MaxBudget != nil && *from.MaxBudget > 0 && !from.Managed {
		t.UpstreamLimit = from.MaxBudget
	}
	if t.UpstreamLimit == nil || !wanted {
		t.NeedsBudget = wanted
		return 0
	}
	t.MaxBudget = from.MaxBudget
	if from.Period.IsZero() {
		return 0
	}
	t.Rule.Period = from.Period
	end := from.ResetAt
	if end.IsZero() || !end.After(now) {
		end = t.Rule.Next(now)
	}
	t.Rule.Anchor = end
	t.Window.End = end
	return max(0, from.Spend)
}
