package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pursestring/pursestring/admin"
	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
	"github.com/pursestring/pursestring/proxy"
)

// directory is LiteLLM's admin API as enforce looks keys up in it.
type directory struct {
	client *litellm.Client
	// accepted is told of every credential that LiteLLM has taken; it must not
	// block.
	accepted func(credential string)
}

var _ enforce.Directory = directory{}

// Key looks a key up with its own authority.
func (d directory) Key(ctx context.Context, credential string) (budget.KeyFacts, error) {
	facts, err := d.client.KeyInfo(ctx, credential)
	if err != nil {
		return facts, inDirectoryWords(err)
	}
	d.accepted(credential)
	return facts, nil
}

// Team reads a team's budget with a key's authority.
func (d directory) Team(ctx context.Context, credential, id string) (budget.UpstreamBudget, error) {
	facts, err := d.client.Team(ctx, credential, id)
	return facts, inDirectoryWords(err)
}

// User reads a user's budget with a key's authority.
func (d directory) User(ctx context.Context, credential, id string) (budget.UpstreamBudget, bool, error) {
	facts, err := d.client.User(ctx, credential, id)
	return facts.Budget, facts.ProxyAdmin, inDirectoryWords(err)
}

// inDirectoryWords says what a failed look-up means for the key.
func inDirectoryWords(err error) error {
	switch {
	case errors.Is(err, litellm.ErrRejected):
		return fmt.Errorf("%w: %w", enforce.ErrRejected, err)
	case errors.Is(err, litellm.ErrNotFound):
		return fmt.Errorf("%w: %w", enforce.ErrNoKey, err)
	}
	return err
}

// offerEvery is how often a caller's credential is offered for reading prices.
const offerEvery = time.Minute

// offering offers the credentials of callers whose tenants are known, now and
// then. A key that has been looked up was offered then, by directory; but after a
// restart all keys may be known from the store, and prices must be read all the
// same.
type offering struct {
	proxy.Enforcer
	offer func(credential string) // must not block
	now   func() time.Time
	next  atomic.Int64 // Unix nanoseconds from which the next offer is due
}

// Admit decides as the enforcer does.
func (o *offering) Admit(ctx context.Context, ask *enforce.Ask) enforce.Decision {
	d := o.Enforcer.Admit(ctx, ask)
	if d.Status.Known && ask.Kind == enforce.VirtualKey && o.due() {
		o.offer(string(ask.Credential))
	}
	return d
}

// due is true for one caller in each offerEvery.
func (o *offering) due() bool {
	now, next := o.now(), o.next.Load()
	return now.UnixNano() >= next && o.next.CompareAndSwap(next, now.Add(offerEvery).UnixNano())
}

// upstreamHealth is LiteLLM's health as the admin plane shows it.
type upstreamHealth struct{ client *litellm.Client }

var _ admin.Upstream = upstreamHealth{}

// Health asks LiteLLM how it is, and with a master key whether it is taken.
func (u upstreamHealth) Health(ctx context.Context) admin.UpstreamHealth {
	h, err := u.client.Health(ctx)
	view := admin.UpstreamHealth{Reachable: h.Reachable, Version: h.Version, Database: h.Database, MasterKey: "not_set"}
	if err != nil {
		view.Problem = err.Error()
	}
	if !u.client.HasMasterKey() {
		return view
	}
	view.MasterKey = "unknown"
	if !h.Reachable {
		return view
	}
	// The cheapest question that only a master key may ask.
	switch _, err := u.client.User(ctx, "", "default_user_id"); {
	case err == nil, errors.Is(err, litellm.ErrNotFound):
		view.MasterKey = "accepted"
	case errors.Is(err, litellm.ErrRejected):
		view.MasterKey = "rejected"
		view.Problem = "LiteLLM does not accept litellm.master_key"
	}
	return view
}

// enforceSettings takes from the configuration what decisions need. Validate has
// passed, so the zone is known.
func enforceSettings(c *config.Config) enforce.Settings {
	d := &c.Enforce.Defaults
	return enforce.Settings{
		Mode:      c.Enforce.Mode,
		Overshoot: c.Enforce.MaxOvershoot.For,
		StatusTTL: c.Enforce.StatusTTL,
		Defaults: enforce.Defaults{
			MaxBudget:      d.MaxBudget,
			AlertThreshold: d.AlertThreshold,
			GraceThreshold: d.GraceThreshold,
			Period:         d.BudgetDuration,
			Alignment:      d.ResetAlignment,
			Zone:           zone(c),
		},
		Resolve:    c.Tenants.Resolve,
		AutoCreate: c.Tenants.AutoCreate,
		Inherit:    c.Tenants.InheritBudget,
		MasterKey:  c.MasterKeyHash(),
	}
}

// adminDefaults are the same defaults in the admin API's words.
func adminDefaults(c *config.Config) admin.Defaults {
	d := &c.Enforce.Defaults
	return admin.Defaults{
		Mode: c.Enforce.Mode,
		Budget: budget.Terms{
			MaxBudget:      d.MaxBudget,
			AlertThreshold: d.AlertThreshold,
			GraceThreshold: d.GraceThreshold,
			Period:         d.BudgetDuration,
			Alignment:      d.ResetAlignment,
			Zone:           zone(c),
		},
	}
}

func zone(c *config.Config) *time.Location {
	z, err := time.LoadLocation(c.Enforce.Defaults.Timezone)
	if err != nil {
		return time.UTC
	}
	return z
}

// priceOverrides are prices.models as LiteLLM's own price list would hold them.
func priceOverrides(c *config.Config) map[string]map[string]any {
	overrides := make(map[string]map[string]any, len(c.Prices.Models))
	for model, prices := range c.Prices.Models {
		fields := make(map[string]any, len(prices))
		for name, value := range prices {
			fields[name] = value
		}
		overrides[model] = fields
	}
	return overrides
}
