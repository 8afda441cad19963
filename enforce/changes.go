package enforce

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// changes remembers which tenants and keys have changed lately. A cached policy
// that was read before such a change is no longer served: the cache itself takes
// writes late or not at all, so it cannot be told.
//
// Entries live longer than the cache keeps a policy; then nothing older is left.
type changes struct {
	// count lets the hot path pass without the lock while nothing has changed.
	count   atomic.Int64
	mu      sync.RWMutex
	tenants map[string]time.Time
	keys    map[budget.KeyHash]time.Time
}

// changesKept is longer than keptFor.
const changesKept = keptFor + time.Minute

// since reports whether anything about p has changed since it was read.
func (c *changes) since(p *policy) bool {
	if c.count.Load() == 0 {
		return false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if at, ok := c.keys[p.hash]; ok && !at.Before(p.loaded) {
		return true
	}
	if p.record == nil {
		return false
	}
	at, ok := c.tenants[p.record.ID]
	return ok && !at.Before(p.loaded)
}

func (c *changes) tenant(id string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenants == nil {
		c.tenants = make(map[string]time.Time)
	}
	c.tenants[id] = now
	c.count.Store(int64(len(c.tenants) + len(c.keys)))
}

func (c *changes) key(h budget.KeyHash, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[budget.KeyHash]time.Time)
	}
	c.keys[h] = now
	c.count.Store(int64(len(c.tenants) + len(c.keys)))
}

// prune forgets changes that no cached policy can be older than.
func (c *changes) prune(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range c.tenants {
		if now.Sub(at) > changesKept {
			delete(c.tenants, id)
		}
	}
	for h, at := range c.keys {
		if now.Sub(at) > changesKept {
			delete(c.keys, h)
		}
	}
	c.count.Store(int64(len(c.tenants) + len(c.keys)))
}
