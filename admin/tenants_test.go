package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

func TestTenantsAreMadeChangedAndDeleted(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	a := p.must(http.StatusCreated, "PUT", "/admin/tenants/acme", operatorToken, `{"alias":"Acme","mode":"shadow"}`)
	if a.json["id"] != "acme" || a.json["alias"] != "Acme" || a.json["mode"] != "shadow" || a.json["own_mode"] != "shadow" || a.json["state"] != "ok" {
		t.Errorf("new tenant: %s", a.body)
	}
	b, _ := a.json["budget"].(map[string]any)
	if b["max_budget"] != 500.0 || b["alert_threshold"] != 80.0 || b["grace_threshold"] != 110.0 || b["budget_duration"] != "30d" || b["budget_reset_at"] != "2026-12-21T12:00:00Z" {
		t.Errorf("a new tenant has the budget %v, want the defaults", b)
	}
	if a.json["limit_usd"] != 500.0 || a.json["block_usd"] != 550.0 {
		t.Errorf("lines of a new tenant: %s", a.body)
	}
	a = p.must(http.StatusOK, "PUT", "/admin/tenants/acme", operatorToken, `{"mode":null}`)
	if a.json["alias"] != "Acme" || a.json["mode"] != "enforce" || a.json["own_mode"] != nil {
		t.Errorf("alias not kept, or mode not back to the global one: %s", a.body)
	}
	a = p.must(http.StatusOK, "GET", "/admin/tenants/acme", viewerToken, "")
	if a.json["alias"] != "Acme" || a.header.Get("ETag") == "" {
		t.Errorf("show: %v %v", a, a.header)
	}
	if p.counters.told("acme") != 2 {
		t.Errorf("the enforcer was told %d times, want twice", p.counters.told("acme"))
	}
	a = p.must(http.StatusNoContent, "DELETE", "/admin/tenants/acme", adminToken, "")
	if a.body != "" || p.counters.told("acme") != 3 {
		t.Errorf("delete: %v, enforcer told %d times", a, p.counters.told("acme"))
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/admin/tenants/acme", ""}, {"DELETE", "/admin/tenants/acme", ""},
		{"GET", "/admin/tenants/acme/budget", ""}, {"PUT", "/admin/tenants/acme/budget", `{"max_budget":5}`},
		{"GET", "/admin/tenants/acme/keys", ""}, {"POST", "/admin/tenants/acme/keys", `{"key":"sk-test-gone"}`},
		{"GET", "/admin/tenants/acme/budget-override", ""}, {"DELETE", "/admin/tenants/acme/budget-override", ""},
		{"POST", "/admin/tenants/acme/budget-override", `{"override_amount":5,"duration":"1d","reason":"x"}`},
		{"POST", "/admin/tenants/acme/reset", `{"reason":"x"}`}, {"GET", "/admin/tenants/acme/status", ""},
	} {
		a := p.must(http.StatusNotFound, c.method, c.path, adminToken, c.body)
		wantProblem(t, a)
		if !strings.Contains(a.detail(), `"acme"`) {
			t.Errorf("%s %s says %q, which does not name the tenant", c.method, c.path, a.detail())
		}
	}
}

// Ids that need encoding reach the same tenant on every route.
func TestTenantIDsOfAnyScript(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	for _, id := range []string{"a/b%ü ☃", "plain", "日本", "a+b&c=d?e#f", "with space", "%2F", "trailing/", `quo"te`, "keys", "50%", "…"} {
		path := "/admin/tenants/" + url.PathEscape(id)
		p.must(http.StatusCreated, "PUT", path, operatorToken, `{}`)
		p.must(http.StatusCreated, "POST", path+"/keys", operatorToken, fmt.Sprintf(`{"key":"sk-test-%x"}`, id))
		for _, route := range []string{"", "/budget", "/keys", "/status", "/budget-override"} {
			a := p.must(http.StatusOK, "GET", path+route, viewerToken, "")
			if got, ok := a.json["id"]; ok && got != id {
				t.Errorf("GET %s answers for %q", path+route, got)
			}
		}
		a := p.must(http.StatusOK, "GET", "/admin/tenants?search="+url.QueryEscape(id), viewerToken, "")
		if !strings.Contains(a.body, "budget_duration") {
			t.Errorf("search for %q finds nothing: %s", id, a.body)
		}
		p.must(http.StatusNoContent, "DELETE", path, adminToken, "")
		p.must(http.StatusNotFound, "GET", path, viewerToken, "")
	}
}

func TestTenantIDsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	for _, escaped := range []string{
		"sk-test-key", "key:abc", "a%00b", "a%0Ab", "%FF", strings.Repeat("x", 300), "%2E%2E", "%2E",
	} {
		a := p.do("PUT", "/admin/tenants/"+escaped, operatorToken, `{}`)
		if a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
			t.Errorf("PUT /admin/tenants/%.40s = %v, want it refused", escaped, a)
		}
		wantProblem(t, a)
	}
	a := p.must(http.StatusOK, "GET", "/admin/tenants", viewerToken, "")
	if items, _ := a.json["items"].([]any); len(items) != 0 {
		t.Errorf("refused tenants are there: %s", a.body)
	}
}

func TestTenantsArePaged(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	for i := range 7 {
		p.tenant(fmt.Sprintf("t%d%%2Fx", i))
	}
	var seen []string
	next := ""
	for pages := 0; ; pages++ {
		a := p.must(http.StatusOK, "GET", "/admin/tenants?limit=3&cursor="+url.QueryEscape(next), viewerToken, "")
		items, _ := a.json["items"].([]any)
		for _, item := range items {
			seen = append(seen, fmt.Sprint(item.(map[string]any)["id"]))
		}
		cursor, more := a.json["next"].(string)
		if !more {
			break
		}
		next = cursor
		if pages > 5 {
			t.Fatal("the pages have no end")
		}
	}
	if got := strings.Join(seen, " "); got != "t0/x t1/x t2/x t3/x t4/x t5/x t6/x" {
		t.Errorf("pages hold %s", got)
	}
	for _, query := range []string{"limit=0", "limit=501", "limit=x", "limti=5", "cursor=" + strings.Repeat("x", 300)} {
		wantProblem(t, p.must(http.StatusUnprocessableEntity, "GET", "/admin/tenants?"+query, viewerToken, ""))
	}
}

func TestListShowsLiveSpend(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	p.counters.count("acme", status(551*budget.Dollar))
	a := p.must(http.StatusOK, "GET", "/admin/tenants", viewerToken, "")
	if !strings.Contains(a.body, `"spend_usd":551,`) || !strings.Contains(a.body, `"state":"blocked"`) {
		t.Errorf("the list does not show what is spent now: %s", a.body)
	}
}
