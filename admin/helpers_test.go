package admin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/pursestring/pursestring/admin"
	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/store"
)

const (
	viewerToken   = "viewer-token-in-clear"
	operatorToken = "operator-token-in-clear"
	adminToken    = "admin-token-in-clear"
	webhookToken  = "webhook-token-in-clear"
	webhookSecret = "webhook-secret-in-clear"
	metricsToken  = "metrics-token-in-clear"
	masterKey     = "sk-test-master"
)

// What the real parts must fit.
var (
	_ admin.Store        = (*store.DB)(nil)
	_ admin.WebhookStore = (*store.DB)(nil)
	_ admin.Enforcer     = (*enforce.Enforcer)(nil)
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// counters stands for the live side: what the test says has been counted.
type counters struct {
	store admin.Store
	now   func() time.Time

	mu          sync.Mutex
	live        map[string]enforce.Status // amounts only
	flushed     int
	flushErr    error
	invalidated []string
	keys        []budget.KeyHash
}

func (c *counters) count(id string, s enforce.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[id] = s
}

func (c *counters) Status(ctx context.Context, id string) (enforce.Status, budget.Record, error) {
	now := c.now()
	r, err := c.store.Record(ctx, id, now)
	if err != nil {
		return enforce.Status{}, r, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.live[id]
	s.TenantID, s.Known, s.Points, s.Window = id, true, r.PointsAt(now), r.Window.At(now, r.Rule)
	s.State = s.Points.State(s.Spent)
	return s, r, nil
}

func (c *counters) LiveSpend(id string, _ int64) (budget.Money, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.live[id]
	return s.Spent, ok
}

func (c *counters) Flush(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushed++
	return c.flushErr
}

func (c *counters) Invalidate(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.invalidated = append(c.invalidated, id)
}

func (c *counters) InvalidateKey(h budget.KeyHash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, h)
}

// told reports how often a tenant's policy was invalidated.
func (c *counters) told(id string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.invalidated {
		if other == id {
			n++
		}
	}
	return n
}

type upstream struct{ health admin.UpstreamHealth }

func (u upstream) Health(context.Context) admin.UpstreamHealth { return u.health }

// plane is an admin plane under test.
type plane struct {
	t        *testing.T
	server   *admin.Server
	store    admin.Store
	counters *counters
	webhook  *admin.Webhook
	metrics  *prometheus.Registry
	log      *bytes.Buffer // read it only when nothing runs any more
	clock    *clock
	http     *httptest.Server
}

// setup is what a test may change before the plane is made.
type setup struct {
	store        admin.Store // nil: a real one
	webhookStore admin.WebhookStore
	ready        func() error
	upstream     admin.UpstreamHealth
	mode         budget.Mode
}

func newPlane(t *testing.T, change ...func(*setup)) *plane {
	t.Helper()
	o := setup{
		ready:    func() error { return nil },
		upstream: admin.UpstreamHealth{Reachable: true, Version: "1.106.12", MasterKey: "accepted", Database: "connected"},
		mode:     budget.Enforce,
	}
	for _, f := range change {
		f(&o)
	}
	p := &plane{t: t, clock: &clock{t: noon}, metrics: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	if p.store = o.store; p.store == nil {
		p.store = newStore(t, p.clock.now)
	}
	if o.webhookStore == nil {
		o.webhookStore = p.store
	}
	log := slog.New(slog.NewJSONHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	metrics := admin.NewMetrics(p.metrics)
	p.counters = &counters{store: p.store, now: p.clock.now, live: map[string]enforce.Status{}}
	p.webhook = admin.NewWebhook(admin.WebhookOptions{
		Token: config.NewSecret(webhookToken), HMACSecret: config.NewSecret(webhookSecret),
		Store: o.webhookStore, Metrics: metrics, Log: log, Now: p.clock.now,
	})
	health := admin.NewHealth(admin.HealthOptions{
		Ready: o.ready, Store: p.store.Ping, Ledger: func(context.Context) error { return nil },
		Upstream: upstream{o.upstream}, Log: log,
		Tenants: func(ctx context.Context) (map[budget.State]int, error) {
			return p.store.CountTenants(ctx, p.clock.now())
		},
	})
	master := budget.HashKey([]byte(masterKey))
	p.server = admin.New(admin.Options{
		Store: p.store, Enforcer: p.counters, Health: health, Webhook: p.webhook, Metrics: metrics, Log: log,
		Ops:    admin.NewOps(health, p.metrics, config.NewSecret(metricsToken)),
		Tokens: tokens(), MasterKey: &master, Version: "test", Now: p.clock.now,
		Defaults: func() admin.Defaults { return admin.Defaults{Budget: defaultBudget(t), Mode: o.mode} },
	})
	p.http = httptest.NewServer(p.server)
	t.Cleanup(func() {
		p.http.Close()
		health.Close()
	})
	return p
}

func tokens() []admin.Token {
	return []admin.Token{
		{Name: "vera", Role: config.RoleViewer, SHA256: sha256.Sum256([]byte(viewerToken))},
		{Name: "otto", Role: config.RoleOperator, SHA256: sha256.Sum256([]byte(operatorToken))},
		{Name: "ada", Role: config.RolePlatformAdmin, SHA256: sha256.Sum256([]byte(adminToken))},
	}
}

func defaultBudget(t *testing.T) budget.Terms {
	t.Helper()
	month, err := budget.ParsePeriod("30d")
	if err != nil {
		t.Fatal(err)
	}
	limit := 500 * budget.Dollar
	return budget.Terms{MaxBudget: &limit, AlertThreshold: 80, GraceThreshold: 110, Period: month}
}

// newStore is a store of its own, in a file, with the schema of today.
func newStore(t *testing.T, now func() time.Time) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "admin.db"), store.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// answer is what came back, with its JSON taken apart where it is an object.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (a answer) String() string { return http.StatusText(a.status) + " " + a.body }

// detail is a problem's detail.
func (a answer) detail() string {
	s, _ := a.json["detail"].(string)
	return s
}

func (p *plane) do(method, path, token, body string, headers ...string) answer {
	p.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.http.URL+path, r)
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return p.send(req, headers...)
}

func (p *plane) send(req *http.Request, headers ...string) answer {
	p.t.Helper()
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.json) // stays nil where it is none
	return a
}

// must is do, for a request that has to end with the given status.
func (p *plane) must(status int, method, path, token, body string, headers ...string) answer {
	p.t.Helper()
	a := p.do(method, path, token, body, headers...)
	if a.status != status {
		p.t.Fatalf("%s %s %s = %d %s, want %d", method, path, body, a.status, a.body, status)
	}
	return a
}

// tenant makes a tenant with the default budget.
func (p *plane) tenant(escapedID string) {
	p.t.Helper()
	p.must(http.StatusCreated, http.MethodPut, "/admin/tenants/"+escapedID, operatorToken, `{}`)
}

// metric returns a counter's or a gauge's value.
func (p *plane) metric(name string, labels ...string) float64 {
	p.t.Helper()
	families, err := p.metrics.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if hasLabels(m, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	p.t.Fatalf("there is no metric %s %v", name, labels)
	return 0
}

func hasLabels(m *dto.Metric, want []string) bool {
	for i := 0; i < len(want); i += 2 {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetName() == want[i] && l.GetValue() == want[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

// eventually polls until ok, for a few seconds at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("test ended before: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func secret(s string) config.Secret { return config.NewSecret(s) }

// post sends a body to a handler without a network between, through a mux, which
// the path of the webhook needs.
func post(t *testing.T, h http.Handler, path, body string, headers ...string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
