package enforce

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/pursestring/pursestring/internal/budget"
)

const (
	// refusalKept is how long an answer about a key's own limit is used again:
	// LiteLLM refuses by the hundred when it does.
	refusalKept = 2 * time.Second
	// mostRefusals bounds the answers kept.
	mostRefusals = 1024
)

// UpstreamRefused judges LiteLLM's own budget refusal of a call that we let go.
// UpstreamLimit: recorded spend says that the limit it names is reached.
// UpstreamInUse: below it, or nobody can tell, so it was LiteLLM's reservation
// and money is left. "": somebody else's limit, which is passed on as it came.
//
// The figure in the refusal's text is no evidence: it holds LiteLLM's open
// reservations, up to thousands of times the truth (seen on 1.106).
func (e *Enforcer) UpstreamRefused(ctx context.Context, ask *Ask, d *Decision, r budget.UpstreamRefusal) budget.Reason {
	reason := e.judgeRefusal(ctx, ask, d, r)
	e.metrics.upstreamRefused(reason)
	if reason != "" && e.upstream.sometimes(e.now()) {
		e.log.Warn("LiteLLM refused a call for its own budget before ours was spent: lift its limit above the block point, or switch its reservation off",
			"tenant_id", d.Status.TenantID, "subject", r.Subject, "reason", string(reason))
	}
	return reason
}

func (e *Enforcer) judgeRefusal(ctx context.Context, ask *Ask, d *Decision, r budget.UpstreamRefusal) budget.Reason {
	switch r.Subject {
	case "key", "user", "team":
	case "key_window", "team_window", "team_member":
		return budget.UpstreamInUse // LiteLLM tells nobody what these have spent
	default:
		return ""
	}
	if e.limitReached(ctx, ask, d, r) {
		return budget.UpstreamLimit
	}
	return budget.UpstreamInUse
}

// limitReached compares recorded spend with the limit: ours, when the tenant is
// what the refusal names, else LiteLLM's database, which lags by up to 15 s.
func (e *Enforcer) limitReached(ctx context.Context, ask *Ask, d *Decision, r budget.UpstreamRefusal) bool {
	if r.Max != nil && d.Status.Known && e.isSubject(ctx, ask, r.Subject) && d.Status.Spent >= *r.Max {
		return true
	}
	if e.tenants.dir == nil || ask.Kind != VirtualKey {
		return false
	}
	return e.upstream.reached(ask.Key, r.Subject, e.now(), func() bool {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupWait)
		defer cancel()
		b, err := e.tenants.limitsOf(ctx, string(ask.Credential), r)
		return err == nil && b.MaxBudget != nil && b.Spend >= *b.MaxBudget
	})
}

// isSubject reports whether the tenant's spend is that of what the refusal names.
func (e *Enforcer) isSubject(ctx context.Context, ask *Ask, subject string) bool {
	p := e.policies.find(ctx, ask, e.now())
	if p.record == nil {
		return false
	}
	switch p.record.Origin {
	case budget.OriginKey:
		return subject == "key"
	case budget.OriginTeam:
		return subject == "team"
	case budget.OriginUser:
		return subject == "user"
	case budget.OriginAdmin, budget.OriginStore, budget.OriginMetadata:
	}
	return false
}

// limitsOf reads the limit and recorded spend of what a refusal names.
func (t *tenants) limitsOf(ctx context.Context, credential string, r budget.UpstreamRefusal) (budget.UpstreamBudget, error) {
	facts, err := t.dir.Key(ctx, credential)
	if err != nil || r.Subject == "key" {
		return facts.Limits, err
	}
	if r.Subject == "team" {
		return t.dir.Team(ctx, credential, facts.TeamID)
	}
	limits, _, err := t.dir.User(ctx, credential, facts.UserID)
	return limits, err
}

// recordedSpend remembers, for a moment, whether a key's limit is reached.
type recordedSpend struct {
	flights singleflight.Group
	mu      sync.Mutex
	answers map[refusalKey]refusalAnswer
	warned  time.Time
}

type refusalKey struct {
	hash    budget.KeyHash
	subject string
}

type refusalAnswer struct {
	reached bool
	until   time.Time
}

func (s *recordedSpend) init() { s.answers = make(map[refusalKey]refusalAnswer) }

func (s *recordedSpend) reached(hash budget.KeyHash, subject string, now time.Time, ask func() bool) bool {
	k := refusalKey{hash, subject}
	if a, ok := s.answer(k); ok && now.Before(a.until) {
		return a.reached
	}
	v, _, _ := s.flights.Do(subject+string(hash[:]), func() (any, error) {
		reached := ask()
		s.keep(k, refusalAnswer{reached: reached, until: now.Add(refusalKept)})
		return reached, nil
	})
	return v.(bool)
}

func (s *recordedSpend) answer(k refusalKey) (refusalAnswer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.answers[k]
	return a, ok
}

func (s *recordedSpend) keep(k refusalKey, a refusalAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) >= mostRefusals {
		clear(s.answers)
	}
	s.answers[k] = a
}

// sometimes is true once a minute, so that a warning does not drown the log.
func (s *recordedSpend) sometimes(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.warned) < time.Minute {
		return false
	}
	s.warned = now
	return true
}
