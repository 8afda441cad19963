package admin

import (
	"context"
	"sync"
	"time"
)

// probe asks something that may be slow, once at a time, and remembers the
// answer: health is asked by anybody, as often as they like, and by kubelets
// that wait a second at most.
type probe[T any] struct {
	run     func(context.Context) T
	timeout time.Duration // of one run
	keep    time.Duration // how long an answer serves
	now     func() time.Time
	runs    *sync.WaitGroup

	mu      sync.Mutex
	last    T
	at      time.Time     // of last; zero: never answered
	running chan struct{} // closed when the run that is under way ends; nil: none
}

// ask returns an answer that is fresh, or becomes fresh within wait. Otherwise it
// returns the last one, if there is any, and false.
func (p *probe[T]) ask(ctx context.Context, wait time.Duration) (T, bool) {
	last, fresh, running := p.begin()
	if fresh {
		return last, true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-running:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.last, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return last, false
}

// begin starts a run unless the last answer is fresh or one is under way.
func (p *probe[T]) begin() (last T, fresh bool, running chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil && !p.at.IsZero() && p.now().Sub(p.at) < p.keep {
		return p.last, true, nil
	}
	if p.running == nil {
		done := make(chan struct{})
		p.running = done
		p.runs.Go(func() { p.runOnce(done) })
	}
	return p.last, false, p.running
}

// runOnce belongs to nobody's request: the next one that asks takes its answer.
func (p *probe[T]) runOnce(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	answer := p.run(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.at, p.running = answer, p.now(), nil
	close(done)
}
