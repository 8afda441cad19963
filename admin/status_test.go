package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	p.counters.count("acme", enforce.Status{Spent: 450*budget.Dollar + 123_456_789, Held: 7 * budget.Dollar, Risk: 2 * budget.Dollar, InFlight: 3})
	p.clock.add(36 * time.Hour)
	a := p.must(http.StatusOK, "GET", "/admin/tenants/acme/status", viewerToken, "")
	for field, want := range map[string]any{
		"id": "acme", "state": "warning", "mode": "enforce", "spend_usd": 450.123456789, "held_usd": 7.0, "risk_usd": 2.0,
		"calls_in_flight": 3.0, "max_budget": 500.0, "limit_usd": 500.0, "alert_usd": 400.0, "block_usd": 550.0,
		"effective_block_usd": nil, "remaining_usd": 99.876543211, "percentage": 90.02, "resets_at": "2026-12-21T12:00:00Z",
		"days_left": 29.0, "override": nil, "needs_budget": false,
	} {
		if got, ok := a.json[field]; !ok || got != want {
			t.Errorf("%s = %v, want %v", field, got, want)
		}
	}
	w, _ := a.json["window"].(map[string]any)
	if w["number"] != 1.0 || w["start"] != "2026-11-21T12:00:00Z" || w["end"] != "2026-12-21T12:00:00Z" {
		t.Errorf("window %v", w)
	}
	if a.header.Get("ETag") == "" {
		t.Error("status has no ETag")
	}
}

func TestStatusOfAnUnlimitedTenant(t *testing.T) {
	t.Parallel()
	p := newPlane(t, func(o *setup) { o.mode = budget.Shadow })
	p.tenant("acme")
	p.must(http.StatusOK, "PUT", "/admin/tenants/acme/budget", operatorToken, `{"max_budget":null,"budget_duration":null}`)
	p.counters.count("acme", status(9*budget.Dollar))
	a := p.must(http.StatusOK, "GET", "/admin/tenants/acme/status", viewerToken, "")
	for _, field := range []string{"max_budget", "limit_usd", "alert_usd", "block_usd", "remaining_usd", "percentage", "resets_at", "days_left"} {
		if got, ok := a.json[field]; !ok || got != nil {
			t.Errorf("%s = %v, want null", field, got)
		}
	}
	if a.json["state"] != "ok" || a.json["mode"] != "shadow" || a.json["spend_usd"] != 9.0 {
		t.Errorf("status: %s", a.body)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	p.clock.add(24 * time.Hour)
	a := p.must(http.StatusOK, "POST", "/admin/tenants/acme/reset", operatorToken, `{"reason":"wrong bill"}`)
	w, _ := a.json["window"].(map[string]any)
	if w["number"] != 2.0 || w["start"] != "2026-11-22T12:00:00Z" || w["end"] != "2026-12-21T12:00:00Z" {
		t.Errorf("after the reset the window is %v", w)
	}
	if p.counters.flushed != 1 || p.counters.told("acme") != 2 {
		t.Errorf("flushed %d times, enforcer told %d times; want 1 and 2", p.counters.flushed, p.counters.told("acme"))
	}
	audit := p.must(http.StatusOK, "GET", "/admin/audit?tenant_id=acme&action=budget_reset", viewerToken, "")
	if !strings.Contains(audit.body, "wrong bill") || !strings.Contains(audit.body, `"actor":"otto"`) {
		t.Errorf("audit: %s", audit.body)
	}
	p.counters.flushErr = errors.New("disk full")
	a = p.must(http.StatusServiceUnavailable, "POST", "/admin/tenants/acme/reset", operatorToken, `{"reason":"again"}`)
	if strings.Contains(a.body, "disk full") {
		t.Errorf("the answer tells what is for the log: %s", a.body)
	}
	w, _ = p.must(http.StatusOK, "GET", "/admin/tenants/acme/status", viewerToken, "").json["window"].(map[string]any)
	if w["number"] != 2.0 {
		t.Errorf("a reset that failed opened window %v", w)
	}
}
