package litellm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// answering serves recorded or made-up answers.
func answering(t *testing.T, f http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return New(Options{BaseURL: s.URL + "/", MasterKey: "sk-master-0000000000", Timeout: 5 * time.Second})
}

func replay(t *testing.T, name string) *Client {
	r := recorded(t, name)
	return answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(r.status)
		_, _ = w.Write(r.body)
	})
}

func TestFactsOfRecordings(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	firstOfDecember := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

	f, err := replay(t, "key-info-self").KeyInfo(ctx, "sk-test-0000000001")
	if err != nil {
		t.Fatal(err)
	}
	if f.Hash.String() != "1e7f28899cde9cbd3acf7ee391d15feeee513c3f6879beb98433db3a94c1261f" || f.Alias != "gen-1" || f.TenantID != "acme" || f.Status != "active" || f.UserID != "" || f.TeamID != "" {
		t.Errorf("its own facts: %+v", f)
	}
	if l := f.Limits; *l.MaxBudget != 10*budget.Dollar || l.Period.String() != "30d" || !l.ResetAt.Equal(firstOfDecember) || l.TotalSpend == nil || l.Managed {
		t.Errorf("its own limits: %+v", f.Limits)
	}

	f, err = replay(t, "key-info-with-budget-id").KeyInfo(ctx, "sk-test-0000000001")
	if err != nil {
		t.Fatal(err)
	}
	if l := f.Limits; l.MaxBudget == nil || *l.MaxBudget != 20*budget.Dollar || l.Period.String() != "30d" || !l.ResetAt.Equal(firstOfDecember) {
		t.Errorf("limits of the budget row: %+v", f.Limits)
	}

	n := 0
	for f, err := range replay(t, "key-list-full-budget-row").Keys(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 1000 {
			t.Fatal("the walk does not end")
		}
		if n == 1 && (f.Hash.String()[:8] != "da54dd28" || *f.Limits.MaxBudget != 10*budget.Dollar) {
			t.Errorf("listed: %+v", f)
		}
	}
	if n == 0 {
		t.Error("nothing listed")
	}

	team, err := replay(t, "team-info").Team(ctx, "", "7446fcc3")
	if err != nil || *team.MaxBudget != 100*budget.Dollar || !team.ResetAt.Equal(firstOfDecember) {
		t.Errorf("team: %+v, %v", team, err)
	}
	user, err := replay(t, "v2-user-info").User(ctx, "sk-test-0000000001", "u-a")
	if err != nil || user.Budget.MaxBudget != nil || user.ProxyAdmin {
		t.Errorf("user: %+v, %v", user, err)
	}
	models, err := replay(t, "model-info-one").Models(ctx, "")
	if err != nil || len(models) != 1 || models[0].Name != "fake" || models[0].Model != "openai/fake" || models[0].Fields["output_cost_per_token"] != 0.0001 {
		t.Errorf("models: %+v, %v", models, err)
	}
	for name, want := range map[string]Health{
		"health-readiness":         {Reachable: true, Status: "healthy", Database: "connected"},
		"health-readiness-details": {Reachable: true, Status: "healthy", Database: "connected", Version: "1.106.12"},
	} {
		h, err := replay(t, name).Health(ctx)
		h.Latency = 0
		if err != nil || h != want {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	down, err := replay(t, "health-readiness-db-down").Health(ctx)
	if err != nil || !down.Reachable || down.Database != "disconnected" {
		t.Errorf("without its database: %+v, %v", down, err)
	}
}

func TestShapesOfOtherVersions(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/key/info":
			fmt.Fprint(w, `{"key":"sk-...","info":{"spend":"1.5","max_budget":null,"budget_duration":"1y","budget_reset_at":"2026-12-01T00:00:00","blocked":true,"metadata":null,"novelty":[1],
				"litellm_budget_table":{"max_budget":-1}}}`)
		case "/v2/user/info":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"detail":"Not Found"}`)
		case "/user/info":
			fmt.Fprint(w, `{"user_id":"u","user_info":{"user_role":"proxy_admin","spend":2,"max_budget":7,"metadata":{"pursestring_managed":true}}}`)
		}
	}))
	t.Cleanup(s.Close)
	c := New(Options{BaseURL: s.URL, Log: slog.New(slog.NewTextHandler(&log, nil))})
	f, err := c.KeyInfo(t.Context(), "sk-test-0000000001")
	if err != nil {
		t.Fatal(err)
	}
	if f.Hash != budget.HashKey([]byte("sk-test-0000000001")) || f.Status != "revoked" || f.Limits.Spend != 3*budget.Dollar/2 || !f.Limits.Period.IsZero() || f.Limits.ResetAt.IsZero() || f.Limits.TotalSpend != nil {
		t.Errorf("%+v", f)
	}
	if !strings.Contains(log.String(), "1y") {
		t.Errorf("a duration that is not understood is not noted: %q", log.String())
	}
	u, err := c.User(t.Context(), "sk-test-0000000001", "u")
	if err != nil || !u.ProxyAdmin || *u.Budget.MaxBudget != 7*budget.Dollar || !u.Budget.Managed {
		t.Errorf("a user of a version without the newer route: %+v, %v", u, err)
	}
}

// What can go wrong, what it means, and that no credential is in any of it.
func TestErrors(t *testing.T) {
	t.Parallel()
	const secret = "sk-test-secret-000001"
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for _, c := range []struct {
		why    string
		status int
		body   string
		want   error
	}{
		{"unknown key", 401, `{"error":{"message":"Received API Key = ` + secret + `","type":"token_not_found_in_db","code":"401"}}`, ErrRejected},
		{"not allowed", 403, `{"error":{"message":"no","type":"internal_server_error","code":"403"}}`, ErrRejected},
		{"no such key", 404, `{"error":{"message":"` + secret + ` not found","type":"not_found_error"}}`, ErrNotFound},
		{"no database", 400, `{"error":{"message":"x","type":"no_db_connection"}}`, ErrUnavailable},
		{"database down", 503, `{"error":{"message":"x","type":"no_db_connection","code":"503"}}`, ErrUnavailable},
		{"a gateway's page", 502, `<html>`, ErrUnavailable},
		{"too many requests", 429, `{}`, ErrUnavailable},
		{"not JSON", 200, `<html>` + secret, ErrUnavailable},
		{"JSON of another kind", 200, `[1]`, ErrUnavailable},
		{"nothing in it", 200, `{}`, ErrUnavailable},
		{"far too much", 200, `{"x":"` + strings.Repeat("y", mostAnswer) + `"}`, ErrUnavailable},
		{"a redirect", 307, ``, ErrUnavailable},
	} {
		client := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+secret {
				t.Errorf("%s: sent %q", c.why, r.Header.Get("Authorization"))
			}
			if c.status == 307 {
				w.Header().Set("Location", "http://"+r.Host+"/elsewhere")
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		_, err := client.KeyInfo(t.Context(), secret)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.why, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds the credential: %v", c.why, err)
		}
	}
	away := New(Options{BaseURL: "http://user:secret@" + closed.Addr().String(), MasterKey: secret})
	if _, err := away.KeyByHash(t.Context(), budget.KeyHash{}); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody listens: %v", err)
	}
	if h, err := away.Health(t.Context()); !errors.Is(err, ErrUnavailable) || h.Reachable {
		t.Errorf("health of nobody: %+v, %v", h, err)
	}
	bad := New(Options{BaseURL: "http://secret\x7f", MasterKey: secret})
	if _, err := bad.KeyByHash(t.Context(), budget.KeyHash{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("no URL: %v", err)
	}
	without := New(Options{BaseURL: "http://127.0.0.1:1"})
	if _, err := without.KeyByHash(t.Context(), budget.KeyHash{}); !errors.Is(err, ErrRejected) {
		t.Errorf("without a master key: %v", err)
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release); s.Close() })
	c := New(Options{BaseURL: s.URL, Timeout: 20 * time.Millisecond})
	if _, err := c.KeyInfo(t.Context(), "sk-test-0000000001"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errTimeout) {
		t.Errorf("slow: %v", err)
	}
	c = New(Options{BaseURL: s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.KeyInfo(ctx, "sk-test-0000000001"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("the caller left, which says nothing about LiteLLM: %v", err)
	}
}

func TestKeyHeader(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Clone()
		_, _ = w.Write(recorded(t, "key-info-self").body)
	}))
	t.Cleanup(s.Close)
	c := New(Options{BaseURL: s.URL, KeyHeader: "X-Company-Key"})
	if _, err := c.KeyInfo(t.Context(), "sk-test-0000000001"); err != nil {
		t.Fatal(err)
	}
	if h := <-got; h.Get("X-Company-Key") != "Bearer sk-test-0000000001" || h.Get("Authorization") != "" {
		t.Errorf("sent %v", h)
	}
}

// Connections are used again, and left alone before LiteLLM closes them.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.RemoteAddr] = true
		mu.Unlock()
		_, _ = w.Write([]byte(`{"status":"healthy"}`))
	})
	for range 5 {
		if _, err := c.send(t.Context(), call{method: http.MethodGet, path: "/health/readiness"}); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 1 {
		t.Errorf("5 calls took %d connections", len(seen))
	}
	if idle := c.http.Transport.(*http.Transport).IdleConnTimeout; idle <= 0 || idle >= 5*time.Second {
		t.Errorf("idle connections stay %v; LiteLLM closes them after 5 s", idle)
	}
}

// A list that changes under the walk: keys come (others are shown twice) and go
// (others move out of sight).
func TestKeysWhileTheListChanges(t *testing.T) {
	t.Parallel()
	hash := func(n int) string { return fmt.Sprintf("%064x", n) }
	var keys []int
	for n := range 350 {
		keys = append(keys, 10*n+10)
	}
	calls := 0
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch calls++; calls {
		case 2:
			keys = slices.Insert(keys, 0, 1, 2, 3)
		case 3:
			keys = slices.Delete(keys, 0, 40)
		}
		var page int
		fmt.Sscan(r.URL.Query().Get("page"), &page)
		var rows []string
		for _, n := range keys[min(len(keys), (page-1)*100):min(len(keys), page*100)] {
			rows = append(rows, `{"token":"`+hash(n)+`"}`)
		}
		fmt.Fprintf(w, `{"keys":[%s],"total_count":%d,"current_page":%d,"total_pages":%d}`, strings.Join(rows, ","), len(keys), page, (len(keys)+99)/100)
	})
	seen := map[string]int{}
	for f, err := range c.Keys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[f.Hash.String()]++
	}
	for n := range 350 {
		if h := hash(10*n + 10); seen[h] != 1 {
			t.Errorf("key %d was seen %d times", 10*n+10, seen[h])
		}
	}
}
