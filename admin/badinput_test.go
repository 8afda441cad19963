package admin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Bad bodies end in a 4xx that names the field, and leave everything as it was.
func TestBadInput(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	before := everything(p)
	budget, override, reset, tenant := "PUT /admin/tenants/acme/budget", "POST /admin/tenants/acme/budget-override", "POST /admin/tenants/acme/reset", "PUT /admin/tenants/acme"
	for _, c := range []struct {
		name, route, body string
		status            int
		detail            string // part of it
	}{
		{"no body", budget, ``, 400, "body"},
		{"blanks only", budget, `   `, 400, "ends early"},
		{"no JSON", budget, `max_budget=5`, 400, "not JSON"},
		{"cut JSON", budget, `{"max_budget":5`, 400, "ends early"},
		{"two documents", budget, `{"max_budget":5}{"max_budget":6}`, 400, "goes on"},
		{"a member twice", budget, `{"max_budget":5,"max_budget":5000}`, 400, `"max_budget" is there twice`},
		{"a member twice in other case", budget, `{"max_budget":5,"Max_Budget":5000}`, 400, "is there twice"},
		{"broken UTF-8", budget, "{\"max_budget\":5,\"reason\":\"\xff\"}", 400, "UTF-8"},
		{"NaN", budget, `{"max_budget":NaN}`, 400, "not JSON"},
		{"Infinity", budget, `{"max_budget":Infinity}`, 400, "not JSON"},
		{"a number that no double holds", budget, `{"max_budget":1e400}`, 400, "body"},
		{"an array", budget, `[{"max_budget":5}]`, 422, "object"},
		{"a text", budget, `"5"`, 422, "object"},
		{"null", budget, `null`, 422, "body"},
		{"an unknown member", budget, `{"max_budget":5,"max_bugdet":6}`, 422, "max_bugdet"},
		{"max_budget is missing", budget, `{"alert_threshold":80}`, 422, "max_budget"},
		{"max_budget is a text", budget, `{"max_budget":"5"}`, 422, "max_budget"},
		{"max_budget is an object", budget, `{"max_budget":{}}`, 422, "max_budget"},
		{"max_budget is 0", budget, `{"max_budget":0}`, 422, "max_budget"},
		{"max_budget is negative", budget, `{"max_budget":-5}`, 422, "max_budget"},
		{"max_budget rounds to nothing", budget, `{"max_budget":1e-12}`, 422, "max_budget"},
		{"max_budget is astronomical", budget, `{"max_budget":1e308}`, 422, "max_budget"},
		{"max_budget is over a billion", budget, `{"max_budget":1000000000.5}`, 422, "max_budget"},
		{"alert below 50", budget, `{"max_budget":5,"alert_threshold":49}`, 422, "alert_threshold"},
		{"alert above 100", budget, `{"max_budget":5,"alert_threshold":101}`, 422, "alert_threshold"},
		{"alert with a fraction", budget, `{"max_budget":5,"alert_threshold":80.5}`, 422, "alert_threshold"},
		{"alert is null", budget, `{"max_budget":5,"alert_threshold":null}`, 422, "alert_threshold"},
		{"grace below 100", budget, `{"max_budget":5,"grace_threshold":99}`, 422, "grace_threshold"},
		{"grace above 150", budget, `{"max_budget":5,"grace_threshold":151}`, 422, "grace_threshold"},
		{"grace is null", budget, `{"max_budget":5,"grace_threshold":null}`, 422, "grace_threshold"},
		{"a duration without a unit", budget, `{"max_budget":5,"budget_duration":"30"}`, 422, "budget_duration"},
		{"a duration of 0", budget, `{"max_budget":5,"budget_duration":"0d"}`, 422, "budget_duration"},
		{"an empty duration", budget, `{"max_budget":5,"budget_duration":""}`, 422, "budget_duration"},
		{"a duration of centuries", budget, `{"max_budget":5,"budget_duration":"2000mo"}`, 422, "budget_duration"},
		{"a duration that is a number", budget, `{"max_budget":5,"budget_duration":30}`, 422, "budget_duration"},
		{"an anchor that is no instant", budget, `{"max_budget":5,"anchor":"yesterday"}`, 422, "anchor"},
		{"an anchor in the year 0", budget, `{"max_budget":5,"anchor":"0000-01-01T00:00:00Z"}`, 422, "anchor"},
		{"an anchor that is null", budget, `{"max_budget":5,"anchor":null}`, 422, "anchor"},
		{"an alignment of its own", budget, `{"max_budget":5,"reset_alignment":"lunar"}`, 422, "reset_alignment"},
		{"an alignment that is null", budget, `{"max_budget":5,"reset_alignment":null}`, 422, "reset_alignment"},
		{"a zone that is not there", budget, `{"max_budget":5,"timezone":"Mars/Olympus"}`, 422, "timezone"},
		{"a zone that is a path", budget, `{"max_budget":5,"timezone":"../../etc/passwd"}`, 422, "timezone"},
		{"the server's own zone", budget, `{"max_budget":5,"timezone":"Local"}`, 422, "timezone"},
		{"a zone that is null", budget, `{"max_budget":5,"timezone":null}`, 422, "timezone"},
		{"a huge text", budget, `{"max_budget":5,"timezone":"` + strings.Repeat("x", 100_000) + `"}`, 422, "timezone"},
		{"a huge member name", budget, `{"max_budget":5,"` + strings.Repeat("x", 100_000) + `":1}`, 422, "body"},
		{"a body over 1 MiB", budget, `{"max_budget":5,"reason":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "1 MiB"},

		{"an override of nothing", override, `{"duration":"1d","reason":"x"}`, 422, "override_amount"},
		{"an override of both kinds", override, `{"override_amount":5,"disable_enforcement":true,"duration":"1d","reason":"x"}`, 422, "override_amount"},
		{"disable_enforcement false alone", override, `{"disable_enforcement":false,"duration":"1d","reason":"x"}`, 422, "override_amount"},
		{"an amount of 0", override, `{"override_amount":0,"duration":"1d","reason":"x"}`, 422, "override_amount"},
		{"a negative amount", override, `{"override_amount":-1,"duration":"1d","reason":"x"}`, 422, "override_amount"},
		{"an amount that rounds to nothing", override, `{"override_amount":1e-11,"duration":"1d","reason":"x"}`, 422, "override_amount"},
		{"an amount that is null", override, `{"override_amount":null,"disable_enforcement":true,"duration":"1d","reason":"x"}`, 422, "override_amount"},
		{"an astronomical amount", override, `{"override_amount":1e300,"duration":"1d","reason":"x"}`, 422, "override_amount"},
		{"no duration", override, `{"override_amount":5,"reason":"x"}`, 422, "duration"},
		{"an empty duration", override, `{"override_amount":5,"duration":"","reason":"x"}`, 422, "duration"},
		{"a negative duration", override, `{"override_amount":5,"duration":"-1d","reason":"x"}`, 422, "duration"},
		{"no reason", override, `{"override_amount":5,"duration":"1d"}`, 422, "reason"},
		{"a blank reason", override, `{"override_amount":5,"duration":"1d","reason":"  "}`, 422, "reason"},
		{"replace is a text", override, `{"override_amount":5,"duration":"1d","reason":"x","replace":"yes"}`, 422, "replace"},

		{"a reset without a reason", reset, `{}`, 422, "reason"},
		{"a reset with a blank reason", reset, `{"reason":" \t"}`, 422, "reason"},
		{"a reset without a body", reset, ``, 400, "body"},
		{"a novel for a reason", reset, `{"reason":"` + strings.Repeat("x", 501) + `"}`, 422, "reason"},

		{"a mode of its own", tenant, `{"mode":"off"}`, 422, "mode"},
		{"an empty mode", tenant, `{"mode":""}`, 422, "mode"},
		{"an alias that is null", tenant, `{"alias":null}`, 422, "alias"},
		{"an alias with a line break", tenant, `{"alias":"a\nb"}`, 422, "alias"},
		{"a tenant without a body", tenant, ``, 400, "body"},
	} {
		method, path, _ := strings.Cut(c.route, " ")
		a := p.do(method, path, adminToken, c.body)
		if a.status != c.status || !strings.Contains(a.detail(), c.detail) {
			t.Errorf("%s: %s %.60s = %d %.300s, want %d with %q", c.name, c.route, c.body, a.status, a.body, c.status, c.detail)
		}
		wantProblem(t, a)
		if len(a.body) > 3000 {
			t.Errorf("%s: the answer has %d bytes: it repeats what was sent", c.name, len(a.body))
		}
	}
	for name, contentType := range map[string]string{"a form": "application/x-www-form-urlencoded", "plain text": "text/plain", "rubbish": ";;+"} {
		a := p.do("PUT", "/admin/tenants/acme/budget", adminToken, `{"max_budget":5}`, "Content-Type", contentType)
		if a.status != http.StatusUnsupportedMediaType || !strings.Contains(a.detail(), "application/json") {
			t.Errorf("%s: %v, want 415 that names application/json", name, a)
		}
	}
	chunked := struct{ io.Reader }{strings.NewReader(`{"reason":"` + strings.Repeat("x", 2<<20) + `"}`)} // of a length that nobody knows before
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.http.URL+"/admin/tenants/acme/budget", chunked)
	if err != nil {
		t.Fatal(err)
	}
	if a := p.send(req, "Authorization", "Bearer "+adminToken); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a chunked body of 2 MiB: %v, want 413", a)
	}
	for path, field := range map[string]string{
		"DELETE /admin/tenants/acme/keys/abc": "path.key_hash", "DELETE /admin/tenants/acme/keys?key_hash=abc": "query.key_hash",
		"DELETE /admin/tenants/acme/keys": "query.key_hash", "PUT /admin/tenants/key:x": "path.id",
		"GET /admin/audit?cursor=-1": "query.cursor", "GET /admin/alerts?limit=many": "query.limit",
	} {
		method, path, _ := strings.Cut(path, " ")
		body := ""
		if method == http.MethodPut {
			body = "{}"
		}
		if a := p.do(method, path, adminToken, body); a.status != http.StatusUnprocessableEntity || !strings.HasPrefix(a.detail(), field+": ") {
			t.Errorf("%s %s = %v, want 422 that names %s", method, path, a, field)
		}
	}
	if after := everything(p); after != before {
		t.Errorf("something was written:\nbefore %s\nafter  %s", before, after)
	}
}

// everything is all that can be read of the tenant acme.
func everything(p *plane) string {
	p.t.Helper()
	var b strings.Builder
	for _, path := range []string{"/admin/tenants", "/admin/tenants/acme/budget", "/admin/tenants/acme/budget-override", "/admin/tenants/acme/status", "/admin/audit"} {
		b.WriteString(p.must(http.StatusOK, "GET", path, viewerToken, "").body)
	}
	return b.String()
}
