package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm/litellmtest"
)

const (
	testToken = "ps-admin-for-tests"
	testKey   = "sk-test-agent-0123456789"
)

func startFake(t *testing.T) *litellmtest.Server {
	t.Helper()
	fake, err := litellmtest.Start(litellmtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fake.Close() })
	return fake
}

// running is a process's worth of serve.
type running struct {
	addresses
	stop func() // waits until everything has stopped; calling it again does nothing
}

func startServe(t *testing.T, c *config.Config, o serveOptions) *running {
	t.Helper()
	if o.log == nil {
		o.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan addresses, 1), make(chan error, 1)
	o.ready = func(at addresses) { ready <- at }
	go func() { ended <- serve(ctx, c, o) }()
	stopped := false
	r := &running{stop: func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	}}
	select {
	case r.addresses = <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("serve ended before it was ready: %v", err)
	case <-time.After(30 * time.Second):
		cancel()
		t.Fatal("not ready within 30 s")
	}
	t.Cleanup(r.stop)
	return r
}

// chat makes a call that costs the given cents, if it goes.
func (r *running) chat(t *testing.T, key string, cents int) answer {
	t.Helper()
	body := map[string]any{
		"model": "gpt-4o", "max_tokens": cents * tokensPerCent,
		"messages": []map[string]any{{"role": "user", "content": "[[p=0 c=" + strconv.Itoa(cents*tokensPerCent) + "]]"}},
	}
	a, err := request(t.Context(), http.MethodPost, "http://"+r.Proxy+"/v1/chat/completions", key, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (r *running) status(t *testing.T, id string) tenantStatus {
	t.Helper()
	d := demo{admin: "http://" + r.Admin, token: testToken}
	s, err := d.status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newDollarTenant(t *testing.T, fake *litellmtest.Server, r *running) {
	t.Helper()
	d := demo{fake: fake, admin: "http://" + r.Admin, token: testToken}
	if err := d.makeTenant(t.Context(), demoTenant{id: "acme", agent: testKey}); err != nil {
		t.Fatal(err)
	}
}

func TestServeAllowsRefusesAndRemembers(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	c := demoConfig(t.TempDir(), fake, testToken)
	first := startServe(t, c, serveOptions{})
	newDollarTenant(t, fake, first)

	if a := first.chat(t, testKey, 60); a.status != http.StatusOK || a.header.Get("x-budget-spend-usd") != "0.6" {
		t.Errorf("the first call: status %d, spend %q, want 200 and 0.6\n%s", a.status, a.header.Get("x-budget-spend-usd"), a.body)
	}
	if a := first.chat(t, testKey, 60); a.status != http.StatusOK {
		t.Errorf("the second call, below the block point: status %d, want 200\n%s", a.status, a.body)
	}
	calls := fake.UpstreamCalls()
	a := first.chat(t, testKey, 1)
	if a.status != http.StatusPaymentRequired || !strings.Contains(errorText(a.body), "Current: $1.20, Limit: $1.00.") {
		t.Errorf("over the block point: status %d, want 402 with the amounts\n%s", a.status, a.body)
	}
	if got := fake.UpstreamCalls(); got != calls {
		t.Errorf("the refused call reached the provider")
	}
	first.stop()

	second := startServe(t, c, serveOptions{})
	if s := second.status(t, "acme"); s.Spend != 1.2 || s.State != "blocked" {
		t.Errorf("after a restart the tenant is %s with $%v, want blocked with $1.2", s.State, s.Spend)
	}
	if a := second.chat(t, testKey, 1); a.status != http.StatusPaymentRequired {
		t.Errorf("after a restart: status %d, want 402", a.status)
	}
}

func TestServePlanes(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	dir := t.TempDir()
	config := func(plane config.Plane) *config.Config {
		c := demoConfig(dir, fake, testToken)
		c.Plane, c.Ops.Listen = plane, "127.0.0.1:0"
		return c
	}
	admin := startServe(t, config("admin"), serveOptions{})
	data := startServe(t, config("data"), serveOptions{})
	if admin.Proxy != "" || admin.Admin == "" || data.Admin != "" || data.Proxy == "" {
		t.Errorf("the admin plane listens on %+v, the data plane on %+v", admin.addresses, data.addresses)
	}
	for _, r := range []*running{admin, data} {
		for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/admin/tenants": 404} {
			a, err := request(t.Context(), http.MethodGet, "http://"+r.Ops+path, testToken, nil)
			if err != nil || a.status != want {
				t.Errorf("ops port, %s: status %d, error %v, want %d", path, a.status, err, want)
			}
		}
	}
	// The two share the store: what one plane grants, the other goes by.
	newDollarTenant(t, fake, admin)
	if a := data.chat(t, testKey, 120); a.status != http.StatusOK {
		t.Fatalf("status %d\n%s", a.status, a.body)
	}
	waitUntil(t, "the admin plane shows what the data plane counted", func() bool {
		return admin.status(t, "acme").Spend == 1.2
	})
}

func TestServeReloads(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "pursestring.yaml")
	write := func(mode, token string) {
		sum := sha256.Sum256([]byte(token))
		text := fmt.Sprintf(`
enforce: {mode: %s}
proxy: {listen: "127.0.0.1:0", upstream: %q}
admin:
  listen: 127.0.0.1:0
  tokens: [{name: test, role: platform_admin, sha256: %x}]
store: {url: %q}
`, mode, fake.URL(), sum, "sqlite:"+filepath.Join(dir, "p.db"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("enforce", testToken)
	source := config.Source{Path: path}
	loaded, err := config.Load(source)
	if err != nil {
		t.Fatal(err)
	}
	r := startServe(t, loaded.Config, serveOptions{reload: &reloading{source: source, files: loaded.Files}})
	newDollarTenant(t, fake, r)
	if a := r.chat(t, testKey, 120); a.status != http.StatusOK {
		t.Fatalf("status %d\n%s", a.status, a.body)
	}
	if a := r.chat(t, testKey, 1); a.status != http.StatusPaymentRequired {
		t.Fatalf("status %d, want 402\n%s", a.status, a.body)
	}
	const newToken = "ps-admin-another"
	write("shadow", newToken)
	waitUntil(t, "the reloaded mode lets calls pass", func() bool {
		a := r.chat(t, testKey, 1)
		return a.status == http.StatusOK && a.header.Get("x-budget-mode") == "shadow"
	})
	for token, want := range map[string]int{testToken: http.StatusUnauthorized, newToken: http.StatusOK} {
		a, err := request(t.Context(), http.MethodGet, "http://"+r.Admin+"/admin/tenants", token, nil)
		if err != nil || a.status != want {
			t.Errorf("after the reload %s gets %d, error %v, want %d", token, a.status, err, want)
		}
	}
}

func TestServeNamesAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	c := demoConfig(t.TempDir(), fake, testToken)
	first := startServe(t, c, serveOptions{})
	c2 := demoConfig(t.TempDir(), fake, testToken)
	c2.Proxy.Listen = first.Proxy
	err := serve(t.Context(), c2, serveOptions{log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "proxy.listen: cannot listen on "+first.Proxy) {
		t.Errorf("got %v, want an error that names the setting and the address", err)
	}
}

func TestEnforceSettings(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.LiteLLM.MasterKey = config.NewSecret("sk-test-master")
	c.Enforce.Defaults.Timezone = "Europe/Zurich"
	s := enforceSettings(c)
	if got := s.Overshoot(budget.Dollar); got != 20*budget.Dollar {
		t.Errorf("the overshoot of $1 is %s, want $20", got)
	}
	if s.MasterKey == nil || *s.MasterKey != budget.HashKey([]byte("sk-test-master")) {
		t.Error("the master key's hash is not passed on")
	}
	if s.Defaults.Zone.String() != "Europe/Zurich" || *s.Defaults.MaxBudget != 500*budget.Dollar {
		t.Errorf("defaults %+v", s.Defaults)
	}
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

func TestServeStopsBeforeItIsReady(t *testing.T) {
	t.Parallel()
	c := demoConfig(t.TempDir(), startFake(t), testToken)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx, c, serveOptions{log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Errorf("got %v, want a quiet end", err)
	}
}

// TestServeDrains stops while a call is in flight: the call ends, and its cost
// is in the store.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	c := demoConfig(t.TempDir(), fake, testToken)
	c.Proxy.ShutdownGrace = 20 * time.Second
	first := startServe(t, c, serveOptions{})
	newDollarTenant(t, fake, first)
	answered := make(chan answer, 1)
	calls := fake.UpstreamCalls()
	go func() {
		a, err := request(context.WithoutCancel(t.Context()), http.MethodPost, "http://"+first.Proxy+"/v1/chat/completions", testKey, map[string]any{
			"model": "gpt-4o", "max_tokens": 50 * tokensPerCent,
			"messages": []map[string]any{{"role": "user", "content": "[[p=0 c=50000 slow=1]]"}},
		})
		if err != nil {
			t.Error(err)
		}
		answered <- a
	}()
	waitUntil(t, "the call has reached the provider", func() bool { return fake.UpstreamCalls() > calls })
	first.stop()
	if a := <-answered; a.status != http.StatusOK {
		t.Errorf("the call in flight got %d, want 200\n%s", a.status, a.body)
	}
	second := startServe(t, c, serveOptions{})
	if s := second.status(t, "acme"); s.Spend != 0.5 {
		t.Errorf("the store has $%v, want the $0.5 of the call that was drained", s.Spend)
	}
}
