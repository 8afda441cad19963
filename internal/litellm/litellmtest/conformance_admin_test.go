package litellmtest_test

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

func keysConform(t *testing.T, g *target) {
	ctx := t.Context()
	alias := "alias-" + random()
	credential := g.key(t, `,"key_alias":"`+alias+`","max_budget":10,"budget_duration":"30d","metadata":{"tenant_id":"acme"}`)
	hash := budget.HashKey([]byte(credential))
	check := func(what string, f budget.KeyFacts, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if f.Hash != hash || f.Alias != alias || f.TenantID != "acme" || f.Status != "active" {
			t.Errorf("%s: %+v", what, f)
		}
		l := f.Limits
		if l.MaxBudget == nil || *l.MaxBudget != 10*budget.Dollar || l.Period.String() != "30d" || l.Spend != 0 || l.Managed {
			t.Errorf("%s: limits %+v", what, l)
		}
		if l.ResetAt.Day() != 1 || l.ResetAt.Hour() != 0 || !l.ResetAt.After(time.Now()) {
			t.Errorf("%s: 30d resets at %v, want the first of next month", what, l.ResetAt)
		}
	}
	f, err := g.client.KeyInfo(ctx, credential)
	check("itself", f, err)
	f, err = g.client.KeyByHash(ctx, hash)
	check("by master key", f, err)

	refused := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), credential) || strings.Contains(err.Error(), g.master)) {
			t.Errorf("%s: the error holds a credential", what)
		}
	}
	_, err = g.client.KeyInfo(ctx, g.master)
	refused("master key about itself", err, litellm.ErrNotFound)
	_, err = g.client.KeyInfo(ctx, "sk-nobody-knows-"+random())
	refused("unknown key", err, litellm.ErrRejected)
	_, err = g.client.KeyInfo(ctx, "hello")
	refused("no virtual key", err, litellm.ErrRejected)
	_, err = g.client.KeyByHash(ctx, budget.HashKey([]byte(random())))
	refused("unknown hash", err, litellm.ErrNotFound)

	other := g.key(t, "")
	if resp, raw := g.send(t, http.MethodGet, other, "/key/info?key="+hash.String(), ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another key's info: %d %s", resp.StatusCode, raw)
	}
	if resp, raw := g.post(t, other, "/key/update", `{"key":"`+other+`","max_budget":100}`); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a key that raises its own budget: %d %s", resp.StatusCode, raw)
	}

	blocked := true
	if err := g.client.UpdateKey(ctx, budget.HashKey([]byte(other)), litellm.KeyChange{Blocked: &blocked}); err != nil {
		t.Fatal(err)
	}
	_, err = g.client.KeyInfo(ctx, other)
	refused("blocked key", err, litellm.ErrRejected)
	f, err = g.client.KeyByHash(ctx, budget.HashKey([]byte(other)))
	if err != nil || f.Status != "revoked" {
		t.Errorf("blocked key by master: %+v, %v", f, err)
	}
	g.post(t, g.master, "/key/delete", `{"keys":["`+other+`"]}`)
	_, err = g.client.KeyInfo(ctx, other)
	refused("deleted key", err, litellm.ErrRejected)
	f, err = g.client.KeyByHash(ctx, budget.HashKey([]byte(other)))
	if err != nil || f.Status != "deleted" {
		t.Errorf("deleted key by master: %+v, %v", f, err)
	}
}

// Two pages of keys: every one is seen once, in the order of hashes, while other
// checks make and delete keys. What a deletion hides from one walk the next finds.
func keyListConforms(t *testing.T, g *target) {
	mine := map[budget.KeyHash]bool{}
	for range 103 {
		mine[budget.HashKey([]byte(g.key(t, "")))] = false
	}
	for range 3 {
		last := ""
		for f, err := range g.client.Keys(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if h := f.Hash.String(); h <= last {
				t.Errorf("%s after %s", h, last)
			} else {
				last = h
			}
			if _, ok := mine[f.Hash]; ok {
				mine[f.Hash] = true
			}
		}
		if !slices.Contains(slices.Collect(maps.Values(mine)), false) {
			break
		}
	}
	for h, seen := range mine {
		if !seen {
			t.Errorf("key %s was never listed", h)
		}
	}
	if resp, raw := g.send(t, http.MethodGet, g.key(t, ""), "/key/list", ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("list with a virtual key: %d %s", resp.StatusCode, raw)
	}
	if resp, _ := g.send(t, http.MethodGet, g.master, "/key/list?size=101", ""); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("size above 100: %d", resp.StatusCode)
	}
}

func keyUpdateConforms(t *testing.T, g *target) {
	ctx := t.Context()
	hash := budget.HashKey([]byte(g.key(t, `,"max_budget":10,"soft_budget":8,"metadata":{"a":1,"tenant_id":"acme"}`)))
	facts := func() budget.KeyFacts {
		t.Helper()
		f, err := g.client.KeyByHash(ctx, hash)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	update := func(c litellm.KeyChange) {
		t.Helper()
		if err := g.client.UpdateKey(ctx, hash, c); err != nil {
			t.Fatal(err)
		}
	}
	limit, spend := 25*budget.Dollar, 3*budget.Dollar/2
	update(litellm.KeyChange{MaxBudget: litellm.Limit{Set: true, USD: &limit}, Metadata: map[string]any{litellm.ManagedMark: true, "a": nil}})
	f := facts()
	if *f.Limits.MaxBudget != limit || !f.Limits.Managed || f.TenantID != "acme" {
		t.Errorf("after a change with metadata: %+v %+v", f, f.Limits)
	}
	update(litellm.KeyChange{Spend: &spend})
	if f := facts(); f.Limits.Spend != spend || *f.Limits.MaxBudget != limit || !f.Limits.Managed {
		t.Errorf("after spend: %+v", f.Limits)
	}
	if err := g.client.ResetSpend(ctx, hash, 0); err != nil {
		t.Fatal(err)
	}
	if f := facts(); f.Limits.Spend != 0 {
		t.Errorf("after reset: %+v", f.Limits)
	}
	if err := g.client.ResetSpend(ctx, hash, budget.Dollar); err == nil {
		t.Error("a reset above the spend was accepted")
	}
	update(litellm.KeyChange{MaxBudget: litellm.Limit{Set: true}})
	if f := facts(); f.Limits.MaxBudget != nil {
		t.Errorf("null does not clear max_budget: %v", f.Limits.MaxBudget)
	}
	update(litellm.KeyChange{SoftBudget: litellm.Limit{Set: true, USD: &spend}})
	if _, raw := g.send(t, http.MethodGet, g.master, "/key/info?key="+hash.String(), ""); !bytes.Contains(raw, []byte(`"soft_budget":1.5`)) {
		t.Errorf("soft_budget is not stored: %s", raw)
	}
	if err := g.client.UpdateKey(ctx, budget.HashKey([]byte(random())), litellm.KeyChange{Spend: &spend}); !errors.Is(err, litellm.ErrNotFound) {
		t.Errorf("unknown key: %v", err)
	}
}

func pricesConform(t *testing.T, g *target) {
	ctx := t.Context()
	list, err := g.client.Models(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	costMap, err := g.client.CostMap(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := litellm.NewPrices(nil)
	p.Load(list, costMap, time.Now())
	if fake, ok := p.Lookup("fake"); !ok || fake.InputPerToken != 1e-5 || fake.OutputPerToken != 1e-4 || fake.Free {
		t.Errorf("fake: %+v %v", fake, ok)
	}
	if free, ok := p.Lookup("free"); !ok || !free.Free {
		t.Errorf("free: %+v %v", free, ok)
	}
	if unpriced, ok := p.Lookup("unpriced"); ok {
		t.Errorf("unpriced has a price: %+v", unpriced)
	}
	if c, ok := p.Lookup("claude-sonnet-4-5"); !ok || c.CacheReadPerToken != 3e-7 || c.CacheWritePerToken != 3.75e-6 || c.CacheWrite1hPerToken != 6e-6 || c.MaxOutputTokens != 64000 {
		t.Errorf("claude-sonnet-4-5: %+v %v", c, ok)
	}
	own, err := g.client.Models(ctx, g.key(t, `,"models":["fake","gpt-4o"]`))
	if err != nil || len(own) != 2 {
		t.Errorf("a key for two models sees %d deployments, %v", len(own), err)
	}
}

func healthConforms(t *testing.T, g *target) {
	h, err := g.client.Health(t.Context())
	if err != nil || !h.Reachable || h.Status != "healthy" || h.Database != "connected" || !strings.HasPrefix(h.Version, "1.") || h.Latency <= 0 {
		t.Errorf("health: %+v, %v", h, err)
	}
	if resp, raw := g.send(t, http.MethodGet, "", "/health/liveliness", ""); resp.StatusCode != 200 || string(raw) != `"I'm alive!"` {
		t.Errorf("liveliness: %d %s", resp.StatusCode, raw)
	}
	if resp, raw := g.send(t, http.MethodGet, g.key(t, ""), "/v1/models", ""); resp.StatusCode != 200 || !bytes.Contains(raw, []byte(`"id":"gpt-4o"`)) {
		t.Errorf("models: %d %s", resp.StatusCode, raw)
	}
}

func ownersConform(t *testing.T, g *target) {
	ctx := t.Context()
	user, admin, team := "user-"+random(), "admin-"+random(), "team-"+random()
	for path, body := range map[string]string{
		"/user/new": `{"user_id":"` + user + `","max_budget":50,"budget_duration":"30d","auto_create_key":false}`,
		"/team/new": `{"team_id":"` + team + `","max_budget":70,"budget_duration":"7d"}`,
	} {
		if resp, raw := g.post(t, g.master, path, body); resp.StatusCode != 200 {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, raw)
		}
	}
	g.post(t, g.master, "/user/new", `{"user_id":"`+admin+`","user_role":"proxy_admin","auto_create_key":false}`)
	t.Cleanup(func() {
		g.post(t, g.master, "/user/delete", `{"user_ids":["`+user+`","`+admin+`"]}`)
		g.post(t, g.master, "/team/delete", `{"team_ids":["`+team+`"]}`)
	})
	ofUser, ofTeam, ofNobody := g.key(t, `,"user_id":"`+user+`"`), g.key(t, `,"team_id":"`+team+`"`), g.key(t, "")

	for _, credential := range []string{"", ofUser} {
		u, err := g.client.User(ctx, credential, user)
		if err != nil || u.ProxyAdmin || u.Budget.MaxBudget == nil || *u.Budget.MaxBudget != 50*budget.Dollar || u.Budget.Period.String() != "30d" || u.Budget.ResetAt.Day() != 1 {
			t.Errorf("user with master %v: %+v, %v", credential == "", u, err)
		}
	}
	for _, credential := range []string{"", ofTeam} {
		b, err := g.client.Team(ctx, credential, team)
		if err != nil || b.MaxBudget == nil || *b.MaxBudget != 70*budget.Dollar || b.Period.String() != "7d" || b.ResetAt.Weekday() != time.Monday {
			t.Errorf("team with master %v: %+v, %v", credential == "", b, err)
		}
	}
	if u, err := g.client.User(ctx, "", admin); err != nil || !u.ProxyAdmin {
		t.Errorf("an admin of the proxy: %+v, %v", u, err)
	}
	if f, err := g.client.KeyInfo(ctx, ofUser); err != nil || f.UserID != user {
		t.Errorf("the user's key: %+v, %v", f, err)
	}
	if f, err := g.client.KeyInfo(ctx, ofTeam); err != nil || f.TeamID != team {
		t.Errorf("the team's key: %+v, %v", f, err)
	}
	if _, err := g.client.User(ctx, ofNobody, user); !errors.Is(err, litellm.ErrNotFound) {
		t.Errorf("another user's info is said not to be there: %v", err)
	}
	if _, err := g.client.Team(ctx, ofNobody, team); !errors.Is(err, litellm.ErrRejected) {
		t.Errorf("another team's info: %v", err)
	}
	if _, err := g.client.User(ctx, "", "nobody-"+random()); !errors.Is(err, litellm.ErrNotFound) {
		t.Errorf("unknown user: %v", err)
	}
	if _, err := g.client.Team(ctx, "", "nobody-"+random()); !errors.Is(err, litellm.ErrNotFound) {
		t.Errorf("unknown team: %v", err)
	}
}

// The limits of a team and of a user bind their keys, and are named in the
// refusal.
func ownersOverBudgetConform(t *testing.T, g *target) {
	user, team := "user-"+random(), "team-"+random()
	g.post(t, g.master, "/user/new", `{"user_id":"`+user+`","max_budget":0.001,"auto_create_key":false}`)
	g.post(t, g.master, "/team/new", `{"team_id":"`+team+`","max_budget":0.001}`)
	t.Cleanup(func() {
		g.post(t, g.master, "/user/delete", `{"user_ids":["`+user+`"]}`)
		g.post(t, g.master, "/team/delete", `{"team_ids":["`+team+`"]}`)
	})
	for subject, id := range map[string]string{"user": user, "team": team} {
		credential := g.key(t, `,"`+subject+`_id":"`+id+`"`)
		call := func() (head, []byte) {
			return g.post(t, credential, "/v1/chat/completions", `{"model":"fake","max_tokens":300,"messages":[{"role":"user","content":"[[p=1200 c=300]] x"}]}`)
		}
		if resp, raw := call(); resp.StatusCode != 200 {
			t.Fatalf("%s: %d %s", subject, resp.StatusCode, raw)
		}
		deadline := time.Now().Add(10 * time.Second)
		for {
			resp, raw := call()
			r, ok := litellm.ParseRefusal(resp.StatusCode, raw)
			if ok || time.Now().After(deadline) {
				if r.Subject != subject || r.ID != id || r.Max == nil || *r.Max != budget.Dollar/1000 {
					t.Errorf("%s: %d %s, read as %+v", subject, resp.StatusCode, raw, r)
				}
				break
			}
		}
	}
}
