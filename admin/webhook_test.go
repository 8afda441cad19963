package admin_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pursestring/pursestring/admin"
	"github.com/pursestring/pursestring/internal/budget"
)

const webhookPath = "/api/v1/budget-alerts"

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// recorded is the body of a webhook as LiteLLM 1.106 sent it.
func recorded(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "webhook", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// recordAll runs the webhook until everything that was accepted is recorded.
func recordAll(t *testing.T, h *admin.Webhook) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Run drains what waits before it ends
	if err := h.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestWebhookIsAuthenticated(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	body := recorded(t, "budget-crossed-key")
	for _, c := range []struct {
		name, path string
		headers    []string
		status     int
	}{
		{"a token in the path", webhookPath + "/" + webhookToken, nil, 200},
		{"a token in the query", webhookPath + "?token=" + webhookToken, nil, 200},
		{"a signature", webhookPath, []string{"X-Signature-256", sign(webhookSecret, body)}, 200},
		{"a signature beside a wrong token", webhookPath + "/wrong", []string{"X-Signature-256", sign(webhookSecret, body)}, 200},
		{"a wrong signature beside a right token", webhookPath + "/" + webhookToken, []string{"X-Signature-256", sign("other", body)}, 200},
		{"nothing", webhookPath, nil, 401},
		{"a wrong token in the path", webhookPath + "/wrong", nil, 401},
		{"a token with more behind it", webhookPath + "/" + webhookToken + "x", nil, 401},
		{"a token cut short", webhookPath + "/" + webhookToken[:5], nil, 401},
		{"an empty token", webhookPath + "?token=", nil, 401},
		{"a signature by another secret", webhookPath, []string{"X-Signature-256", sign("other", body)}, 401},
		{"a signature of another body", webhookPath, []string{"X-Signature-256", sign(webhookSecret, body+" ")}, 401},
		{"a signature without its prefix", webhookPath, []string{"X-Signature-256", strings.TrimPrefix(sign(webhookSecret, body), "sha256=")}, 401},
		{"a signature that is no hexadecimal", webhookPath, []string{"X-Signature-256", "sha256=zz"}, 401},
		{"an empty signature of its kind", webhookPath, []string{"X-Signature-256", "sha256="}, 401},
		{"an admin token", webhookPath, []string{"Authorization", "Bearer " + adminToken}, 401},
	} {
		if a := p.do("POST", c.path, "", body, c.headers...); a.status != c.status {
			t.Errorf("%s = %v, want %d", c.name, a, c.status)
		}
	}
	recordAll(t, p.webhook)
	a := p.must(http.StatusOK, "GET", "/admin/alerts", viewerToken, "")
	if items, _ := a.json["items"].([]any); len(items) != 5 {
		t.Errorf("%d events are kept, want the 5 that were authentic", len(items))
	}
	if n := p.metric("pursestring_webhook_rejected_total"); n != 11 {
		t.Errorf("%v were counted as rejected, want 11", n)
	}
}

func TestWebhookOfNobody(t *testing.T) {
	t.Parallel()
	h := admin.NewWebhook(admin.WebhookOptions{Metrics: admin.NewMetrics(newRegistry()), Log: quiet()})
	for _, c := range []struct{ path, signature string }{
		{webhookPath, ""}, {webhookPath + "?token=", ""}, {webhookPath, sign("", "{}")},
	} {
		if status := post(t, h, c.path, "{}", "X-Signature-256", c.signature); status != http.StatusUnauthorized {
			t.Errorf("without a token and a secret configured, %s = %d, want 401", c.path, status)
		}
	}
}

// What LiteLLM really sends ends up with the tenant that it is about.
func TestWebhookRecordings(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	keyOf := func(name string) string {
		var e struct{ Token string }
		if err := json.Unmarshal([]byte(recorded(t, name)), &e); err != nil {
			t.Fatal(err)
		}
		return e.Token
	}
	for tenant, key := range map[string]string{
		"threshold": keyOf("budget-crossed-key"), "soft": keyOf("soft-budget-crossed-key"),
		"caller": keyOf("budget-crossed-team"), // whose key made the call that set off the team's event
	} {
		p.tenant(tenant)
		p.must(http.StatusCreated, "POST", "/admin/tenants/"+tenant+"/keys", operatorToken, `{"key_hash":"`+key+`"}`)
	}
	p.tenant("wh-user")
	p.tenant("3c932fa3-d05b-4cfe-84aa-f0c2fc987af6") // a team
	before := p.must(http.StatusOK, "GET", "/admin/tenants", viewerToken, "").body
	for _, c := range []struct {
		file, event, group string
		tenant             any
		projected          bool
	}{
		{"budget-crossed-key", "budget_crossed", "key", "threshold", false},
		{"threshold-crossed-key", "threshold_crossed", "key", "threshold", false},
		{"soft-budget-crossed-key", "soft_budget_crossed", "key", "soft", false},
		{"budget-crossed-team", "budget_crossed", "team", "3c932fa3-d05b-4cfe-84aa-f0c2fc987af6", false},
		{"budget-crossed-user", "budget_crossed", "user", "wh-user", false},
		{"projected-as-budget-crossed", "budget_crossed", "key", "soft", true},
		{"projected-as-threshold-crossed", "threshold_crossed", "key", nil, true},
		{"projected-limit-exceeded", "projected_limit_exceeded", "key", nil, true},
		{"spend-tracked-end-user", "spend_tracked", "end_user", nil, false},
		{"test", "budget_crossed", "key", nil, false},
	} {
		body := recorded(t, c.file)
		p.must(http.StatusOK, "POST", webhookPath+"/"+webhookToken, "", body)
		recordAll(t, p.webhook)
		a := p.must(http.StatusOK, "GET", "/admin/alerts?limit=1", viewerToken, "")
		items, _ := a.json["items"].([]any)
		if len(items) != 1 {
			t.Fatalf("%s left no event", c.file)
		}
		e, _ := items[0].(map[string]any)
		if e["type"] != c.event || e["group"] != c.group || e["tenant_id"] != c.tenant || e["projected"] != c.projected || e["source"] != "litellm" {
			t.Errorf("%s is kept as %v, want %s of %s for %v", c.file, e, c.event, c.group, c.tenant)
		}
		if (e["window"] == 1.0) != (c.tenant != nil) {
			t.Errorf("%s is kept with window %v for tenant %v", c.file, e["window"], c.tenant)
		}
		if (e["key_hash"] != nil) != (c.group == "key" && c.file != "test") {
			t.Errorf("%s is kept with key_hash %v", c.file, e["key_hash"])
		}
		var sent map[string]any
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(e["detail"]) != fmt.Sprint(sent) {
			t.Errorf("%s is kept as %v, want it as it came", c.file, e["detail"])
		}
	}
	if after := p.must(http.StatusOK, "GET", "/admin/tenants", viewerToken, "").body; after != before {
		t.Errorf("webhooks changed tenants:\nbefore %s\nafter  %s", before, after)
	}
	if n := p.metric("pursestring_webhook_events_total", "event", "budget_crossed"); n != 5 {
		t.Errorf("%v budget_crossed were counted, want 5", n)
	}
	if at := p.metric("pursestring_webhook_last_seconds"); at != float64(noon.Unix()) {
		t.Errorf("the last webhook came at %v, want %d", at, noon.Unix())
	}
	if a := p.must(http.StatusOK, "GET", "/admin/tenants/threshold/status", viewerToken, ""); strings.Count(a.body, `"source":"litellm"`) != 2 {
		t.Errorf("status does not show the tenant's two alerts: %s", a.body)
	}
}

// An authentic webhook is answered with 200 and kept, whatever it holds.
func TestWebhookOfAnyBody(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	for _, c := range []struct{ name, body, event string }{
		{"nothing", "", "unparsable"},
		{"no JSON", "hello", "unparsable"},
		{"an array", "[]", "unparsable"},
		{"null", "null", "unparsable"},
		{"cut JSON", `{"event":"budget_crossed"`, "unparsable"},
		{"no UTF-8", "\xff\xfe", "unparsable"},
		{"over 1 MiB", strings.Repeat("x", 2<<20), "unparsable"},
		{"an empty object", "{}", "other"},
		{"an event that nobody knows", `{"event":"budget_melted","event_group":"galaxy"}`, "other"},
		{"other types", `{"event":7,"event_group":[],"token":{},"spend":"much","max_budget":"NaN"}`, "other"},
		{"long fields", `{"event":"` + strings.Repeat("e", 9000) + `"}`, "other"},
		{"a known event of a stranger", `{"event":"budget_crossed","event_group":"user","user_id":"nobody"}`, "budget_crossed"},
		{"a user that is no id", `{"event":"budget_crossed","event_group":"user","user_id":"` + strings.Repeat("u", 5000) + `"}`, "budget_crossed"},
	} {
		before := p.metric("pursestring_webhook_events_total", "event", c.event)
		p.must(http.StatusOK, "POST", webhookPath+"/"+webhookToken, "", c.body)
		recordAll(t, p.webhook)
		if n := p.metric("pursestring_webhook_events_total", "event", c.event); n != before+1 {
			t.Errorf("%s is not counted as %s", c.name, c.event)
		}
		a := p.must(http.StatusOK, "GET", "/admin/alerts?limit=1", viewerToken, "")
		if len(a.body) > 6000 {
			t.Errorf("%s: %d bytes are kept", c.name, len(a.body))
		}
		if c.event == "unparsable" && !strings.Contains(a.body, `"type":"unparsable"`) {
			t.Errorf("%s is kept as %s", c.name, a.body)
		}
	}
	all := p.must(http.StatusOK, "GET", "/admin/alerts", viewerToken, "")
	if items, _ := all.json["items"].([]any); len(items) != 13 {
		t.Errorf("%d events are kept, want all 13", len(items))
	}
}

func TestWebhookKeepsNoKey(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	for _, body := range []string{
		`{"event":"budget_crossed","event_message":"Key=sk-test-1234567890 is over"}`,
		`broken sk-test-1234567890`,
	} {
		p.must(http.StatusOK, "POST", webhookPath+"/"+webhookToken, "", body)
	}
	recordAll(t, p.webhook)
	a := p.must(http.StatusOK, "GET", "/admin/alerts", viewerToken, "")
	if strings.Contains(a.body, "1234567890") || strings.Count(a.body, "sk-[redacted]") != 2 {
		t.Errorf("kept: %s", a.body)
	}
}

// hangingStore never answers until it is let go.
type hangingStore struct {
	admin.WebhookStore
	mu       sync.Mutex
	free     chan struct{}
	err      error // what RecordAlert says before it works
	failures int   // how often it still does
	kept     int
}

func (s *hangingStore) Record(context.Context, string, time.Time) (budget.Record, error) {
	return budget.Record{}, budget.ErrNotFound
}

func (s *hangingStore) RecordByKey(context.Context, budget.KeyHash, time.Time) (budget.Record, error) {
	return budget.Record{}, budget.ErrNotFound
}

func (s *hangingStore) RecordAlert(ctx context.Context, _ budget.AlertEvent) error {
	select {
	case <-s.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures > 0 {
		s.failures--
		return s.err
	}
	s.kept++
	return nil
}

func (s *hangingStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept
}

func TestWebhookIsAnsweredWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	s := &hangingStore{free: make(chan struct{})}
	p := newPlane(t, func(o *setup) { o.webhookStore = s })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.webhook.Run(ctx) }()
	const sent = 4096 + 200 // more than the queue holds
	body := recorded(t, "budget-crossed-key")
	for i := range sent {
		if status := post(t, p.webhook, webhookPath+"?token="+webhookToken, body); status != http.StatusOK {
			t.Fatalf("webhook %d with a hanging store = %d, want 200", i, status)
		}
	}
	dropped := int(p.metric("pursestring_webhook_dropped_total"))
	if dropped < sent-4096-1 || dropped > sent-4096 {
		t.Errorf("%d were dropped, want %d or one less, which the worker has taken", dropped, sent-4096)
	}
	close(s.free)
	eventually(t, "everything that was not dropped is recorded", func() bool { return s.count() == sent-dropped })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestWebhookIsTriedAgain(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	close(free)
	s := &hangingStore{free: free, err: errors.New("busy"), failures: 2}
	p := newPlane(t, func(o *setup) { o.webhookStore = s })
	p.must(http.StatusOK, "POST", webhookPath+"/"+webhookToken, "", "{}")
	recordAll(t, p.webhook)
	if s.count() != 1 || p.metric("pursestring_webhook_failed_total") != 0 {
		t.Errorf("%d recorded and %v given up after two failures, want 1 and 0", s.count(), p.metric("pursestring_webhook_failed_total"))
	}
	s.failures = 9
	p.must(http.StatusOK, "POST", webhookPath+"/"+webhookToken, "", "{}")
	recordAll(t, p.webhook)
	if s.count() != 1 || p.metric("pursestring_webhook_failed_total") != 1 {
		t.Errorf("%d recorded and %v given up after three failures, want 1 and 1", s.count(), p.metric("pursestring_webhook_failed_total"))
	}
	p.http.Close()
	if !bytes.Contains(p.log.Bytes(), []byte("webhook not recorded")) {
		t.Error("the log does not say that an event was given up")
	}
}

func FuzzWebhookBody(f *testing.F) {
	names, err := filepath.Glob("testdata/webhook/*.json")
	if err != nil || len(names) == 0 {
		f.Fatalf("no recordings: %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &detailStore{}
		h := admin.NewWebhook(admin.WebhookOptions{Token: secret(webhookToken), Store: s, Metrics: admin.NewMetrics(newRegistry()), Log: quiet()})
		if status := post(t, h, webhookPath+"?token="+webhookToken, string(body)); status != http.StatusOK {
			t.Fatalf("%q = %d, want 200", body, status)
		}
		recordAll(t, h)
		if len(s.events) != 1 {
			t.Fatalf("%q left %d events, want 1", body, len(s.events))
		}
		if d := s.events[0].Detail; len(d) > 4096 || !json.Valid(d) {
			t.Fatalf("%q is kept as %d bytes, JSON %v", body, len(d), json.Valid(d))
		}
	})
}

// detailStore keeps events, and knows no tenant.
type detailStore struct {
	hangingStore
	events []budget.AlertEvent
}

func (s *detailStore) RecordAlert(_ context.Context, e budget.AlertEvent) error {
	s.events = append(s.events, e)
	return nil
}
