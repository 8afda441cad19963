package enforce

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
)

// holdDeadline is how long a call may stay silent before its hold is settled at
// its mean. It is renewed by bytes, and longer than the proxy waits for any.
const holdDeadline = 30 * time.Minute

// Options are what an Enforcer is made of. All fields but Directory, Now and
// Log are required.
type Options struct {
	Store    Store
	Ledger   ledger.Ledger
	Settings Settings
	// Directory looks unseen keys up at LiteLLM; nil: they stay unknown.
	Directory Directory
	Metrics   *Metrics
	Log       *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// Enforcer decides about calls and keeps their holds. It is safe for concurrent
// use. NewEnforcer starts nothing; Run does the work in the background.
type Enforcer struct {
	store    Store
	ledger   ledger.Ledger
	settings atomic.Pointer[Settings]
	policies *policies
	tenants  *tenants
	flusher  *flusher
	metrics  *Metrics
	log      *slog.Logger
	now      func() time.Time
	upstream recordedSpend
	// unknownWindow is the window in which credentials without a tenant are
	// counted; nil: not worked out yet.
	unknownWindow atomic.Pointer[budget.Window]
}

// NewEnforcer returns an Enforcer that has read nothing yet.
func NewEnforcer(o Options) (*Enforcer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	e := &Enforcer{store: o.Store, ledger: o.Ledger, metrics: o.Metrics, log: o.Log, now: o.Now}
	e.settings.Store(&o.Settings)
	e.tenants = newTenants(e, o.Directory)
	e.flusher = &flusher{e: e}
	e.upstream.init()
	var err error
	e.policies, err = newPolicies(e)
	return e, err
}

// Reload replaces the settings; decisions after it see the new ones. Cached
// policies hold no settings, so nothing needs to be dropped.
func (e *Enforcer) Reload(s Settings) {
	e.settings.Store(&s)
	e.unknownWindow.Store(nil)
}

// Admit decides about one call. It never fails: trouble becomes a verdict with a
// reason. It blocks only for the first calls of a credential, at most for
// storeTimeout and lookupWait together.
func (e *Enforcer) Admit(ctx context.Context, ask *Ask) Decision {
	now := e.now()
	settings := e.settings.Load()
	if settings.MasterKey != nil && ask.Kind != NoCredential && ask.Key == *settings.MasterKey {
		return e.admitMaster(ctx, ask, now)
	}
	p := e.policies.find(ctx, ask, now)
	if p.record == nil {
		return e.admitUnknown(ctx, ask, p, settings, now)
	}
	return e.admitKnown(ctx, ask, p, settings, now)
}

func (e *Enforcer) admitKnown(ctx context.Context, ask *Ask, p *policy, settings *Settings, now time.Time) Decision {
	d := Decision{Mode: modeOf(p.record, settings)}
	d.Status.fill(p.record, now)
	held, err := e.ledger.Hold(ctx, ledger.Request{
		Account:  ledger.Key{Owner: p.record.ID, Window: d.Status.Window.Number},
		Lines:    linesOf(d.Status.Points, settings),
		Estimate: ask.Estimate,
		Deadline: now.Add(holdDeadline),
		Force:    d.Mode == budget.Shadow || ask.Free,
	})
	if err != nil {
		e.rule(&d, rulingLedgerDown)
		return d
	}
	d.Hold = held.Hold
	d.Status.count(held.Totals)
	e.rule(&d, rulingOf(held.Outcome, d.Mode, ask.Free, p.record, d.Status.Points))
	return d
}

// admitUnknown decides for a credential whose tenant is not known: its own spend
// against the default budget. Being over that is knowledge; anything else passes,
// as fail-open.
func (e *Enforcer) admitUnknown(ctx context.Context, ask *Ask, p *policy, settings *Settings, now time.Time) Decision {
	record := e.unknownRecord(ask.Key, settings, now)
	d := Decision{Mode: settings.Mode}
	d.Status.fill(record, now)
	d.Status.Known = false
	d.Status.TenantID = shortOwner(ask.Key)
	if ask.Kind == VirtualKey {
		d.origin = &unresolved{hash: ask.Key, credential: string(ask.Credential)}
	}
	held, err := e.ledger.Hold(ctx, ledger.Request{
		Account:   ledger.Key{Owner: record.ID, Window: d.Status.Window.Number},
		Lines:     linesOf(d.Status.Points, settings),
		Estimate:  ask.Estimate,
		Deadline:  now.Add(holdDeadline),
		Force:     d.Mode == budget.Shadow || ask.Free,
		Ephemeral: true,
	})
	if err != nil {
		e.rule(&d, rulingLedgerDown)
		return d
	}
	d.Hold = held.Hold
	d.Status.count(held.Totals)
	r := rulingOf(held.Outcome, d.Mode, ask.Free, record, d.Status.Points)
	if held.Outcome.Goes() {
		r = rulingUnknown
		if p.unknown == budget.StoreDown {
			r = rulingStoreDown
		}
	}
	e.rule(&d, r)
	return d
}

// admitMaster lets LiteLLM's master key through: whoever has it can lift every
// budget anyway. What it spends is counted.
func (e *Enforcer) admitMaster(ctx context.Context, ask *Ask, now time.Time) Decision {
	d := Decision{Mode: budget.Enforce, exempt: true}
	held, err := e.ledger.Hold(ctx, ledger.Request{
		Account:   ledger.Key{Owner: masterOwner},
		Lines:     ledger.Lines{Unlimited: true},
		Estimate:  ask.Estimate,
		Deadline:  now.Add(holdDeadline),
		Ephemeral: true,
	})
	if err == nil {
		d.Hold = held.Hold
	}
	e.rule(&d, rulingMaster)
	return d
}

// rule names the decision and counts it.
func (e *Enforcer) rule(d *Decision, r ruling) {
	d.Verdict, d.Reason = rulings[r].verdict, rulings[r].reason
	e.metrics.decided(r, d.Mode)
}

// rulingOf turns what the ledger found into a decision.
func rulingOf(o ledger.Outcome, mode budget.Mode, free bool, r *budget.Record, points budget.Points) ruling {
	switch {
	case o == ledger.Went && points.Unlimited && r.MaxBudget == nil:
		return rulingUnlimited
	case o == ledger.Went && points.Unlimited:
		return rulingOverride
	case o == ledger.Went:
		return rulingWithin
	case o == ledger.WentLast:
		return rulingLast
	case free:
		return rulingCostless
	case mode == budget.Shadow:
		return shadowOf(o)
	case o == ledger.Over:
		return rulingOver
	case o == ledger.TooLarge:
		return rulingTooLarge
	default:
		return rulingInUse
	}
}

func shadowOf(o ledger.Outcome) ruling {
	switch o {
	case ledger.Over:
		return rulingShadowOver
	case ledger.TooLarge:
		return rulingShadowTooLarge
	case ledger.Went, ledger.WentLast, ledger.Busy:
	}
	return rulingShadowInUse
}

// Settle ends the decision's hold with what the call cost, and brings d.Status
// up to date. Settling twice changes nothing.
func (e *Enforcer) Settle(d *Decision, s Settlement) {
	if d.origin != nil && s.Accepted {
		e.tenants.accepted(d.origin)
	}
	settled, ok := e.ledger.Settle(d.Hold, max(0, s.Cost))
	if !ok {
		return
	}
	d.Status.count(settled.Totals)
	e.metrics.settled(d, s)
}

// Release ends the decision's hold: the call never reached the upstream.
func (e *Enforcer) Release(d *Decision) { e.ledger.Release(d.Hold) }

// Renew moves the deadline of the decision's hold on: bytes have flowed. Calling
// it once a second is plenty.
func (e *Enforcer) Renew(d *Decision) { e.ledger.Renew(d.Hold, e.now().Add(holdDeadline)) }

func modeOf(r *budget.Record, s *Settings) budget.Mode {
	if r.Mode != "" {
		return r.Mode
	}
	return s.Mode
}

func linesOf(p budget.Points, s *Settings) ledger.Lines {
	if p.Unlimited {
		return ledger.Lines{Unlimited: true}
	}
	return ledger.Lines{Block: p.Block, Overshoot: s.Overshoot(p.Limit)}
}

// fill says what the record says at now.
func (s *Status) fill(r *budget.Record, now time.Time) {
	s.TenantID, s.Known = r.ID, true
	s.Points = r.PointsAt(now)
	s.GraceThreshold = r.GraceThreshold
	s.Window = r.Window.At(now, r.Rule)
	s.Revision = r.Revision
	if o := r.Override; o.ActiveAt(now) {
		s.OverrideID, s.OverrideUntil = o.ID, o.ExpiresAt
	}
}
