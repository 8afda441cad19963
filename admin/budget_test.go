package admin_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestBudgetKeepsWhatIsNotSent(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	const path = "/admin/tenants/acme/budget"
	p.must(http.StatusOK, "PUT", path, operatorToken, `{"max_budget":1000,"alert_threshold":70,"grace_threshold":120,
		"budget_duration":"1mo","anchor":"2026-01-31T00:00:00+01:00","reset_alignment":"anniversary","timezone":"Europe/Zurich","reason":"raise"}`)
	a := p.must(http.StatusOK, "PUT", path, operatorToken, `{"max_budget":600.25}`)
	for field, want := range map[string]any{
		"max_budget": 600.25, "alert_threshold": 70.0, "grace_threshold": 120.0, "budget_duration": "1mo",
		"anchor": "2026-01-30T23:00:00Z", "reset_alignment": "anniversary", "timezone": "Europe/Zurich",
		"budget_reset_at": "2026-11-29T23:00:00Z",
	} {
		if a.json[field] != want {
			t.Errorf("%s = %v, want %v", field, a.json[field], want)
		}
	}
	a = p.must(http.StatusOK, "PUT", path, operatorToken, `{"max_budget":null,"budget_duration":null}`)
	if a.json["max_budget"] != nil || a.json["budget_duration"] != nil || a.json["budget_reset_at"] != nil {
		t.Errorf("null is not kept as null: %s", a.body)
	}
	if got := p.must(http.StatusOK, "GET", path, viewerToken, ""); got.body != a.body {
		t.Errorf("GET says %s after PUT said %s", got.body, a.body)
	}
	if p.counters.told("acme") != 4 { // made, and three changes
		t.Errorf("the enforcer was told %d times, want 4", p.counters.told("acme"))
	}
}

func TestBudgetAmountsAreExact(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	for _, amount := range []string{"0.000000001", "0.1", "551.2", "999999999.999999999", "1000000000", "5e2"} {
		a := p.must(http.StatusOK, "PUT", "/admin/tenants/acme/budget", operatorToken, `{"max_budget":`+amount+`}`)
		want := amount
		switch amount {
		case "5e2":
			want = "500"
		case "999999999.999999999": // more digits than a double has
			want = "1000000000"
		}
		if !strings.Contains(a.body, `"max_budget":`+want+`,`) {
			t.Errorf("max_budget %s came back in %s", amount, a.body)
		}
	}
}

func TestBudgetHonoursIfMatch(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	const path = "/admin/tenants/acme/budget"
	first := p.must(http.StatusOK, "GET", path, viewerToken, "").header.Get("ETag")
	if !strings.HasPrefix(first, `"`) {
		t.Fatalf("ETag %q is no entity tag", first)
	}
	second := p.must(http.StatusOK, "PUT", path, operatorToken, `{"max_budget":1}`, "If-Match", first).header.Get("ETag")
	if second == first {
		t.Error("a change leaves the ETag as it was")
	}
	a := p.must(http.StatusPreconditionFailed, "PUT", path, operatorToken, `{"max_budget":2}`, "If-Match", first)
	wantProblem(t, a)
	if !strings.Contains(a.detail(), "If-Match") {
		t.Errorf("412 says %q, which names no remedy", a.detail())
	}
	p.must(http.StatusPreconditionFailed, "PUT", path, operatorToken, `{"max_budget":2}`, "If-Match", "W/"+second)
	p.must(http.StatusPreconditionFailed, "PUT", path, operatorToken, `{"max_budget":2}`, "If-Match", "nonsense")
	if a := p.must(http.StatusOK, "GET", path, viewerToken, ""); a.json["max_budget"] != 1.0 {
		t.Errorf("a refused change was written: %s", a.body)
	}
	p.must(http.StatusOK, "PUT", path, operatorToken, `{"max_budget":3}`, "If-Match", `"0", `+second)
	p.must(http.StatusOK, "PUT", path, operatorToken, `{"max_budget":4}`, "If-Match", "*")
	p.must(http.StatusOK, "PUT", path, operatorToken, `{"max_budget":5}`)
}

func TestBudgetChangesAreAudited(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	p.must(http.StatusOK, "PUT", "/admin/tenants/acme/budget", operatorToken, `{"max_budget":750,"reason":"project grows"}`)
	a := p.must(http.StatusOK, "GET", "/admin/audit?tenant_id=acme&action=budget_changed", viewerToken, "")
	items, _ := a.json["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("audit holds %s, want one change", a.body)
	}
	e, _ := items[0].(map[string]any)
	if e["actor"] != "otto" || e["reason"] != "project grows" || e["before"] == nil || e["after"] == nil || e["at"] != "2026-11-21T12:00:00Z" {
		t.Errorf("audit row %v", e)
	}
}
