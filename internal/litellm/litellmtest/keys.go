package litellmtest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Key describes a virtual key to be made. The zero value of a field is LiteLLM's
// null.
type Key struct {
	Credential string // bring your own, sk-…, at least 16 characters; empty: one is made
	Alias      string
	UserID     string
	TeamID     string
	MaxBudget  *budget.Money
	SoftBudget *budget.Money
	Duration   string // 30d, …: resets on LiteLLM's calendar
	Metadata   map[string]any
	Models     []string
	Spend      budget.Money // already recorded
}

// User is a LiteLLM user; Role proxy_admin is an admin of the whole proxy.
type User struct {
	ID        string
	Role      string
	MaxBudget *budget.Money
	Duration  string
	Spend     budget.Money
}

// Team is a LiteLLM team.
type Team struct {
	ID        string
	Alias     string
	MaxBudget *budget.Money
	Duration  string
	Spend     budget.Money
}

// account is what keys, users and teams have in common. All of it is guarded by
// Server.mu.
type account struct {
	spend    float64 // as enforcement knows it: at once
	reserved float64
	total    float64 // never reset
	late     []charge
	max      *float64
	duration string
	resetAt  time.Time
}

// charge is spend that the database does not show yet.
type charge struct {
	at     time.Time
	amount float64
}

// recorded is the database's view, which lags behind.
func (a *account) recorded(now time.Time, lag time.Duration) (spend, total float64) {
	a.late = slices.DeleteFunc(a.late, func(c charge) bool { return now.Sub(c.at) >= lag })
	spend, total = a.spend, a.total
	for _, c := range a.late {
		spend, total = spend-c.amount, total-c.amount
	}
	return roundTo(max(0, spend), 1e-12), roundTo(max(0, total), 1e-12)
}

func (a *account) book(now time.Time, amount float64) {
	if amount <= 0 {
		return
	}
	a.spend, a.total = roundTo(a.spend+amount, 1e-12), roundTo(a.total+amount, 1e-12)
	a.late = append(a.late, charge{now, amount})
}

type key struct {
	account
	hash     budget.KeyHash
	name     string // sk-...AbCd
	alias    string
	userID   string
	teamID   string
	models   []string
	metadata json.RawMessage
	blocked  *bool
	expires  time.Time
	deleted  bool
	soft     *float64
	budgetID string
	made     time.Time
	bill     Bill
}

type user struct {
	account
	id, role string
	made     time.Time
}

type team struct {
	account
	id, alias string
	made      time.Time
}

// Bill is what a key was charged.
type Bill struct {
	Calls  int          // that reached the provider
	Booked budget.Money // in LiteLLM's books
	Real   budget.Money // what the provider asks for: aborted streams, no-log and comma calls in full
}

// AddKey makes a key and returns its credential.
func (s *Server) AddKey(k Key) (credential string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addKey(k)
}

func (s *Server) addKey(k Key) (string, error) {
	if k.Credential == "" {
		b := make([]byte, 16)
		_, _ = rand.Read(b)
		k.Credential = "sk-" + base64.RawURLEncoding.EncodeToString(b)
	}
	if !strings.HasPrefix(k.Credential, "sk-") || len(k.Credential) < 16 {
		return "", fmt.Errorf("a key begins with sk- and has at least 16 characters")
	}
	h := budget.HashKey([]byte(k.Credential))
	if s.keys[h] != nil {
		return "", fmt.Errorf("the key exists")
	}
	meta, err := json.Marshal(k.Metadata)
	if err != nil || k.Metadata == nil {
		meta = json.RawMessage("{}")
	}
	now := s.now()
	n := &key{
		hash: h, name: "sk-..." + k.Credential[len(k.Credential)-4:], alias: k.Alias, userID: k.UserID, teamID: k.TeamID,
		models: k.Models, metadata: meta, made: now,
		account: account{max: floatOf(k.MaxBudget), spend: k.Spend.Float(), total: k.Spend.Float()},
	}
	n.setDuration(k.Duration, now)
	if k.SoftBudget != nil {
		n.soft, n.budgetID = floatOf(k.SoftBudget), s.uuid()
	}
	s.keys[h] = n
	return k.Credential, nil
}

// AddUser makes a user.
func (s *Server) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUser(u)
}

func (s *Server) addUser(u User) {
	n := &user{id: u.ID, role: u.Role, made: s.now(), account: account{max: floatOf(u.MaxBudget), spend: u.Spend.Float(), total: u.Spend.Float()}}
	n.setDuration(u.Duration, n.made)
	s.users[u.ID] = n
}

// AddTeam makes a team.
func (s *Server) AddTeam(t Team) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addTeam(t)
}

func (s *Server) addTeam(t Team) {
	n := &team{id: t.ID, alias: t.Alias, made: s.now(), account: account{max: floatOf(t.MaxBudget), spend: t.Spend.Float(), total: t.Spend.Float()}}
	n.setDuration(t.Duration, n.made)
	s.teams[t.ID] = n
}

// DeleteKey deletes a key: it is rejected from then on, and archived.
func (s *Server) DeleteKey(credential string) {
	s.change(credential, func(k *key) { k.deleted = true })
}

// BlockKey blocks or unblocks a key.
func (s *Server) BlockKey(credential string, blocked bool) {
	s.change(credential, func(k *key) { k.blocked = &blocked })
}

// ExpireKey lets a key expire now.
func (s *Server) ExpireKey(credential string) {
	s.change(credential, func(k *key) { k.expires = s.now() })
}

// SetMaxBudget changes a key's limit; nil removes it.
func (s *Server) SetMaxBudget(credential string, limit *budget.Money) {
	s.change(credential, func(k *key) { k.max = floatOf(limit) })
}

func (s *Server) change(credential string, f func(*key)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[budget.HashKey([]byte(credential))]; k != nil {
		f(k)
	}
}

// Bill returns what one key was charged so far.
func (s *Server) Bill(credential string) Bill {
	return s.Bills()[budget.HashKey([]byte(credential))]
}

// Bills returns what every key was charged so far, at once and without lag.
func (s *Server) Bills() map[budget.KeyHash]Bill {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[budget.KeyHash]Bill, len(s.keys))
	for h, k := range s.keys {
		all[h] = k.bill
	}
	return all
}

func (a *account) setDuration(d string, now time.Time) {
	a.duration, a.resetAt = d, time.Time{}
	if d == "" {
		return
	}
	p, err := budget.ParsePeriod(d)
	if err != nil {
		return
	}
	// LiteLLM's own calendar: a month's length means the first of the next month.
	switch d {
	case "30d", "1mo", "monthly":
		a.resetAt = time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	default:
		a.resetAt = budget.Rule{Period: p, Alignment: budget.Calendar, Anchor: now.Truncate(24 * time.Hour)}.Next(now)
	}
}
