package enforce

import (
	"context"
	"sync"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
)

const (
	expireEvery  = 5 * time.Second
	tidyEvery    = time.Minute
	resetEvery   = 10 * time.Second
	resetBatch   = 100
	changesEvery = 500 * time.Millisecond
)

// Run does the work in the background until ctx ends: totals to the store,
// changes of other processes into the cache, look-ups that were put off, windows
// that have ended, holds that nobody ended. It returns after a last flush, so it
// must be stopped after the data plane.
func (e *Enforcer) Run(ctx context.Context) error {
	if err := e.recoverStranded(ctx); err != nil {
		e.log.Error("unresolved spend not taken up, tried again at the next start", "err", err)
	}
	var loops sync.WaitGroup
	loops.Go(func() { every(ctx, flushEvery, e.flushOnce) })
	loops.Go(func() { e.followChanges(ctx) })
	loops.Go(func() { every(ctx, expireEvery, func(context.Context) { e.expireOnce() }) })
	loops.Go(func() { every(ctx, resetEvery, e.resetOnce) })
	loops.Go(func() { every(ctx, tidyEvery, func(context.Context) { e.tidyOnce() }) })
	loops.Go(func() { e.tenants.run(ctx) })
	loops.Wait()
	e.policies.stop()
	return e.Flush(context.WithoutCancel(ctx))
}

func every(ctx context.Context, d time.Duration, once func(context.Context)) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			once(ctx)
		}
	}
}

func (e *Enforcer) flushOnce(ctx context.Context) {
	if err := e.Flush(ctx); err != nil && ctx.Err() == nil {
		e.metrics.storeFailed()
		e.log.Error("spend not saved, kept in memory and tried again", "err", err)
	}
}

// followChanges invalidates what other processes have changed in the store.
func (e *Enforcer) followChanges(ctx context.Context) {
	since, known := int64(0), false
	every(ctx, changesEvery, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		changed, newest, err := e.store.Changes(ctx, since)
		if err != nil {
			e.metrics.storeFailed()
			return
		}
		if known { // what changed before the first look was read from the store anyway
			for _, c := range changed {
				e.changed(c)
			}
		}
		since, known = newest, true
	})
}

func (e *Enforcer) changed(c budget.Change) {
	if c.KeyHash != nil {
		e.policies.forget(*c.KeyHash)
	}
	if c.TenantID != "" {
		e.Invalidate(c.TenantID)
	}
}

// Invalidate makes the next decision about the tenant read it anew.
func (e *Enforcer) Invalidate(tenantID string) { e.policies.changes.tenant(tenantID, e.now()) }

// InvalidateKey makes the next decision about a key read anew whose it is.
func (e *Enforcer) InvalidateKey(hash budget.KeyHash) { e.policies.forget(hash) }

func (e *Enforcer) expireOnce() {
	for _, x := range e.ledger.Expire(e.now()) {
		e.metrics.leaked.Inc()
		e.log.Error("BUG: hold passed its deadline, settled at its mean", "tenant_id", x.Account.Owner, "cost_usd", x.Cost.Float())
	}
}

func (e *Enforcer) tidyOnce() {
	e.ledger.Forget()
	e.policies.changes.prune(e.now())
}

// resetOnce writes down the windows that have ended. Decisions do not wait for
// it: they compute the open window themselves.
func (e *Enforcer) resetOnce(ctx context.Context) {
	due, err := e.store.DueTenants(ctx, e.now(), resetBatch)
	if err != nil {
		e.metrics.storeFailed()
		return
	}
	if len(due) == 0 {
		return
	}
	e.flushOnce(ctx) // the closing row takes the final spend
	for _, id := range due {
		record, rolled, err := e.store.RollWindow(ctx, id, e.now())
		if err != nil {
			e.metrics.storeFailed()
			e.log.Error("window not closed, tried again", "tenant_id", id, "err", err)
			continue
		}
		if rolled {
			e.Invalidate(id)
			e.log.Info("window closed, the next one is open", "tenant_id", id, "window", record.Window.Number)
		}
	}
}

// recoverStranded moves unresolved spend of keys that have a tenant by now, which
// a crash left behind.
func (e *Enforcer) recoverStranded(ctx context.Context) error {
	stranded, err := e.store.Stranded(ctx)
	if err != nil {
		return err
	}
	for _, u := range stranded {
		record, err := e.policies.fromStore(ctx, u.Hash, e.now())
		if err != nil {
			return err
		}
		from, _ := e.unknownAccount(u.Hash, e.now())
		to := ledger.Key{Owner: record.ID, Window: record.Window.Number}
		e.ledger.Open(from, u.Spent)
		e.ledger.Open(to, record.Spent)
		e.adopt(u.Hash, to)
	}
	return nil
}
