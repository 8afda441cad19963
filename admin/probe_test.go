package admin

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs sync.WaitGroup
		release := make(chan struct{})
		var asked atomic.Int64
		p := &probe[int]{timeout: time.Minute, keep: 2 * time.Second, now: time.Now, runs: &runs, run: func(context.Context) int {
			n := asked.Add(1)
			<-release
			return int(n)
		}}
		began := time.Now()
		for range 3 {
			if _, fresh := p.ask(t.Context(), 300*time.Millisecond); fresh {
				t.Fatal("a hanging check gave a fresh answer")
			}
		}
		if waited := time.Since(began); waited != 900*time.Millisecond {
			t.Errorf("three askers waited %v in turn, want 900ms", waited)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the check ran %d times at once, want 1", n)
		}
		close(release)
		synctest.Wait()
		if v, fresh := p.ask(t.Context(), time.Second); v != 1 || !fresh {
			t.Errorf("after the check ended: %d, %v, want its answer", v, fresh)
		}
		time.Sleep(3 * time.Second) // the bubble's clock: the answer is old now
		if v, fresh := p.ask(t.Context(), time.Second); v != 2 || !fresh {
			t.Errorf("an old answer served: %d, %v, want the check run again", v, fresh)
		}
		runs.Wait()
	})
}

func TestProbeEndsItsRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs sync.WaitGroup
		p := &probe[error]{timeout: 3 * time.Second, keep: time.Second, now: time.Now, runs: &runs, run: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		p.ask(t.Context(), 0)
		runs.Wait() // for ever, if the run had no deadline
		if err, fresh := p.ask(t.Context(), 0); err == nil || !fresh {
			t.Errorf("after its deadline the check says %v, %v, want the deadline's error", err, fresh)
		}
	})
}
