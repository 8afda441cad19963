package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pursestring/pursestring/admin"
	"github.com/pursestring/pursestring/internal/budget"
)

func TestHealthNeedsNoToken(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	if a := p.must(http.StatusOK, "GET", "/healthz", "", ""); a.json["status"] != "ok" {
		t.Errorf("healthz: %s", a.body)
	}
	a := p.must(http.StatusOK, "GET", "/readyz", "", "")
	if a.body != `{"status":"ready","checks":{"ledger":"up","litellm":"up","store":"up"}}`+"\n" {
		t.Errorf("readyz: %s", a.body)
	}
	a = p.must(http.StatusOK, "GET", "/api/v1/health/litellm", "", "")
	want := `{"status":"healthy","reachable":true,"version":"1.106.12","master_key":"accepted","database":"connected","problem":null,` +
		`"tenants":{"blocked":0,"grace":0,"ok":1,"warning":0}}` + "\n"
	if a.body != want {
		t.Errorf("litellm: %s, want %s", a.body, want)
	}
}

func TestReadinessWhileDraining(t *testing.T) {
	t.Parallel()
	p := newPlane(t, func(o *setup) { o.ready = func() error { return errors.New("draining") } })
	a := p.must(http.StatusServiceUnavailable, "GET", "/readyz", "", "")
	if a.json["status"] != "not_ready" || a.json["reason"] != "draining" {
		t.Errorf("readyz: %s", a.body)
	}
	p.must(http.StatusOK, "GET", "/healthz", "", "")
}

// hangingUpstream answers when its caller gives up.
type hangingUpstream struct{}

func (hangingUpstream) Health(ctx context.Context) admin.UpstreamHealth {
	<-ctx.Done()
	return admin.UpstreamHealth{Problem: "no answer"}
}

// What we depend on shows and keeps nobody out, and a hanging one does not make
// the answer late: a kubelet waits a second.
func TestReadinessWithEverythingAway(t *testing.T) {
	t.Parallel()
	h := admin.NewHealth(admin.HealthOptions{
		Ready:    func() error { return nil },
		Store:    func(context.Context) error { return errors.New("disk full at /secret/path") },
		Ledger:   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		Upstream: hangingUpstream{}, Log: quiet(),
	})
	defer h.Close()
	ops := admin.NewOps(h, newRegistry(), secret(""))
	w := httptest.NewRecorder()
	began := time.Now()
	ops.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusOK || w.Body.String() != `{"status":"ready","checks":{"ledger":"slow","litellm":"slow","store":"down"}}`+"\n" {
		t.Errorf("readyz = %d %s", w.Code, w.Body)
	}
	if took := time.Since(began); took > 2*time.Second { // the checks would take 3
		t.Errorf("readyz took %v", took)
	}
}

func TestUpstreamHealthInWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		health admin.UpstreamHealth
		want   string
	}{
		{"away", admin.UpstreamHealth{Problem: "connection refused"}, `"status":"unreachable","reachable":false,"version":null,"master_key":"unknown","database":null,"problem":"connection refused"`},
		{"without its database", admin.UpstreamHealth{Reachable: true, MasterKey: "accepted", Database: "disconnected"}, `"status":"degraded"`},
		{"with another master key", admin.UpstreamHealth{Reachable: true, MasterKey: "rejected", Database: "connected"}, `"master_key":"rejected"`},
		{"without a master key of ours", admin.UpstreamHealth{Reachable: true, MasterKey: "not_set", Database: "connected"}, `"status":"healthy"`},
	} {
		p := newPlane(t, func(o *setup) { o.upstream = c.health })
		if a := p.must(http.StatusOK, "GET", "/api/v1/health/litellm", "", ""); !strings.Contains(a.body, c.want) {
			t.Errorf("LiteLLM %s: %s, want %s", c.name, a.body, c.want)
		}
	}
}

func TestTenantsByState(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	db, ok := p.store.(interface {
		SaveSpend(ctx context.Context, windows []budget.WindowSpend, unresolved []budget.UnresolvedSpend, moved []budget.KeyHash) error
	})
	if !ok {
		t.Fatal("the store keeps no spend")
	}
	for id, spent := range map[string]budget.Money{"fine": 1, "warned": 400, "grace": 500, "blocked": 550, "far-over": 9000} {
		p.tenant(id)
		if err := db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: id, Number: 1, Spent: spent * budget.Dollar}}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	a := p.must(http.StatusOK, "GET", "/api/v1/health/litellm", "", "")
	if !strings.Contains(a.body, `"tenants":{"blocked":2,"grace":1,"ok":1,"warning":1}`) {
		t.Errorf("health: %s", a.body)
	}
}

func TestMetricsAskForTheirToken(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	wantProblem(t, p.must(http.StatusUnauthorized, "GET", "/metrics", "", ""))
	p.must(http.StatusUnauthorized, "GET", "/metrics", adminToken, "")
	a := p.must(http.StatusOK, "GET", "/metrics", metricsToken, "")
	if !strings.Contains(a.body, `pursestring_webhook_events_total{event="other"} 0`) {
		t.Errorf("metrics: %s", a.body)
	}
}

func TestOpsServesNothingElse(t *testing.T) {
	t.Parallel()
	h := admin.NewHealth(admin.HealthOptions{Ready: func() error { return nil }, Upstream: upstream{}, Log: quiet()})
	defer h.Close()
	ops := admin.NewOps(h, newRegistry(), secret(""))
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200,
		"/": 404, "/admin/tenants": 404, "/openapi.yaml": 404, "/api/v1/budget-alerts": 404, "/healthz/x": 404,
	} {
		w := httptest.NewRecorder()
		ops.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s = %d, want %d", path, w.Code, want)
		}
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	reg := newRegistry()
	admin.NewMetrics(reg)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	for path, want := range map[string]string{"/": "<title>Pursestring</title>", "/ui/page.js": "fetch(", "/ui/page.css": "state-blocked"} {
		a := p.must(http.StatusOK, "GET", path, "", "")
		if !strings.Contains(a.body, want) {
			t.Errorf("%s holds no %q", path, want)
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s has the policy %q", path, csp)
		}
	}
	p.must(http.StatusNotFound, "GET", "/ui/", "", "")
	p.must(http.StatusNotFound, "GET", "/index.html", "", "")
}
