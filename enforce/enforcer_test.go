package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
	"github.com/pursestring/pursestring/internal/store"
)

// rig is an Enforcer over a real store and ledger, a directory that answers
// what the test wants, and a clock that the test moves.
type rig struct {
	t      testing.TB
	url    string
	db     *store.DB
	faults *faults
	dir    *directory
	ledger *ledger.Memory
	reg    *prometheus.Registry
	e      *enforce.Enforcer
	clock  atomic.Pointer[time.Time]
}

func newRig(t testing.TB, change ...func(*enforce.Settings)) *rig {
	t.Helper()
	r := &rig{t: t, url: "sqlite:" + t.TempDir() + "/test.db", dir: newDirectory()}
	r.setClock(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	r.start(change...)
	return r
}

// start opens the store and makes a new Enforcer: at first, and as a restart.
func (r *rig) start(change ...func(*enforce.Settings)) {
	r.t.Helper()
	r.db = openStore(r.t, r.url)
	r.faults = &faults{DB: r.db}
	r.ledger = ledger.NewMemory()
	r.reg = prometheus.NewRegistry()
	settings := settingsFor(r.t)
	for _, c := range change {
		c(&settings)
	}
	e, err := enforce.NewEnforcer(enforce.Options{
		Store: r.faults, Ledger: r.ledger, Settings: settings, Directory: r.dir,
		Metrics: enforce.NewMetrics(r.reg), Log: slog.New(slog.DiscardHandler), Now: r.now,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.e = e
}

func (r *rig) now() time.Time          { return *r.clock.Load() }
func (r *rig) setClock(t time.Time)    { r.clock.Store(&t) }
func (r *rig) advance(d time.Duration) { r.setClock(r.now().Add(d)) }

func settingsFor(t testing.TB) enforce.Settings {
	t.Helper()
	limit := 500 * budget.Dollar
	period, err := budget.ParsePeriod("30d")
	if err != nil {
		t.Fatal(err)
	}
	return enforce.Settings{
		Mode:       budget.Enforce,
		Overshoot:  func(limit budget.Money) budget.Money { return max(limit, 20*budget.Dollar) },
		StatusTTL:  time.Minute,
		Defaults:   enforce.Defaults{MaxBudget: &limit, AlertThreshold: 80, GraceThreshold: 110, Period: period, Alignment: budget.Anniversary},
		Resolve:    []budget.Origin{budget.OriginStore, budget.OriginMetadata, budget.OriginTeam, budget.OriginUser, budget.OriginKey},
		AutoCreate: budget.Enforce,
		Inherit:    true,
	}
}

func key(i int) []byte { return fmt.Appendf(nil, "sk-test-%08d", i) }

func (r *rig) ask(credential []byte, usd float64) *enforce.Ask {
	m, _ := budget.USD(usd)
	return &enforce.Ask{Key: budget.HashKey(credential), Kind: enforce.VirtualKey, Credential: credential, Estimate: budget.Estimate{Mean: m, Worst: m}}
}

// call admits a call and, when it goes, settles it at its estimate.
func (r *rig) call(credential []byte, usd float64) enforce.Decision {
	r.t.Helper()
	ask := r.ask(credential, usd)
	d := r.e.Admit(r.t.Context(), ask)
	if d.Goes() {
		r.e.Settle(&d, enforce.Settlement{Cost: ask.Estimate.Mean, Provenance: budget.FromHeader, Accepted: true})
	}
	return d
}

func (r *rig) tenant(id string, limit float64, credentials ...[]byte) budget.Record {
	r.t.Helper()
	m, _ := budget.USD(limit)
	d := settingsFor(r.t).Defaults
	now := r.now()
	rule := budget.Rule{Period: d.Period, Anchor: now}
	n := budget.NewTenant{
		Tenant: budget.Tenant{ID: id, MaxBudget: &m, AlertThreshold: 80, GraceThreshold: 110, Rule: rule, Origin: budget.OriginAdmin,
			Window: budget.Window{Number: 1, Start: now, End: rule.Next(now)}},
		Actor: "test", Reason: "test",
	}
	for _, c := range credentials {
		n.Keys = append(n.Keys, budget.TenantKey{Hash: budget.HashKey(c), TenantID: id, CreatedAt: now})
	}
	rec, err := r.db.CreateTenant(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func want(t testing.TB, says string, d enforce.Decision, verdict budget.Verdict, reason budget.Reason) {
	t.Helper()
	if d.Verdict != verdict || d.Reason != reason {
		t.Errorf("%s: %s, %s; want %s, %s", says, d.Verdict, d.Reason, verdict, reason)
	}
}

func (r *rig) noHolds() {
	r.t.Helper()
	if _, holds := r.ledger.Size(); holds != 0 {
		r.t.Errorf("%d holds are still open", holds)
	}
}

// faults is the real store with switches for trouble.
type faults struct {
	*store.DB
	down  atomic.Bool
	reads atomic.Int64
}

var errDown = errors.New("store is switched off")

func (f *faults) RecordByKey(ctx context.Context, h budget.KeyHash, now time.Time) (budget.Record, error) {
	f.reads.Add(1)
	if f.down.Load() {
		return budget.Record{}, errDown
	}
	return f.DB.RecordByKey(ctx, h, now)
}

func (f *faults) SaveSpend(ctx context.Context, w []budget.WindowSpend, u []budget.UnresolvedSpend, m []budget.KeyHash) error {
	if f.down.Load() {
		return errDown
	}
	return f.DB.SaveSpend(ctx, w, u, m)
}

// directory answers look-ups from a table; a key that is not in it is rejected.
type directory struct {
	mu     sync.Mutex
	keys   map[string]budget.KeyFacts
	teams  map[string]budget.UpstreamBudget
	users  map[string]budget.UpstreamBudget
	admins map[string]bool
	err    error // trouble
	asked  int
}

func newDirectory() *directory {
	return &directory{keys: map[string]budget.KeyFacts{}, teams: map[string]budget.UpstreamBudget{}, users: map[string]budget.UpstreamBudget{}, admins: map[string]bool{}}
}

func (d *directory) set(f func()) { d.mu.Lock(); defer d.mu.Unlock(); f() }

func (d *directory) Key(_ context.Context, credential string) (budget.KeyFacts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.err != nil {
		return budget.KeyFacts{}, d.err
	}
	f, ok := d.keys[credential]
	if !ok {
		return f, enforce.ErrRejected
	}
	return f, nil
}

func (d *directory) Team(_ context.Context, _, id string) (budget.UpstreamBudget, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.teams[id], d.err
}

func (d *directory) User(_ context.Context, _, id string) (budget.UpstreamBudget, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.users[id], d.admins[id], d.err
}

func TestKnownTenantToItsBlockPoint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tenant("acme", 10, key(1))
	for i := range 11 {
		d := r.call(key(1), 1)
		reason := budget.WithinBudget
		want(t, fmt.Sprintf("call %d of $1 on $10 at 110 %%", i+1), d, budget.Allow, reason)
	}
	d := r.call(key(1), 1)
	want(t, "at $11", d, budget.Block, budget.OverBlockPoint)
	if d.Status.Spent != 11*budget.Dollar || d.Status.Points.Limit != 10*budget.Dollar || d.Status.State != budget.StateBlocked || d.Status.TenantID != "acme" {
		t.Errorf("the refusal says %+v", d.Status)
	}
	if !d.Status.Window.End.Equal(r.now().AddDate(0, 0, 30)) {
		t.Errorf("resets at %v", d.Status.Window.End)
	}
	free := r.ask(key(1), 0)
	free.Free = true
	d = r.e.Admit(t.Context(), free)
	want(t, "a free call over the block point", d, budget.Allow, budget.Costless)
	r.e.Release(&d)
	r.noHolds()
}

func TestCallsInFlightCount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tenant("acme", 10, key(1))
	var open []enforce.Decision
	for range 11 {
		open = append(open, r.e.Admit(t.Context(), r.ask(key(1), 1)))
	}
	want(t, "beside eleven dollars in flight", r.e.Admit(t.Context(), r.ask(key(1), 1)), budget.Block, budget.BudgetInUse)
	r.e.Release(&open[0])
	d := r.e.Admit(t.Context(), r.ask(key(1), 1))
	want(t, "after a release", d, budget.Allow, budget.WithinBudget)
	open[0] = d
	for i := range open {
		r.e.Settle(&open[i], enforce.Settlement{Cost: 0, Provenance: budget.FromError, Accepted: true})
		r.e.Settle(&open[i], enforce.Settlement{Cost: budget.Dollar, Provenance: budget.FromHeader, Accepted: true}) // a second end changes nothing
	}
	if d := r.call(key(1), 1); d.Status.Spent != budget.Dollar {
		t.Errorf("errors that cost nothing left %v spent", d.Status.Spent-budget.Dollar)
	}
	r.noHolds()
}

func TestShadowNeverRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(s *enforce.Settings) { s.Mode = budget.Shadow })
	r.tenant("acme", 1, key(1))
	first := r.e.Admit(t.Context(), r.ask(key(1), 1))
	want(t, "the first", first, budget.Allow, budget.WithinBudget)
	second := r.e.Admit(t.Context(), r.ask(key(1), 1))
	want(t, "no room beside it", second, budget.ShadowWait, budget.BudgetInUse)
	for _, d := range []enforce.Decision{first, second} {
		r.e.Settle(&d, enforce.Settlement{Cost: budget.Dollar, Provenance: budget.FromHeader, Accepted: true})
	}
	d := r.call(key(1), 1)
	want(t, "over the block point", d, budget.ShadowBlock, budget.OverBlockPoint)
	if !d.Goes() || d.Status.Spent != 3*budget.Dollar {
		t.Errorf("it must go and be counted: %+v", d.Status)
	}
	r.noHolds()
}

func TestMasterKeyIsExemptAndCounted(t *testing.T) {
	t.Parallel()
	master := []byte("sk-test-master")
	hash := budget.HashKey(master)
	r := newRig(t, func(s *enforce.Settings) { s.MasterKey = &hash })
	d := r.call(master, 10_000)
	want(t, "the master key", d, budget.Allow, budget.MasterKey)
	if got := metric(t, r.reg, "pursestring_masterkey_usd_total"); got != 10_000 {
		t.Errorf("counted $%v", got)
	}
	if r.dir.asked != 0 {
		t.Error("the master key was looked up")
	}
	if err := r.e.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	r.noHolds()
}

func TestChangesReachTheNextDecision(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rec := r.tenant("acme", 1, key(1))
	r.call(key(1), 1.1)
	want(t, "over", r.call(key(1), 1), budget.Block, budget.OverBlockPoint)
	until := r.now().Add(time.Hour)
	if _, err := r.db.GrantOverride(t.Context(), budget.Override{TenantID: rec.ID, Amount: budget.Dollar, Reason: "test", GrantedBy: "test", StartsAt: r.now(), ExpiresAt: until}, false, budget.By{Actor: "test", At: r.now()}); err != nil {
		t.Fatal(err)
	}
	r.advance(time.Second)
	r.e.Invalidate("acme")
	d := r.call(key(1), 1.1)
	want(t, "with an override of a dollar", d, budget.Allow, budget.WithinBudget)
	if d.Status.OverrideID == 0 || !d.Status.OverrideUntil.Equal(until) {
		t.Errorf("the override is not shown: %+v", d.Status)
	}
	want(t, "over the raised line", r.call(key(1), 1), budget.Block, budget.OverBlockPoint)
	r.setClock(until)
	if d := r.call(key(1), 1); d.Status.Points.Limit != budget.Dollar {
		t.Errorf("at its end the override still counts: %+v", d.Status.Points)
	}
	r.noHolds()
}

func TestWindowsFollowTheClock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tenant("acme", 1, key(1))
	late := r.e.Admit(t.Context(), r.ask(key(1), 0.5))
	r.call(key(1), 0.5)
	r.advance(30 * 24 * time.Hour)
	d := r.call(key(1), 0.25)
	if d.Status.Window.Number != 2 || d.Status.Spent != budget.Dollar/4 {
		t.Errorf("in the next window: %+v", d.Status)
	}
	r.e.Settle(&late, enforce.Settlement{Cost: budget.Dollar / 2, Provenance: budget.FromHeader, Accepted: true})
	if err := r.e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.start()
	d = r.call(key(1), 0)
	if d.Status.Window.Number != 2 || d.Status.Spent != budget.Dollar/4 {
		t.Errorf("after a restart: %+v", d.Status)
	}
	windows, err := r.db.Windows(t.Context(), "acme", 10)
	if err != nil {
		t.Fatal(err)
	}
	spent := map[int64]budget.Money{}
	for _, w := range windows {
		spent[w.Number] = w.Spent
	}
	if spent[1] != budget.Dollar || spent[2] != budget.Dollar/4 {
		t.Errorf("the late settlement belongs to the first window: %v", spent)
	}
	r.noHolds()
}

func TestMoneySurvivesARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tenant("acme", 10, key(1))
	r.call(key(1), 7.5)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.e.Run(ctx) }()
	r.call(key(1), 2.5)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.start()
	if d := r.call(key(1), 1); d.Status.Spent != 11*budget.Dollar {
		t.Errorf("after the restart %v are spent", d.Status.Spent)
	}
	want(t, "and the line holds", r.call(key(1), 1), budget.Block, budget.OverBlockPoint)
}

func TestStoreDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tenant("acme", 1, key(1))
	r.call(key(1), 0.5)
	waitCached(t, r, key(1))
	r.faults.down.Store(true)
	want(t, "a known tenant goes on", r.call(key(1), 0.6), budget.Allow, budget.WithinBudget)
	r.advance(2 * time.Minute) // stale
	want(t, "and is refused by what is known", r.call(key(1), 0.6), budget.Block, budget.OverBlockPoint)
	want(t, "an unseen key passes", r.call(key(2), 1), budget.FailOpen, budget.StoreDown)
	if got := metric(t, r.reg, "pursestring_failopen_usd_total"); got != 1 {
		t.Errorf("failed open for $%v", got)
	}
	if err := r.e.Flush(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("flush says %v", err)
	}
	r.faults.down.Store(false)
	if err := r.e.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	rec, err := r.db.Record(t.Context(), "acme", r.now())
	if err != nil || rec.Spent.Float() != 1.1 {
		t.Errorf("after the trouble the store has %v, %v", rec.Spent, err)
	}
	r.noHolds()
}

// waitCached waits until the cache has taken the key's policy: it takes writes late.
func waitCached(t testing.TB, r *rig, credential []byte) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		before := r.faults.reads.Load()
		d := r.e.Admit(t.Context(), r.ask(credential, 0))
		r.e.Release(&d)
		if r.faults.reads.Load() == before {
			return
		}
	}
	t.Fatal("the policy was never cached")
}

func metric(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestAdmitAndSettleDoNotAllocate(t *testing.T) {
	r := newRig(t)
	r.tenant("acme", 1e6, key(1))
	waitCached(t, r, key(1))
	ask, ctx := r.ask(key(1), 0.01), t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		d := r.e.Admit(ctx, ask)
		r.e.Settle(&d, enforce.Settlement{Cost: budget.Cent, Provenance: budget.FromHeader, Accepted: true})
	}); n > 0 {
		t.Errorf("%v allocations per call", n)
	}
}

func BenchmarkAdmitSettle(b *testing.B) {
	r := newRig(b)
	r.tenant("acme", 1e9, key(1))
	waitCached(b, r, key(1))
	ask, ctx := r.ask(key(1), 0.00001), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		d := r.e.Admit(ctx, ask)
		r.e.Settle(&d, enforce.Settlement{Cost: 10, Provenance: budget.FromHeader, Accepted: true})
	}
}

func openStore(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}
