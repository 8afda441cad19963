package main

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
	"github.com/pursestring/pursestring/internal/litellm/litellmtest"
	"github.com/pursestring/pursestring/proxy"
)

func TestDirectorySpeaksEnforcesWords(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	if _, err := fake.AddKey(litellmtest.Key{Credential: testKey, Alias: "agent"}); err != nil {
		t.Fatal(err)
	}
	var offered []string
	d := directory{
		client:   litellm.New(litellm.Options{BaseURL: fake.URL()}),
		accepted: func(credential string) { offered = append(offered, credential) },
	}
	if facts, err := d.Key(t.Context(), testKey); err != nil || facts.Alias != "agent" {
		t.Errorf("a virtual key: %+v, %v", facts, err)
	}
	if _, err := d.Key(t.Context(), "sk-test-nobody-knows-me"); !errors.Is(err, enforce.ErrRejected) {
		t.Errorf("an unknown key: %v, want ErrRejected", err)
	}
	if _, err := d.Key(t.Context(), fake.MasterKey()); !errors.Is(err, enforce.ErrNoKey) {
		t.Errorf("the master key: %v, want ErrNoKey", err)
	}
	if len(offered) != 1 || offered[0] != testKey {
		t.Errorf("offered %d credentials, want the accepted one alone", len(offered))
	}
}

func TestUpstreamHealth(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	for _, tt := range []struct {
		sentence, url, key, want string
		reachable                bool
	}{
		{"the right master key", fake.URL(), fake.MasterKey(), "accepted", true},
		{"a wrong master key", fake.URL(), "sk-test-wrong-master", "rejected", true},
		{"no master key", fake.URL(), "", "not_set", true},
		{"nobody there", "http://127.0.0.1:1", "sk-test-any-master", "unknown", false},
	} {
		h := upstreamHealth{litellm.New(litellm.Options{BaseURL: tt.url, MasterKey: tt.key})}.Health(t.Context())
		if h.MasterKey != tt.want || h.Reachable != tt.reachable {
			t.Errorf("%s: %+v, want master key %s, reachable %v", tt.sentence, h, tt.want, tt.reachable)
		}
	}
}

// known decides that everybody's tenant is known.
type known struct {
	proxy.Enforcer
	unknown bool
}

func (k *known) Admit(context.Context, *enforce.Ask) enforce.Decision {
	return enforce.Decision{Status: enforce.Status{Known: !k.unknown}}
}

func TestOfferingIsRareAndOnlyForKnownKeys(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	offers := 0
	inner := &known{}
	o := &offering{Enforcer: inner, offer: func(string) { offers++ }, now: func() time.Time { return now }}
	admit := func(kind enforce.CredentialKind) {
		o.Admit(t.Context(), &enforce.Ask{Kind: kind, Credential: []byte(testKey)})
	}
	admit(enforce.OtherCredential)
	inner.unknown = true
	admit(enforce.VirtualKey)
	if offers != 0 {
		t.Errorf("%d offers for a token and an unknown key, want none", offers)
	}
	inner.unknown = false
	for range 3 {
		admit(enforce.VirtualKey)
	}
	if offers != 1 {
		t.Errorf("%d offers within a minute, want 1", offers)
	}
	now = now.Add(offerEvery)
	admit(enforce.VirtualKey)
	if offers != 2 {
		t.Errorf("%d offers after a minute, want 2", offers)
	}
}

// TestPricesAreReadWithoutMasterKey restarts a process whose tenants are all in
// the store: it must still learn what LiteLLM's own model names cost.
func TestPricesAreReadWithoutMasterKey(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	c := demoConfig(t.TempDir(), fake, testToken)
	c.LiteLLM.MasterKey = config.Secret{}
	first := startServe(t, c, serveOptions{})
	newDollarTenant(t, fake, first)
	first.stop()
	before := fake.Calls("/model/info") + fake.Calls("/v1/model/info")
	second := startServe(t, c, serveOptions{})
	if a := second.chat(t, testKey, 1); a.status != http.StatusOK {
		t.Fatalf("status %d\n%s", a.status, a.body)
	}
	waitUntil(t, "deployments are read with the caller's key", func() bool {
		return fake.Calls("/model/info")+fake.Calls("/v1/model/info") > before
	})
}

func TestPriceOverrides(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Prices.Models = map[string]map[string]float64{"m": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}}
	cost, priced := litellm.NewPrices(priceOverrides(c)).Cost("m", litellm.Usage{Input: 1000, Output: 1000})
	if want := 3 * budget.Dollar / 1000; !priced || cost != want {
		t.Errorf("a call on m costs %s (priced %v), want %s", cost, priced, want)
	}
}
