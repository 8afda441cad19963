package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/admin"
	"github.com/pursestring/pursestring/internal/budget"
)

// roleOf says which role each operation asks for; "" is everybody. An operation
// that is described and not here fails the test.
var roleOf = map[string]string{
	"list-tenants": "viewer", "show-tenant": "viewer", "put-tenant": "operator", "delete-tenant": "platform_admin",
	"show-budget": "viewer", "put-budget": "operator",
	"list-keys": "viewer", "add-key": "operator", "remove-key": "operator", "remove-key-by-path": "operator",
	"show-override": "viewer", "grant-override": "platform_admin", "revoke-override": "platform_admin",
	"reset-budget": "operator", "show-status": "viewer", "list-alerts": "viewer", "list-audit": "viewer",
	"litellm-health": "", "liveness": "", "readiness": "", "metrics": "", "budget-alerts": "",
}

type operation struct{ id, method, path string }

// described is every operation of the API's description.
func described(t *testing.T, p *plane) []operation {
	t.Helper()
	var doc struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}
	a := p.must(http.StatusOK, http.MethodGet, "/openapi.json", "", "")
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatalf("the description is no JSON: %v", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("the description is OpenAPI %q, want 3.1", doc.OpenAPI)
	}
	var ops []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			ops = append(ops, operation{id: fmt.Sprint(op["operationId"]), method: strings.ToUpper(method), path: path})
		}
	}
	return ops
}

func TestEveryOperationAsksForItsRole(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	ops := described(t, p)
	if len(ops) != len(roleOf) {
		t.Errorf("%d operations are described, %d are expected", len(ops), len(roleOf))
	}
	callers := []struct{ role, token string }{{"", ""}, {"viewer", viewerToken}, {"operator", operatorToken}, {"platform_admin", adminToken}}
	ranks := []string{"", "viewer", "operator", "platform_admin"}
	for _, op := range ops {
		need, ok := roleOf[op.id]
		if !ok {
			t.Errorf("%s %s (%s) has no role in this table", op.method, op.path, op.id)
			continue
		}
		if need == "" {
			continue // public, or authenticated in its own way: other tests
		}
		path := strings.NewReplacer("{id}", "acme", "{key_hash}", strings.Repeat("0", 64)).Replace(op.path)
		for _, c := range callers {
			a := p.do(op.method, path, c.token, "")
			want := 0 // anything but a refusal
			switch {
			case c.role == "":
				want = http.StatusUnauthorized
			case slices.Index(ranks, c.role) < slices.Index(ranks, need):
				want = http.StatusForbidden
			}
			refused := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
			if want != 0 && a.status != want || want == 0 && refused {
				t.Errorf("%s %s as %q (needs %s) = %v, want %d", op.method, path, c.role, need, a, want)
			}
			if want != 0 {
				wantProblem(t, a)
			}
		}
		a := p.do(op.method, path, "wrong", "", "Authorization", "Basic "+adminToken)
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s with Basic = %v, want 401 with WWW-Authenticate", op.method, path, a)
		}
	}
}

// wantProblem checks that an answer is a problem that says something.
func wantProblem(t *testing.T, a answer) {
	t.Helper()
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content-type %q of %v, want application/problem+json", ct, a)
	}
	if a.detail() == "" || a.json["status"] != float64(a.status) || a.json["title"] == nil {
		t.Errorf("problem %s has no detail, status %d or title", a.body, a.status)
	}
}

func TestWrongTokensAreSlowedDown(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.must(http.StatusOK, http.MethodGet, "/admin/tenants", viewerToken, "")
	for range 10 {
		p.must(http.StatusUnauthorized, http.MethodGet, "/admin/tenants", "guess", "")
	}
	a := p.must(http.StatusTooManyRequests, http.MethodGet, "/admin/tenants", "guess", "")
	if a.header.Get("Retry-After") == "" {
		t.Error("429 has no Retry-After")
	}
	wantProblem(t, a)
	p.must(http.StatusTooManyRequests, http.MethodGet, "/admin/tenants", adminToken, "") // right, but guessed for all we know
	p.must(http.StatusOK, http.MethodGet, "/admin/tenants", viewerToken, "")             // was right from here before
	p.clock.add(7e9)
	p.must(http.StatusOK, http.MethodGet, "/admin/tenants", adminToken, "")
}

func TestTokensAreReplaced(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.must(http.StatusOK, http.MethodGet, "/admin/tenants", viewerToken, "")
	p.server.SetTokens(nil)
	p.must(http.StatusUnauthorized, http.MethodGet, "/admin/tenants", viewerToken, "")
	p.server.SetTokens(tokens())
	p.must(http.StatusOK, http.MethodGet, "/admin/tenants", viewerToken, "")
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	for _, c := range []struct {
		name, method, path string
		status             int
	}{
		{"a path that nobody serves", "GET", "/admin/nothing", 404},
		{"a later issue's path", "GET", "/admin/calls", 404},
		{"a method that the path does not have", "PATCH", "/admin/tenants/acme", 405},
		{"a method on the webhook", "GET", "/api/v1/budget-alerts", 405},
		{"an empty tenant id is no tenant called keys", "DELETE", "/admin/tenants//keys", 400},
		{"a dot segment is not resolved", "GET", "/admin/tenants/../audit", 400},
	} {
		a := p.do(c.method, c.path, adminToken, "")
		if a.status != c.status {
			t.Errorf("%s: %s %s = %v, want %d", c.name, c.method, c.path, a, c.status)
		}
		wantProblem(t, a)
		if c.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s: 405 has no Allow", c.name)
		}
	}
}

func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	p.do("POST", "/admin/tenants/acme/keys", operatorToken, `{"key":"sk-test-never-seen"}`)
	p.do("POST", "/admin/tenants/acme/keys", operatorToken, `{"key":"sk-test-never-seen","surprise":1}`)
	p.do("POST", "/admin/tenants/acme/keys", operatorToken, `{"key":"no sk-test-never-seen"}`)
	p.do("POST", "/admin/tenants/acme/keys", operatorToken, `{"key_hash":"sk-test-never-seen"}`)
	p.do("GET", "/admin/tenants/sk-test-never-seen", operatorToken, "")
	p.do("GET", "/admin/tenants?search=sk-test-never-seen", operatorToken, "")
	p.do("POST", "/api/v1/budget-alerts/"+webhookToken, "", `{}`)
	p.do("POST", "/api/v1/budget-alerts?token="+webhookToken, "", `{}`)
	p.do("GET", "/metrics", metricsToken, "")
	p.http.Close()
	log := p.log.String()
	if strings.Count(log, "admin request") < 9 {
		t.Errorf("the log has too few lines:\n%s", log)
	}
	for _, secret := range []string{"never-seen", webhookToken, metricsToken, operatorToken} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, `"actor":"otto"`) || !strings.Contains(log, `"route":"PUT /admin/tenants/{id}"`) {
		t.Errorf("the log does not say who did what:\n%s", log)
	}
}

// brokenStore panics, and its errors tell what is not for callers.
type brokenStore struct{ admin.Store }

func (brokenStore) Record(context.Context, string, time.Time) (budget.Record, error) {
	panic("nobody expected this")
}

func (brokenStore) Alerts(context.Context, budget.HistoryFilter) ([]budget.AlertEvent, int64, error) {
	return nil, 0, errors.New("no such column: secret_column")
}

func (brokenStore) Audit(context.Context, budget.HistoryFilter) ([]budget.AuditEntry, int64, error) {
	return nil, 0, &budget.Error{Code: budget.CodeUnavailable, Message: "open /secret/path", Err: errors.New("disk I/O error")}
}

func TestTroubleInsideStaysInside(t *testing.T) {
	t.Parallel()
	p := newPlane(t, func(o *setup) { o.store = brokenStore{newStore(t, time.Now)} })
	for path, want := range map[string]int{"/admin/tenants/acme": 500, "/admin/alerts": 500, "/admin/audit": 503} {
		a := p.must(want, "GET", path, viewerToken, "")
		wantProblem(t, a)
		for _, inside := range []string{"secret", "nobody", "disk"} {
			if strings.Contains(a.body, inside) {
				t.Errorf("%s tells what is for the log: %s", path, a.body)
			}
		}
	}
	p.http.Close()
	for _, said := range []string{"BUG: panic", "secret_column", "disk I/O error"} {
		if !strings.Contains(p.log.String(), said) {
			t.Errorf("the log does not say %q", said)
		}
	}
}
