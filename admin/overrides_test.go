package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// status is a live account that has spent so much.
func status(spent budget.Money) enforce.Status { return enforce.Status{Spent: spent} }

func TestOverrides(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	const path = "/admin/tenants/acme/budget-override"
	p.counters.count("acme", status(560*budget.Dollar))
	if a := p.must(http.StatusOK, "GET", path, viewerToken, ""); a.json["active"] != nil || !strings.Contains(a.body, `"items":[]`) {
		t.Errorf("before the first: %s", a.body)
	}
	p.must(http.StatusNotFound, "DELETE", path, adminToken, "")
	a := p.must(http.StatusCreated, "POST", path, adminToken, `{"override_amount":250,"duration":"7d","reason":"launch week"}`)
	if a.json["override_amount"] != 250.0 || a.json["expires_at"] != "2026-11-28T12:00:00Z" || a.json["granted_by"] != "ada" || a.json["active"] != true {
		t.Errorf("granted: %s", a.body)
	}
	s := p.must(http.StatusOK, "GET", "/admin/tenants/acme/status", viewerToken, "")
	if s.json["limit_usd"] != 750.0 || s.json["block_usd"] != 825.0 || s.json["state"] != "ok" || s.json["override"] == nil {
		t.Errorf("status under the override: %s", s.body)
	}
	wantProblem(t, p.must(http.StatusConflict, "POST", path, adminToken, `{"override_amount":1,"duration":"1d","reason":"more"}`))
	a = p.must(http.StatusCreated, "POST", path, adminToken, `{"disable_enforcement":true,"duration":"2h","reason":"incident","replace":true}`)
	if a.json["disable_enforcement"] != true || a.json["override_amount"] != 0.0 {
		t.Errorf("replaced: %s", a.body)
	}
	p.must(http.StatusNoContent, "DELETE", path, adminToken, "")
	p.must(http.StatusNotFound, "DELETE", path, adminToken, "")
	p.must(http.StatusCreated, "POST", path, adminToken, `{"override_amount":0.5,"duration":"1h","reason":"third"}`)
	p.clock.add(time.Hour)
	a = p.must(http.StatusOK, "GET", path, viewerToken, "")
	items, _ := a.json["items"].([]any)
	if a.json["active"] != nil || len(items) != 3 {
		t.Errorf("after the last has run out: %s", a.body)
	}
	p.must(http.StatusCreated, "POST", path, adminToken, `{"override_amount":1,"duration":"1d","reason":"the expired one is not in the way"}`)
}

func TestOverrideOfAnUnlimitedTenant(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	p.must(http.StatusOK, "PUT", "/admin/tenants/acme/budget", operatorToken, `{"max_budget":null}`)
	wantProblem(t, p.must(http.StatusConflict, "POST", "/admin/tenants/acme/budget-override", adminToken, `{"override_amount":5,"duration":"1d","reason":"x"}`))
}
