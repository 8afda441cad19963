package ledger

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Memory is the ledger of one process: accounts in memory, sharded by owner, so
// that everything about one owner happens under one mutex and two owners hardly
// ever meet. Hold and Settle allocate nothing once an account and a slot exist.
type Memory struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

var _ Ledger = (*Memory)(nil)

const (
	shardBits  = 6
	shardCount = 1 << shardBits
	slotBits   = 24 // 16 million calls in flight per shard
)

type shard struct {
	mu       sync.Mutex
	accounts map[Key]*account
	slots    []slot
	free     []uint32 // indexes of slots that hold nothing
	dirty    []*account
	_        [24]byte // a cache line of its own
}

type account struct {
	key Key
	sums
	dirty     bool
	ephemeral bool // see Request
	moved     bool // spend goes to target
	// target is where a moved account's late settlements belong.
	target Key
}

// slot is one hold. Its generation rises whenever it is ended, so an old Hold
// finds another generation and does nothing.
type slot struct {
	account    *account
	estimate   budget.Estimate
	deadline   int64 // unix nanoseconds
	generation uint64
}

// NewMemory returns an empty ledger.
func NewMemory() *Memory {
	m := &Memory{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].accounts = make(map[Key]*account)
	}
	return m
}

func (m *Memory) shardOf(owner string) (*shard, uint64) {
	i := maphash.String(m.seed, owner) & (shardCount - 1)
	return &m.shards[i], i
}

// Open implements Ledger.
func (m *Memory) Open(k Key, spent budget.Money) {
	s, _ := m.shardOf(k.Owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts[k] == nil {
		s.accounts[k] = &account{key: k, sums: sums{spent: spent}}
	}
}

// Hold implements Ledger.
func (m *Memory) Hold(_ context.Context, r Request) (Held, error) {
	s, index := m.shardOf(r.Account.Owner)
	s.mu.Lock()
	a := s.accounts[r.Account]
	if a == nil {
		a = &account{key: r.Account, ephemeral: r.Ephemeral}
		s.accounts[r.Account] = a
	}
	held := Held{Outcome: judge(r.Lines, a.sums, r.Estimate), Totals: a.totals()}
	if held.Outcome.Goes() || r.Force {
		a.sums = a.with(r.Estimate)
		held.Hold = s.take(index, a, &r)
	}
	s.mu.Unlock()
	return held, nil
}

// take fills a slot and returns its handle: generation, slot and shard in one
// word. Generations begin at 1, so no handle is 0.
func (s *shard) take(index uint64, a *account, r *Request) Hold {
	var i uint32
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		i = uint32(len(s.slots))
		if i == 1<<slotBits {
			panic("BUG: more calls in flight than a connection limit allows")
		}
		s.slots = append(s.slots, slot{generation: 1})
	}
	sl := &s.slots[i]
	sl.account, sl.estimate, sl.deadline = a, r.Estimate, r.Deadline.UnixNano()
	return Hold{sl.generation<<(shardBits+slotBits) | index<<slotBits | uint64(i)}
}

// find returns the slot of an open hold, under the shard's lock, or nil when the
// hold has ended.
func (m *Memory) find(h Hold) (*shard, uint32, *slot) {
	if h.IsZero() {
		return nil, 0, nil
	}
	i := uint32(h.id & (1<<slotBits - 1))
	s := &m.shards[h.id>>slotBits&(shardCount-1)]
	s.mu.Lock()
	if int(i) < len(s.slots) {
		if sl := &s.slots[i]; sl.account != nil && sl.generation == h.id>>(shardBits+slotBits) {
			return s, i, sl
		}
	}
	s.mu.Unlock()
	return nil, 0, nil
}

// end empties a slot and takes its call out of the account.
func (s *shard) end(i uint32) *account {
	sl := &s.slots[i]
	a := sl.account
	a.sums = a.without(sl.estimate)
	sl.account = nil
	sl.generation = (sl.generation + 1) & (1<<(64-shardBits-slotBits) - 1)
	if sl.generation == 0 {
		sl.generation = 1
	}
	s.free = append(s.free, i)
	return a
}

// Settle implements Ledger.
func (m *Memory) Settle(h Hold, cost budget.Money) (Settled, bool) {
	s, i, sl := m.find(h)
	if sl == nil {
		return Settled{}, false
	}
	a := s.end(i)
	return m.pay(s, a, cost), true
}

// pay adds cost to the account and unlocks its shard.
func (m *Memory) pay(s *shard, a *account, cost budget.Money) Settled {
	if a.moved {
		target := a.target
		s.drop(a)
		s.mu.Unlock()
		return Settled{Account: target, Totals: m.add(target, cost)}
	}
	s.spend(a, cost)
	settled := Settled{Account: a.key, Totals: a.totals()}
	s.dropIfEmpty(a)
	s.mu.Unlock()
	return settled
}

func (s *shard) spend(a *account, cost budget.Money) {
	if cost == 0 {
		return
	}
	a.spent = a.spent.Add(cost)
	if !a.dirty {
		a.dirty = true
		s.dirty = append(s.dirty, a)
	}
}

// dropIfEmpty forgets an account that never cost anything: a hundred thousand
// made-up keys, each refused upstream, leave nothing behind.
func (s *shard) dropIfEmpty(a *account) {
	if a.ephemeral && a.inFlight == 0 && a.spent == 0 && !a.dirty {
		delete(s.accounts, a.key)
	}
}

// drop forgets a moved account once its last hold has ended.
func (s *shard) drop(a *account) {
	if a.inFlight == 0 && s.accounts[a.key] == a {
		delete(s.accounts, a.key)
	}
}

func (m *Memory) add(k Key, amount budget.Money) Totals {
	s, _ := m.shardOf(k.Owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[k]
	if a == nil {
		a = &account{key: k}
		s.accounts[k] = a
	}
	s.spend(a, amount)
	return a.totals()
}

// Release implements Ledger.
func (m *Memory) Release(h Hold) bool {
	s, i, sl := m.find(h)
	if sl == nil {
		return false
	}
	a := s.end(i)
	if a.moved {
		s.drop(a)
	} else {
		s.dropIfEmpty(a)
	}
	s.mu.Unlock()
	return true
}

// Renew implements Ledger.
func (m *Memory) Renew(h Hold, deadline time.Time) {
	s, _, sl := m.find(h)
	if sl == nil {
		return
	}
	sl.deadline = deadline.UnixNano()
	s.mu.Unlock()
}

// Totals implements Ledger.
func (m *Memory) Totals(k Key) (Totals, bool) {
	s, _ := m.shardOf(k.Owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[k]
	if a == nil {
		return Totals{}, false
	}
	return a.totals(), true
}

// Move implements Ledger.
func (m *Memory) Move(from, to Key) budget.Money {
	s, _ := m.shardOf(from.Owner)
	s.mu.Lock()
	a := s.accounts[from]
	if a == nil || a.moved {
		s.mu.Unlock()
		return 0
	}
	amount := a.spent
	a.spent, a.moved, a.target = 0, true, to
	s.drop(a)
	s.mu.Unlock()
	m.add(to, amount)
	return amount
}

// Flush implements Ledger.
func (m *Memory) Flush(save func([]Balance) error) error {
	var batch []Balance
	var saved []*account
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for _, a := range s.dirty {
			a.dirty = false
			if !a.moved {
				batch = append(batch, Balance{Account: a.key, Spent: a.spent})
				saved = append(saved, a)
			}
		}
		s.dirty = s.dirty[:0]
		s.mu.Unlock()
	}
	if len(batch) == 0 {
		return nil
	}
	if err := save(batch); err != nil {
		for _, a := range saved {
			m.markDirty(a)
		}
		return err
	}
	return nil
}

func (m *Memory) markDirty(a *account) {
	s, _ := m.shardOf(a.key.Owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.dirty && !a.moved {
		a.dirty = true
		s.dirty = append(s.dirty, a)
	}
}

// Expire implements Ledger.
func (m *Memory) Expire(now time.Time) []Expired {
	var expired []Expired
	for i := range m.shards {
		for {
			e, more := m.expireOne(uint64(i), now.UnixNano())
			if !more {
				break
			}
			expired = append(expired, e)
		}
	}
	return expired
}

func (m *Memory) expireOne(index uint64, now int64) (Expired, bool) {
	s := &m.shards[index]
	s.mu.Lock()
	for i := range s.slots {
		if sl := &s.slots[i]; sl.account != nil && sl.deadline < now {
			cost := sl.estimate.Mean
			settled := m.pay(s, s.end(uint32(i)), cost)
			return Expired{Account: settled.Account, Cost: cost}, true
		}
	}
	s.mu.Unlock()
	return Expired{}, false
}

// Forget implements Ledger.
func (m *Memory) Forget() int {
	n := 0
	for i := range m.shards {
		n += m.shards[i].forget()
	}
	return n
}

func (s *shard) forget() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := make(map[string]int64, len(s.accounts))
	for k := range s.accounts {
		newest[k.Owner] = max(newest[k.Owner], k.Window)
	}
	n := 0
	for k, a := range s.accounts {
		if k.Window < newest[k.Owner] && a.inFlight == 0 && !a.dirty {
			delete(s.accounts, k)
			n++
		}
	}
	return n
}

// Size implements Ledger.
func (m *Memory) Size() (accounts, holds int) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		accounts += len(s.accounts)
		holds += len(s.slots) - len(s.free)
		s.mu.Unlock()
	}
	return accounts, holds
}
