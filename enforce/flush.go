package enforce

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
)

const (
	// flushEvery is how often totals reach the store: what a crash can lose.
	flushEvery   = 500 * time.Millisecond
	flushTimeout = 10 * time.Second
)

// flusher carries the ledger's totals to the store.
type flusher struct {
	e  *Enforcer
	mu sync.Mutex
	// moved are credentials whose unresolved spend now stands in a tenant's
	// account; the store drops it in the transaction that writes that account.
	moved map[budget.KeyHash]struct{}
}

// adopt moves what a credential has spent without a tenant into the tenant's
// account.
func (e *Enforcer) adopt(hash budget.KeyHash, to ledger.Key) {
	from, _ := e.unknownAccount(hash, e.now())
	if amount := e.ledger.Move(from, to); amount > 0 {
		e.flusher.drop(hash)
		e.log.Info("unresolved spend moved to its tenant", "tenant_id", to.Owner, "key_hash", hash.String(), "spend_usd", amount.Float())
	}
}

func (f *flusher) drop(hash budget.KeyHash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved == nil {
		f.moved = make(map[budget.KeyHash]struct{})
	}
	f.moved[hash] = struct{}{}
}

func (f *flusher) takeMoved() []budget.KeyHash {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hashes []budget.KeyHash
	for h := range f.moved {
		hashes = append(hashes, h)
	}
	clear(f.moved)
	return hashes
}

// Flush writes every total that has changed to the store. It is safe to call at
// any time; a failed one loses nothing, the next one writes it.
func (e *Enforcer) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	// Taken before the totals: whatever has moved by now is in them.
	moved := e.flusher.takeMoved()
	err := e.ledger.Flush(func(balances []ledger.Balance) error {
		windows, unresolved := e.split(balances)
		return e.store.SaveSpend(ctx, windows, unresolved, moved)
	})
	if err != nil {
		for _, h := range moved {
			e.flusher.drop(h)
		}
		return fmt.Errorf("save spend: %w", err)
	}
	return nil
}

// split sorts balances by where they are kept. A credential without a tenant has
// one row, for the window that is open: what an older one still gets late is over
// anyway.
func (e *Enforcer) split(balances []ledger.Balance) (windows []budget.WindowSpend, unresolved []budget.UnresolvedSpend) {
	for _, b := range balances {
		if b.Account.Owner == masterOwner {
			continue // counted in a metric, nobody's budget
		}
		hash, ok := hashOfOwner(b.Account.Owner)
		if !ok {
			windows = append(windows, budget.WindowSpend{TenantID: b.Account.Owner, Number: b.Account.Window, Spent: b.Spent})
			continue
		}
		if open, _ := e.unknownAccount(hash, e.now()); open == b.Account {
			unresolved = append(unresolved, budget.UnresolvedSpend{Hash: hash, Spent: b.Spent})
		}
	}
	return windows, unresolved
}
