package ledger

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pursestring/pursestring/internal/budget"
)

var later = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

func request(owner string, block float64, mean, worst float64) Request {
	return Request{
		Account:  Key{Owner: owner, Window: 1},
		Lines:    Lines{Block: dollars(block), Overshoot: dollars(block)},
		Estimate: estimate(mean, worst, 0),
		Deadline: later,
	}
}

func hold(t *testing.T, m *Memory, r Request) Held {
	t.Helper()
	h, err := m.Hold(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func spent(t *testing.T, m *Memory, k Key, want float64) {
	t.Helper()
	totals, _ := m.Totals(k)
	if totals.Spent != dollars(want) {
		t.Errorf("%v has spent %v, want %v", k, totals.Spent, dollars(want))
	}
}

func empty(t *testing.T, m *Memory) {
	t.Helper()
	if _, holds := m.Size(); holds != 0 {
		t.Errorf("%d holds are still open", holds)
	}
}

func TestMemoryHoldEndsOnce(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	k := Key{Owner: "acme", Window: 1}
	h := hold(t, m, request("acme", 100, 1, 5))
	if totals, _ := m.Totals(k); totals.Worst != dollars(5) || totals.InFlight != 1 {
		t.Errorf("while in flight: %+v", totals)
	}
	if _, ok := m.Settle(h.Hold, dollars(2)); !ok {
		t.Error("the first settlement did not count")
	}
	if _, ok := m.Settle(h.Hold, dollars(2)); ok {
		t.Error("the same hold was settled twice")
	}
	if m.Release(h.Hold) {
		t.Error("a settled hold was released")
	}
	again := hold(t, m, request("acme", 100, 1, 5)) // takes the same slot
	if _, ok := m.Settle(h.Hold, dollars(2)); ok {
		t.Error("an old handle ended the slot's next hold")
	}
	if !m.Release(again.Hold) || m.Release(again.Hold) {
		t.Error("a release counts exactly once")
	}
	if _, ok := m.Settle(Hold{}, dollars(1)); ok {
		t.Error("the zero hold was settled")
	}
	spent(t, m, k, 2)
	empty(t, m)
}

func TestMemoryRefusedCallHoldsNothing(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	m.Open(Key{"acme", 1}, dollars(100))
	h := hold(t, m, request("acme", 100, 1, 1))
	if h.Outcome != Over || !h.Hold.IsZero() {
		t.Errorf("over the block point: %+v", h)
	}
	r := request("acme", 100, 1, 1)
	r.Force = true
	if h := hold(t, m, r); h.Outcome != Over || h.Hold.IsZero() {
		t.Errorf("a forced call is held and judged all the same: %+v", h)
	} else {
		m.Settle(h.Hold, dollars(1))
	}
	spent(t, m, Key{"acme", 1}, 101)
	empty(t, m)
}

func TestMemoryOpenKeepsTheNewerFigure(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	k := Key{"acme", 1}
	m.Open(k, dollars(3))
	h := hold(t, m, request("acme", 100, 1, 1))
	m.Settle(h.Hold, dollars(1))
	m.Open(k, dollars(3))
	spent(t, m, k, 4)
}

// Exactly as many calls go as the money allows, however many ask at once.
func TestMemoryConcurrentCallsAtTheLine(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	var went, refused atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				h, _ := m.Hold(t.Context(), request("acme", 10, 0.02, 0.02))
				if !h.Outcome.Goes() {
					refused.Add(1)
					continue
				}
				went.Add(1)
				m.Settle(h.Hold, dollars(0.02))
			}
		})
	}
	wg.Wait()
	if went.Load() != 500 || refused.Load() != 1100 {
		t.Errorf("%d calls of $0.02 went on $10, %d were refused", went.Load(), refused.Load())
	}
	spent(t, m, Key{"acme", 1}, 10)
	empty(t, m)
}

func TestMemoryMove(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	from, to := Key{"key:1", 7}, Key{"acme", 1}
	m.Open(to, dollars(10))
	first := hold(t, m, Request{Account: from, Lines: Lines{Unlimited: true}, Deadline: later})
	open := hold(t, m, Request{Account: from, Lines: Lines{Unlimited: true}, Deadline: later})
	m.Settle(first.Hold, dollars(2))
	if moved := m.Move(from, to); moved != dollars(2) {
		t.Errorf("moved %v", moved)
	}
	if moved := m.Move(from, to); moved != 0 {
		t.Errorf("moved %v a second time", moved)
	}
	settled, ok := m.Settle(open.Hold, dollars(3))
	if !ok || settled.Account != to || settled.Totals.Spent != dollars(15) {
		t.Errorf("a hold that was open follows the move: %+v", settled)
	}
	if _, ok := m.Totals(from); ok {
		t.Error("a moved account stays after its last hold")
	}
	empty(t, m)
}

func TestMemoryFlush(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	h := hold(t, m, request("acme", 10, 1, 1))
	m.Settle(h.Hold, dollars(1))
	down := errors.New("disk full")
	if err := m.Flush(func([]Balance) error { return down }); !errors.Is(err, down) {
		t.Errorf("flush answered %v", err)
	}
	var saved []Balance
	save := func(b []Balance) error { saved = append(saved, b...); return nil }
	if err := m.Flush(save); err != nil {
		t.Fatal(err)
	}
	if len(saved) != 1 || saved[0] != (Balance{Key{"acme", 1}, dollars(1)}) {
		t.Errorf("after a failed flush the next one saves: %v", saved)
	}
	if err := m.Flush(func([]Balance) error { return errors.New("nothing has changed") }); err != nil {
		t.Error(err)
	}
}

func TestMemoryForgets(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	for window := range int64(3) {
		r := request("acme", 10, 1, 1)
		r.Account.Window = window + 1
		m.Settle(hold(t, m, r).Hold, dollars(1))
	}
	if n := m.Forget(); n != 0 {
		t.Errorf("forgot %d accounts that are not saved", n)
	}
	if err := m.Flush(func([]Balance) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if n := m.Forget(); n != 2 {
		t.Errorf("forgot %d closed windows, want 2", n)
	}
	for i := range 1000 {
		r := request(fmt.Sprint("key:", i), 10, 1, 1)
		r.Ephemeral = true
		m.Settle(hold(t, m, r).Hold, 0)
	}
	if accounts, _ := m.Size(); accounts != 1 {
		t.Errorf("%d accounts are left of a thousand that cost nothing", accounts-1)
	}
}

func TestMemoryExpire(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	now := time.Now()
	r := request("acme", 100, 2, 5)
	r.Deadline = now
	h := hold(t, m, r)
	m.Renew(h.Hold, now.Add(time.Minute))
	if x := m.Expire(now.Add(time.Second)); len(x) != 0 {
		t.Errorf("a renewed hold expired: %v", x)
	}
	x := m.Expire(now.Add(time.Hour))
	if len(x) != 1 || x[0].Cost != dollars(2) {
		t.Errorf("expired %v, want one at its mean", x)
	}
	if _, ok := m.Settle(h.Hold, dollars(5)); ok {
		t.Error("an expired hold was settled again")
	}
	spent(t, m, Key{"acme", 1}, 2)
	empty(t, m)
}

// Any interleaving against a plain model: nothing is created, nothing is lost.
func TestMemoryModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := NewMemory()
		type open struct {
			h ledgerHold
			e budget.Estimate
		}
		spent, inFlight := map[Key]budget.Money{}, map[Key][]open{}
		keys := []Key{{"a", 1}, {"a", 2}, {"b", 1}, {"key:c", 1}}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			k := rapid.SampledFrom(keys).Draw(t, "account")
			switch rapid.SampledFrom([]string{"hold", "settle", "release", "flush"}).Draw(t, "what") {
			case "hold":
				e := budget.Estimate{Mean: budget.Money(rapid.Int64Range(0, 50).Draw(t, "mean")), Worst: 50, StdDev: rapid.Float64Range(0, 1e-8).Draw(t, "sd")}
				h, _ := m.Hold(t.Context(), Request{Account: k, Lines: Lines{Block: 1000, Overshoot: 100}, Estimate: e, Deadline: later})
				if h.Outcome.Goes() == h.Hold.IsZero() {
					t.Fatalf("outcome %v with hold %v", h.Outcome, h.Hold)
				}
				if !h.Hold.IsZero() {
					inFlight[k] = append(inFlight[k], open{ledgerHold{h.Hold}, e})
				}
			case "settle", "release":
				if len(inFlight[k]) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(inFlight[k])-1).Draw(t, "which")
				h := inFlight[k][i].h
				inFlight[k] = append(inFlight[k][:i:i], inFlight[k][i+1:]...)
				if rapid.Bool().Draw(t, "cost") {
					cost := budget.Money(rapid.Int64Range(0, 50).Draw(t, "amount"))
					m.Settle(h.Hold, cost)
					spent[k] += cost
				} else {
					m.Release(h.Hold)
				}
			case "flush":
				_ = m.Flush(func(b []Balance) error {
					for _, b := range b {
						if b.Spent != spent[b.Account] {
							t.Fatalf("flushed %v for %v, want %v", b.Spent, b.Account, spent[b.Account])
						}
					}
					return nil
				})
			}
			for _, k := range keys {
				got, _ := m.Totals(k)
				want := sums{spent: spent[k]}
				for _, o := range inFlight[k] {
					want = want.with(o.e)
				}
				if got.Spent != want.spent || got.Mean != want.mean || got.Worst != want.worst || got.InFlight != want.inFlight {
					t.Fatalf("%v: got %+v, want %+v", k, got, want.totals())
				}
			}
		}
	})
}

type ledgerHold struct{ Hold }

func TestMemoryHoldAndSettleDoNotAllocate(t *testing.T) {
	m := NewMemory()
	ctx := t.Context()
	r := request("acme", 1e6, 0.01, 0.02)
	if n := testing.AllocsPerRun(1000, func() {
		h, _ := m.Hold(ctx, r)
		m.Settle(h.Hold, dollars(0.01))
	}); n != 0 {
		t.Errorf("%v allocations per call", n)
	}
}

func BenchmarkMemoryHoldSettle(b *testing.B) {
	for _, tenants := range []int{1, 1_000_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			m := NewMemory()
			owners := make([]string, tenants)
			for i := range owners {
				owners[i] = fmt.Sprintf("tenant-%d", i)
				m.Open(Key{owners[i], 1}, 0)
			}
			r := request("", 1e6, 0.00001, 0.00002)
			ctx := b.Context()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % tenants
				r.Account.Owner = owners[i]
				h, _ := m.Hold(ctx, r)
				m.Settle(h.Hold, 10)
			}
		})
	}
}
