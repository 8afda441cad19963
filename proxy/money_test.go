package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

func jsonAnswer(status int, cost, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Type: application/json\r\nx-litellm-response-cost: %s\r\nContent-Length: %d\r\n\r\n%s", status, cost, len(body), body)
}

// What an admitted call's answer says about the budget.
func TestBudgetHeaders(t *testing.T) {
	t.Parallel()
	all := []string{headerState, headerMode, headerLimit, headerSpend, headerRemaining, headerReset, headerCost}
	for name, c := range map[string]struct {
		request, answer string
		change          func(*recorder)
		want            map[string]string
	}{
		"JSON: after the settlement": {chat(`{}`), jsonAnswer(200, "1.2", "{}"), nil, map[string]string{
			headerState: "ok", headerLimit: "500", headerSpend: "1.2", headerRemaining: "548.8", headerReset: "2030-01-01T00:00:00Z", headerCost: "1.2"}},
		"an error costs nothing": {chat(`{}`), jsonAnswer(500, "0", "{}"), nil, map[string]string{
			headerState: "ok", headerLimit: "500", headerSpend: "0", headerRemaining: "550", headerReset: "2030-01-01T00:00:00Z", headerCost: "0"}},
		"a stream: at the admission": {chat(`{"stream":true}`), sseHead + sseEvent + "0\r\n\r\n", nil, map[string]string{
			headerState: "ok", headerLimit: "500", headerSpend: "0", headerRemaining: "550", headerReset: "2030-01-01T00:00:00Z"}},
		"HEAD": {"HEAD /v1/chat/completions HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 X\r\nContent-Length: 9\r\n\r\n", nil, nil},
		"no limit": {chat(`{}`), jsonAnswer(200, "1.2", "{}"), func(r *recorder) { r.status.Points = budget.Points{Unlimited: true} }, map[string]string{
			headerState: "ok", headerSpend: "1.2", headerReset: "2030-01-01T00:00:00Z", headerCost: "1.2"}},
		"an unknown tenant": {chat(`{}`), jsonAnswer(200, "1.2", "{}"), func(r *recorder) { r.status.TenantID, r.status.Known = "key:123456789abc", false }, map[string]string{
			headerState: "ok", headerCost: "1.2"}},
		"shadow": {chat(`{}`), jsonAnswer(200, "1.2", "{}"), func(r *recorder) {
			r.status.Window.End = time.Time{}
			r.decide = func(*enforce.Ask) enforce.Decision {
				return enforce.Decision{Verdict: budget.ShadowBlock, Reason: budget.OverBlockPoint, Mode: budget.Shadow}
			}
		}, map[string]string{headerState: "ok", headerMode: "shadow", headerLimit: "500", headerSpend: "1.2", headerRemaining: "548.8", headerCost: "1.2"}},
		"a free route": {"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n", jsonAnswer(200, "1.2", "{}"), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startProxy(t, answering(t, c.answer, false))
			if c.change != nil {
				c.change(r.led)
			}
			a := r.call(t, c.request)
			if name == "HEAD" { // whether it costs is the route's affair; it must answer
				return
			}
			for _, h := range all {
				if got := a.Header.Get(h); got != c.want[h] {
					t.Errorf("%s: %q, want %q", h, got, c.want[h])
				}
			}
		})
	}
}

// A refused call is answered here; the upstream sees nothing, and the client's
// connection goes on.
func TestRefusedCallGoesNowhere(t *testing.T) {
	t.Parallel()
	r := startProxy(t, httpUpstream(t, func(http.ResponseWriter, *http.Request) { t.Error("a refused call went up") }))
	c := r.dial(t)
	for reason, status := range map[budget.Reason]int{
		budget.OverBlockPoint: 402, budget.TooLarge: 402, budget.BudgetInUse: 429, budget.StoreDown: 503,
	} {
		r.led.decide = block(reason)
		c.send("%s", chat(`{"stream":true}`))
		a := c.receive("POST")
		if a.StatusCode != status || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("x-litellm-call-id") == "" || a.Close {
			t.Errorf("%s: %d %v", reason, a.StatusCode, a.Header)
		}
		if !json.Valid(a.body) {
			t.Errorf("%s: %q is not JSON", reason, a.body)
		}
	}
	if _, err := http.ParseTime(r.call(t, chat(`{}`)).Header.Get("Date")); err != nil {
		t.Error(err)
	}
}

// LiteLLM's own budget refusal, in the three statuses that it has had.
func TestUpstreamRefusal(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"message":"Budget has been exceeded! Key=tenant-a (sk-...AbCd) Current cost: 550.1, Max budget: 550.0","type":"budget_exceeded","param":null,"code":"422"}}`
	const other = `{"detail":[{"type":"missing"}]}`
	for name, c := range map[string]struct {
		status int
		body   string
		says   budget.Reason
		mode   budget.Mode
		want   int
	}{
		"its limit is reached, 400": {400, body, budget.UpstreamLimit, budget.Enforce, 402},
		"its limit is reached, 422": {422, body, budget.UpstreamLimit, budget.Enforce, 402},
		"its limit is reached, 429": {429, body, budget.UpstreamLimit, budget.Enforce, 402},
		"its reservation":           {422, body, budget.UpstreamInUse, budget.Enforce, 429},
		"somebody else's":           {422, body, "", budget.Enforce, 422},
		"shadow translates nothing": {422, body, budget.UpstreamLimit, budget.Shadow, 422},
		"another status":            {403, body, budget.UpstreamLimit, budget.Enforce, 403},
		"another 422":               {422, other, budget.UpstreamLimit, budget.Enforce, 422},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startProxy(t, answering(t, jsonAnswer(c.status, "0", c.body), false))
			var asked budget.UpstreamRefusal
			r.led.refused = func(u budget.UpstreamRefusal) budget.Reason { asked = u; return c.says }
			r.led.decide = func(*enforce.Ask) enforce.Decision {
				return enforce.Decision{Verdict: budget.Allow, Mode: c.mode}
			}
			cl := r.dial(t)
			for range 2 {
				cl.send("%s", chat(`{}`))
				a := cl.receive("POST")
				if a.StatusCode != c.want {
					t.Errorf("got %d %s", a.StatusCode, a.body)
				}
				if c.want == c.status && string(a.body) != c.body {
					t.Errorf("a passed answer is %q", a.body)
				}
				if c.want != c.status && (!json.Valid(a.body) || strings.Contains(string(a.body), "550.1")) {
					t.Errorf("translated into %s", a.body)
				}
			}
			if c.body == body && c.status != 403 && (asked.Subject != "key" || asked.Max == nil || *asked.Max != 550*budget.Dollar) {
				t.Errorf("asked about %+v", asked)
			}
			for _, s := range r.led.settlements() {
				if s.Cost != 0 || s.Provenance != budget.FromError {
					t.Errorf("settled %+v", s)
				}
			}
		})
	}
}

// GET /v1/budget shows a key's holder its own budget, and nothing to others.
func TestOwnStatus(t *testing.T) {
	t.Parallel()
	r := startProxy(t, httpUpstream(t, func(http.ResponseWriter, *http.Request) { t.Error("went up") }))
	r.led.status.Spent, r.led.status.Held = 425*budget.Dollar+budget.Cent*50, 2*budget.Dollar
	r.led.status.State = budget.StateWarning
	get := func(auth string) response {
		return r.call(t, "GET /v1/budget HTTP/1.1\r\nHost: h\r\n"+auth+"\r\n")
	}
	a := get("Authorization: Bearer " + testKey + "\r\n")
	const want = `{"tenant_id":"acme","state":"warning","spend_usd":425.5,"held_usd":2,"limit_usd":500,"alert_usd":400,"block_usd":550,` +
		`"remaining_usd":124.5,"percentage":85.1,"window":{"number":1,"start":"0001-01-01T00:00:00Z","end":"2030-01-01T00:00:00Z"},"resets_at":"2030-01-01T00:00:00Z"}` + "\n"
	if a.StatusCode != 200 || string(a.body) != want || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s\nwant %s", a.StatusCode, a.body, want)
	}
	if a := get("Authorization: Bearer sk-test-another\r\n"); a.StatusCode != 404 || strings.Contains(string(a.body), "acme") || strings.Contains(string(a.body), "another") {
		t.Errorf("another key gets %d %s", a.StatusCode, a.body)
	}
	if a := get(""); a.StatusCode != 401 {
		t.Errorf("without a key: %d %s", a.StatusCode, a.body)
	}
	r.led.status.Points = budget.Points{Unlimited: true}
	if a := get("x-api-key: " + testKey + "\r\n"); !strings.Contains(string(a.body), `"limit_usd":null`) || !strings.Contains(string(a.body), `"percentage":null`) {
		t.Errorf("without a limit: %s", a.body)
	}
}

// The credential that is charged is the one that the ask names, hashed as
// LiteLLM hashes it; a 401 or 403 shows that LiteLLM did not take it.
func TestAskAndAcceptance(t *testing.T) {
	t.Parallel()
	for status, accepted := range map[int]bool{200: true, 400: true, 401: false, 403: false, 429: true, 500: true} {
		r := startProxy(t, answering(t, jsonAnswer(status, "0", "{}"), false))
		asked := make(chan enforce.Ask, 1)
		r.led.decide = func(ask *enforce.Ask) enforce.Decision { asked <- *ask; return allow() }
		r.call(t, chat(`{"model":"m"}`))
		if ask := <-asked; ask.Key != budget.HashKey([]byte(testKey)) || ask.Kind != enforce.VirtualKey || ask.Estimate.Worst <= 0 {
			t.Errorf("asked %+v", ask)
		}
		if s := r.led.settlements(); len(s) != 1 || s[0].Accepted != accepted {
			t.Errorf("status %d is settled %+v", status, s)
		}
	}
}

// A hold is renewed while bytes flow, at most once a second.
func TestRenewal(t *testing.T) {
	t.Parallel()
	u := newSlowUpstream(t)
	r := startProxy(t, u.url)
	c := r.dial(t)
	c.send("%s", chat(`{"stream":true}`))
	<-u.begun
	u.step <- sseHead
	for range 100 {
		u.step <- sseEvent
	}
	u.step <- "0\r\n\r\n"
	c.receive("POST")
	r.led.mu.Lock()
	defer r.led.mu.Unlock()
	if r.led.renewed < 1 || r.led.renewed > 5 {
		t.Errorf("renewed %d times", r.led.renewed)
	}
}

// Under LiteLLM's root path the same calls cost money.
func TestRootPathIsAdmitted(t *testing.T) {
	t.Parallel()
	r := startProxy(t, echoUpstream(t), func(o *Options) { o.RootPaths = []string{"/llm"} })
	a := r.call(t, strings.Replace(chat(`{}`), "/v1/", "/llm/v1/", 1))
	if admitted, settled, _, _ := r.led.counts(); admitted != 1 || settled != 1 {
		t.Errorf("%d admitted, %d settled", admitted, settled)
	}
	if !strings.HasPrefix(string(a.body), "POST /llm/v1/chat/completions ") {
		t.Errorf("the upstream got %q", a.body)
	}
}

// With amounts hidden, an answer says how the tenant stands and no dollars.
func TestHiddenAmounts(t *testing.T) {
	t.Parallel()
	r := startProxy(t, answering(t, jsonAnswer(200, "1.2", "{}"), false), func(o *Options) { o.HideAmounts = true })
	a := r.call(t, chat(`{}`))
	for name := range a.Header {
		if strings.HasPrefix(name, "X-Budget") && strings.HasSuffix(name, "-Usd") {
			t.Errorf("%s is shown", name)
		}
	}
	if a.Header.Get(headerState) != "ok" || a.Header.Get(headerReset) == "" {
		t.Errorf("state and reset are missing: %v", a.Header)
	}
}
