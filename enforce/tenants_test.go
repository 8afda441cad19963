package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

func usd(f float64) *budget.Money {
	m, _ := budget.USD(f)
	return &m
}

func month(t testing.TB) budget.Period {
	t.Helper()
	p, err := budget.ParsePeriod("30d")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUnseenKeyGetsItsTenant(t *testing.T) {
	t.Parallel()
	reset := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	budgeted := func(max, spend float64) budget.UpstreamBudget {
		return budget.UpstreamBudget{MaxBudget: usd(max), Period: month(t), ResetAt: reset, Spend: *usd(spend)}
	}
	hash := budget.HashKey(key(1))
	cases := []struct {
		says    string
		facts   budget.KeyFacts
		team    budget.UpstreamBudget
		user    budget.UpstreamBudget
		admin   bool
		id      string
		origin  budget.Origin
		limit   float64
		spent   float64
		resetAt time.Time
		needs   bool
	}{
		{says: "metadata names it, the key's budget is taken over with its window",
			facts: budget.KeyFacts{TenantID: "acme", TeamID: "t1", Limits: budgeted(20, 3)},
			id:    "acme", origin: budget.OriginMetadata, limit: 20, spent: 3, resetAt: reset},
		{says: "a team names it and lends its budget",
			facts: budget.KeyFacts{TeamID: "t1", UserID: "u1", Limits: budgeted(20, 3)}, team: budgeted(50, 7),
			id: "t1", origin: budget.OriginTeam, limit: 50, spent: 7, resetAt: reset},
		{says: "a user names it",
			facts: budget.KeyFacts{UserID: "u1"}, user: budgeted(70, 9),
			id: "u1", origin: budget.OriginUser, limit: 70, spent: 9, resetAt: reset},
		{says: "the default user names nobody",
			facts: budget.KeyFacts{UserID: "default_user_id", Alias: "bot"},
			id:    "bot", origin: budget.OriginKey, limit: 500, needs: true},
		{says: "a proxy admin names nobody",
			facts: budget.KeyFacts{UserID: "root", Alias: "bot", Limits: budgeted(5, 1)}, admin: true,
			id: "bot", origin: budget.OriginKey, limit: 5, spent: 1, resetAt: reset},
		{says: "without an alias the key's hash names it",
			facts: budget.KeyFacts{},
			id:    hash.String(), origin: budget.OriginKey, limit: 500, needs: true},
		{says: "a limit without a duration is taken, its spend is not",
			facts: budget.KeyFacts{Alias: "bot", Limits: budget.UpstreamBudget{MaxBudget: usd(20), Spend: *usd(19)}},
			id:    "bot", origin: budget.OriginKey, limit: 20},
		{says: "a limit of 0 is none",
			facts: budget.KeyFacts{Alias: "bot", Limits: budgeted(0, 3)},
			id:    "bot", origin: budget.OriginKey, limit: 500, needs: true},
		{says: "what Pursestring wrote is not inherited",
			facts: budget.KeyFacts{Alias: "bot", Limits: budget.UpstreamBudget{MaxBudget: usd(687.5), Period: month(t), Spend: *usd(3), Managed: true}},
			id:    "bot", origin: budget.OriginKey, limit: 500, needs: true},
		{says: "a reset in the past is no window's end",
			facts: budget.KeyFacts{Alias: "bot", Limits: budget.UpstreamBudget{MaxBudget: usd(20), Period: month(t), ResetAt: reset.AddDate(-1, 0, 0), Spend: *usd(2)}},
			id:    "bot", origin: budget.OriginKey, limit: 20, spent: 2},
	}
	for _, c := range cases {
		t.Run(c.says, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.dir.set(func() {
				r.dir.keys[string(key(1))] = c.facts
				r.dir.teams["t1"], r.dir.users["u1"], r.dir.admins["root"] = c.team, c.user, c.admin
			})
			d := r.call(key(1), 0.5)
			want(t, "the first call", d, budget.Allow, budget.WithinBudget)
			if !d.Status.Known || d.Status.TenantID != c.id || d.Status.Points.Limit != *usd(c.limit) || d.Status.Spent != *usd(c.spent + 0.5) {
				t.Errorf("the first call sees %+v", d.Status)
			}
			if !c.resetAt.IsZero() && !d.Status.Window.End.Equal(c.resetAt) {
				t.Errorf("its window ends %v, want %v", d.Status.Window.End, c.resetAt)
			}
			rec, err := r.db.Record(t.Context(), c.id, r.now())
			if err != nil {
				t.Fatal(err)
			}
			if rec.Origin != c.origin || rec.NeedsBudget != c.needs {
				t.Errorf("the row says origin %s, needs a budget %v", rec.Origin, rec.NeedsBudget)
			}
		})
	}
}

func TestAnAliasOpensNobodyElsesPurse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tenant("acme", 1000, key(9))
	r.dir.set(func() {
		r.dir.keys[string(key(1))] = budget.KeyFacts{Alias: "acme"}
		r.dir.keys[string(key(2))] = budget.KeyFacts{TeamID: "t1"}
		r.dir.keys[string(key(3))] = budget.KeyFacts{Alias: "t1"}
		r.dir.keys[string(key(4))] = budget.KeyFacts{TeamID: "t1"}
		r.dir.keys[string(key(5))] = budget.KeyFacts{TenantID: "acme"}
	})
	for i, wanted := range map[int]string{1: budget.HashKey(key(1)).String(), 5: "acme"} {
		if d := r.call(key(i), 1); d.Status.TenantID != wanted {
			t.Errorf("key %d belongs to %s, want %s", i, d.Status.TenantID, wanted)
		}
	}
	for _, c := range []struct {
		i    int
		want string
	}{{2, "t1"}, {3, budget.HashKey(key(3)).String()}, {4, "t1"}} {
		if d := r.call(key(c.i), 1); d.Status.TenantID != c.want {
			t.Errorf("key %d belongs to %s, want %s", c.i, d.Status.TenantID, c.want)
		}
	}
}

func TestRejectedAndOtherCredentialsMakeNoTenant(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.dir.set(func() { r.dir.keys[string(key(2))] = budget.KeyFacts{Alias: "gone", Status: "deleted"} })
	want(t, "LiteLLM does not know the key", r.call(key(1), 0), budget.FailOpen, budget.UnknownTenant)
	want(t, "a deleted key", r.call(key(2), 0), budget.FailOpen, budget.UnknownTenant)
	jwt := r.ask([]byte("eyJhbGciOi.x.y"), 1)
	jwt.Kind = enforce.OtherCredential
	asked := r.dir.asked
	d := r.e.Admit(t.Context(), jwt)
	want(t, "a JWT", d, budget.FailOpen, budget.UnknownTenant)
	r.e.Settle(&d, enforce.Settlement{Cost: budget.Dollar, Provenance: budget.FromHeader, Accepted: true})
	if r.dir.asked != asked {
		t.Error("a JWT was looked up")
	}
	if tenants, _, err := r.db.Tenants(t.Context(), budget.TenantFilter{Limit: 10}, r.now()); err != nil || len(tenants) != 0 {
		t.Errorf("tenants were made: %v, %v", tenants, err)
	}
	if got := metric(t, r.reg, "pursestring_unresolved_usd_total"); got != 1 {
		t.Errorf("$%v counted as unresolved", got)
	}
	r.noHolds()
}

func TestUnresolvedSpendIsHeldAgainstTheDefaults(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	want(t, "up to the default's block point", r.call(key(1), 550), budget.FailOpen, budget.UnknownTenant)
	d := r.call(key(1), 1)
	want(t, "over it", d, budget.Block, budget.OverBlockPoint)
	if d.Status.Known || d.Status.TenantID != "key:"+budget.HashKey(key(1)).String()[:12] {
		t.Errorf("the refusal names %q", d.Status.TenantID)
	}
	if err := r.e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.start()
	want(t, "also after a restart", r.call(key(1), 1), budget.Block, budget.OverBlockPoint)
	r.noHolds()
}

func TestTroubleIsRetriedAndSpendMoves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.dir.set(func() { r.dir.err = errors.New("connection refused") })
	long := r.e.Admit(t.Context(), r.ask(key(1), 2))
	want(t, "LiteLLM's admin API is down", long, budget.FailOpen, budget.UnknownTenant)
	r.call(key(1), 3)
	if err := r.e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.dir.set(func() {
		r.dir.err = nil
		r.dir.keys[string(key(1))] = budget.KeyFacts{Alias: "bot"}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.e.Run(ctx) }()
	eventually(t, "the key becomes known", func() bool {
		r.advance(time.Second)
		return r.call(key(1), 0).Status.Known
	})
	r.e.Settle(&long, enforce.Settlement{Cost: 2 * budget.Dollar, Provenance: budget.FromHeader, Accepted: true})
	if d := r.call(key(1), 0); d.Status.TenantID != "bot" || d.Status.Spent != 5*budget.Dollar {
		t.Errorf("after it is known: %+v", d.Status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	rec, err := r.db.Record(t.Context(), "bot", r.now())
	if err != nil || rec.Spent != 5*budget.Dollar {
		t.Errorf("the store has %v, %v", rec.Spent, err)
	}
	if left, err := r.db.Unresolved(t.Context(), budget.HashKey(key(1)), time.Time{}); err != nil || left != 0 {
		t.Errorf("%v are still unresolved, %v", left, err)
	}
	r.noHolds()
}

func TestStrandedSpendIsTakenUpAtTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tenant("acme", 10, key(1))
	err := r.db.SaveSpend(t.Context(), []budget.WindowSpend{{TenantID: "acme", Number: 1, Spent: budget.Dollar}},
		[]budget.UnresolvedSpend{{Hash: budget.HashKey(key(1)), Spent: 2 * budget.Dollar}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second start finds nothing left
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.e.Run(ctx) }()
		eventually(t, "both are counted", func() bool { return r.call(key(1), 0).Status.Spent == 3*budget.Dollar })
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		r.start()
	}
}

// Made-up keys by the ten thousand: memory stays, LiteLLM is asked no more than
// the limit says, and a real key among them still becomes known. Not parallel: it
// measures the heap.
func TestMadeUpKeysAreBounded(t *testing.T) {
	r := newRig(t)
	r.dir.set(func() { r.dir.keys[string(key(0))] = budget.KeyFacts{Alias: "real"} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.e.Run(ctx) }()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for i := range 10_000 {
		d := r.e.Admit(t.Context(), r.ask(fmt.Appendf(nil, "sk-made-up-%d", i), 0.01))
		r.e.Settle(&d, enforce.Settlement{Provenance: budget.FromError}) // 401 from LiteLLM
	}
	r.call(key(0), 1)
	eventually(t, "the real key becomes known", func() bool {
		r.advance(time.Second)
		return r.call(key(0), 0).Status.Known
	})
	most := 10 + int(time.Since(began).Seconds()*10) + 1
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r.dir.asked > most {
		t.Errorf("LiteLLM was asked %d times, at most %d are allowed", r.dir.asked, most)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	if tenants, _, err := r.db.Tenants(t.Context(), budget.TenantFilter{Limit: 10}, r.now()); err != nil || len(tenants) != 1 {
		t.Errorf("%d tenants, %v", len(tenants), err)
	}
	if accounts, _ := r.ledger.Size(); accounts > 2 {
		t.Errorf("%d accounts are left", accounts)
	}
	r.noHolds()
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened: %s", what)
		}
		runtime.Gosched()
	}
}

func TestChangesByAnotherProcessAreFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tenant("acme", 1, key(1))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.e.Run(ctx) }()
	r.call(key(1), 2)
	want(t, "over", r.call(key(1), 1), budget.Block, budget.OverBlockPoint)
	other := openStore(t, r.url)
	// The first look at the changes only learns where they stand.
	eventually(t, "another process's budget counts", func() bool {
		r.advance(time.Millisecond)
		_, err := other.PutBudget(t.Context(), "acme", budget.Terms{MaxBudget: usd(100), AlertThreshold: 80, GraceThreshold: 110, Period: month(t)},
			budget.By{Actor: "test", At: r.now()})
		if err != nil {
			t.Fatal(err)
		}
		d := r.call(key(1), 0.001)
		return d.Goes()
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestUpstreamRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	reached := budget.UpstreamBudget{MaxBudget: usd(1), Spend: *usd(1)}
	below := budget.UpstreamBudget{MaxBudget: usd(1), Spend: *usd(0.02)}
	r.dir.set(func() {
		r.dir.keys[string(key(1))] = budget.KeyFacts{Alias: "reached", Limits: reached, TeamID: "full"}
		r.dir.keys[string(key(2))] = budget.KeyFacts{Alias: "below", Limits: below, TeamID: "roomy"}
		r.dir.teams["full"], r.dir.teams["roomy"] = reached, below
	})
	for _, c := range []struct {
		says    string
		key     int
		refusal budget.UpstreamRefusal
		want    budget.Reason
	}{
		{"the key's recorded spend is at its limit", 1, budget.UpstreamRefusal{Subject: "key", Max: usd(1)}, budget.UpstreamLimit},
		{"the key's is far below: a reservation", 2, budget.UpstreamRefusal{Subject: "key", Max: usd(1)}, budget.UpstreamInUse},
		{"the team's is at its limit", 1, budget.UpstreamRefusal{Subject: "team", Max: usd(1)}, budget.UpstreamLimit},
		{"the team's is below", 2, budget.UpstreamRefusal{Subject: "team", Max: usd(1)}, budget.UpstreamInUse},
		{"nobody can tell a member's", 1, budget.UpstreamRefusal{Subject: "team_member", Max: usd(1)}, budget.UpstreamInUse},
		{"the proxy's own limit is somebody else's", 1, budget.UpstreamRefusal{Subject: "global"}, ""},
		{"so is an end user's", 1, budget.UpstreamRefusal{Subject: "end_user"}, ""},
	} {
		ask := r.ask(key(c.key), 0.01)
		d := r.e.Admit(t.Context(), ask)
		if got := r.e.UpstreamRefused(t.Context(), ask, &d, c.refusal); got != c.want {
			t.Errorf("%s: %q, want %q", c.says, got, c.want)
		}
		r.e.Release(&d)
	}
	r.noHolds()
}
