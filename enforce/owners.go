package enforce

import (
	"strings"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
)

// Owners of accounts that are no tenant. Tenant ids cannot begin with "key:".
const (
	masterOwner = "key:master"
	keyOwner    = "key:" // + the credential's hash
)

// unknownOwner is the account of a credential whose tenant is not known.
func unknownOwner(h budget.KeyHash) string { return keyOwner + h.String() }

// shortOwner is how such an account is shown to people.
func shortOwner(h budget.KeyHash) string { return keyOwner + h.String()[:12] }

// hashOfOwner takes a credential's hash out of its account's owner.
func hashOfOwner(owner string) (budget.KeyHash, bool) {
	digits, ok := strings.CutPrefix(owner, keyOwner)
	if !ok {
		return budget.KeyHash{}, false
	}
	h, err := budget.ParseKeyHash(digits)
	return h, err == nil
}

// unknownEpoch is a boundary of every unknown credential's windows, the same in
// every process, since nobody has written down when such a credential began.
var unknownEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// unknownRecord is what a credential without a tenant is judged by: the default
// budget, in windows that begin at unknownEpoch.
func (e *Enforcer) unknownRecord(h budget.KeyHash, s *Settings, now time.Time) *budget.Record {
	t := s.Defaults.tenant(unknownOwner(h), unknownEpoch)
	if last := e.unknownWindow.Load(); last != nil {
		t.Window = *last
	}
	if w := t.Window.At(now, t.Rule); w != t.Window {
		t.Window = w
		e.unknownWindow.Store(&w) // walked from the epoch once, not by every call
	}
	return &budget.Record{Tenant: t}
}

// unknownAccount is the account that unknownRecord is counted in, and when its
// window began.
func (e *Enforcer) unknownAccount(h budget.KeyHash, now time.Time) (ledger.Key, time.Time) {
	r := e.unknownRecord(h, e.settings.Load(), now)
	return ledger.Key{Owner: r.ID, Window: r.Window.Number}, r.Window.Start
}
