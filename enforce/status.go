package enforce

import (
	"context"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
)

// Status returns a tenant's account as it stands now, and its record. Without
// live counters here (an admin plane of its own) the spend is what the store
// holds, at most a second old.
func (e *Enforcer) Status(ctx context.Context, tenantID string) (Status, budget.Record, error) {
	now := e.now()
	record, err := e.store.Record(ctx, tenantID, now)
	if err != nil {
		return Status{}, record, err
	}
	if record.Window.At(now, record.Rule) != record.Window {
		if record, _, err = e.store.RollWindow(ctx, tenantID, now); err != nil {
			return Status{}, record, err
		}
	}
	var s Status
	s.fill(&record, now)
	totals, ok := e.ledger.Totals(ledger.Key{Owner: tenantID, Window: s.Window.Number})
	if !ok {
		totals.Spent = record.Spent
	}
	s.count(totals)
	return s, record, nil
}

// StatusOf returns the account behind a credential, for its holder; false when
// its tenant is not known.
func (e *Enforcer) StatusOf(ctx context.Context, key budget.KeyHash) (Status, bool) {
	now := e.now()
	p := e.policies.find(ctx, &Ask{Key: key}, now)
	if p.record == nil {
		return Status{}, false
	}
	var s Status
	s.fill(p.record, now)
	totals, ok := e.ledger.Totals(ledger.Key{Owner: p.record.ID, Window: s.Window.Number})
	if !ok {
		totals.Spent = p.record.Spent
	}
	s.count(totals)
	return s, true
}

// LiveSpend returns what the ledger has counted for a tenant's window, and false
// when it holds no such account.
func (e *Enforcer) LiveSpend(tenantID string, window int64) (budget.Money, bool) {
	t, ok := e.ledger.Totals(ledger.Key{Owner: tenantID, Window: window})
	return t.Spent, ok
}
