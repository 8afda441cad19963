package enforce

import (
	"context"
	"sync"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

const (
	// mostPending bounds the keys that wait for a look-up in the background.
	mostPending  = 1024
	firstBackoff = time.Second
	longestWait  = time.Minute
)

// pending are the keys that wait for a look-up in the background, in memory only.
type pending struct {
	mu   sync.Mutex
	keys map[budget.KeyHash]*pendingKey
	wake chan struct{} // buffered by one: something was added
}

type pendingKey struct {
	unresolved
	accepted bool // LiteLLM has served it
	busy     bool // being looked up
	due      time.Time
	backoff  time.Duration
}

func newPending() pending {
	return pending{keys: make(map[budget.KeyHash]*pendingKey), wake: make(chan struct{}, 1)}
}

// add puts a key in line, and reports false when there is no room: an accepted
// key takes the place of one that was not.
func (p *pending) add(u *unresolved, accepted bool, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.keys[u.hash]; k != nil {
		k.accepted = k.accepted || accepted
		return true
	}
	if len(p.keys) >= mostPending && (!accepted || !p.evict()) {
		return false
	}
	p.keys[u.hash] = &pendingKey{unresolved: *u, accepted: accepted, due: now, backoff: firstBackoff}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return true
}

func (p *pending) evict() bool {
	for h, k := range p.keys {
		if !k.accepted && !k.busy {
			delete(p.keys, h)
			return true
		}
	}
	return false
}

// next takes the key that is due, accepted ones first; without one it says how
// long nothing will be due.
func (p *pending) next(now time.Time) (*pendingKey, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *pendingKey
	wait := longestWait
	for _, k := range p.keys {
		switch {
		case k.busy:
		case k.due.After(now):
			wait = min(wait, k.due.Sub(now))
		case best == nil || k.accepted && !best.accepted || k.accepted == best.accepted && k.due.Before(best.due):
			best = k
		}
	}
	if best != nil {
		best.busy = true
	}
	return best, wait
}

// sleep waits for the given time or for a new key; false when ctx has ended.
func (p *pending) sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-p.wake:
	case <-timer.C:
	}
	return true
}

func (p *pending) putOff(k *pendingKey, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.busy = false
	k.due = now.Add(k.backoff)
	k.backoff = min(2*k.backoff, longestWait)
}

func (p *pending) done(k *pendingKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, k.hash)
}
