package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
)

// Token admits the holder of a bearer token whose SHA-256 is given.
type Token struct {
	Name   string // appears in the audit log
	Role   config.Role
	SHA256 [sha256.Size]byte
}

// ParseTokens reads the tokens of a configuration; an error names the token, by
// its place and name.
func ParseTokens(tokens []config.Token) ([]Token, error) {
	parsed := make([]Token, 0, len(tokens))
	for i, t := range tokens {
		digest, err := hex.DecodeString(t.SHA256)
		if err != nil || len(digest) != sha256.Size {
			return nil, fmt.Errorf("admin.tokens[%d] (%q): sha256 is not 64 hexadecimal digits: give the output of printf %%s TOKEN | sha256sum", i, t.Name)
		}
		if rank(t.Role) == 0 {
			return nil, fmt.Errorf("admin.tokens[%d] (%q): role %q is not viewer, operator or platform_admin", i, t.Name, t.Role)
		}
		parsed = append(parsed, Token{Name: t.Name, Role: t.Role, SHA256: [sha256.Size]byte(digest)})
	}
	return parsed, nil
}

// rank orders roles; each may do what those below it may. 0: no role.
func rank(r config.Role) int {
	switch r {
	case config.RoleViewer:
		return 1
	case config.RoleOperator:
		return 2
	case config.RolePlatformAdmin:
		return 3
	}
	return 0
}

// find returns the token that was presented. It compares with every token in
// constant time, so that its duration says nothing.
func find(tokens []Token, presented string) (Token, bool) {
	digest := sha256.Sum256([]byte(presented))
	found := -1
	for i := range tokens {
		if subtle.ConstantTimeCompare(digest[:], tokens[i].SHA256[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Token{}, false
	}
	return tokens[found], true
}

// bearer returns the token of an Authorization header; "" when there is none.
func bearer(header string) string {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// metaRole is where an operation says what it asks for.
const metaRole = "role"

// authorise lets a request through whose token has the role that the operation
// asks for. An operation that says nothing is closed to everybody.
func (s *Server) authorise(ctx huma.Context, next func(huma.Context)) {
	need, ok := ctx.Operation().Metadata[metaRole].(config.Role)
	if !ok {
		s.refuse(ctx, http.StatusForbidden, "this operation names no role")
		return
	}
	token, status, detail := s.identify(ctx.Header("Authorization"), ctx.RemoteAddr())
	if status != 0 {
		s.refuse(ctx, status, detail)
		return
	}
	noteActor(ctx.Context(), token.Name)
	if rank(token.Role) < rank(need) {
		s.refuse(ctx, http.StatusForbidden, fmt.Sprintf("token %q has the role %s, and this needs %s: use another token, or change its role in admin.tokens", token.Name, token.Role, need))
		return
	}
	next(huma.WithValue(ctx, actorKey{}, token.Name))
}

// identify finds the token that a request carries, or the status and the words
// that it is refused with.
func (s *Server) identify(header, remote string) (token Token, status int, detail string) {
	presented := bearer(header)
	if presented == "" {
		return Token{}, http.StatusUnauthorized, "no token: send Authorization: Bearer TOKEN, with a token of admin.tokens"
	}
	address, now := client(remote), s.now()
	token, ok := find(*s.tokens.Load(), presented)
	trusted := ok && s.failures.trusts(address, token)
	if !trusted && !s.failures.mayTry(address, now) {
		return Token{}, http.StatusTooManyRequests, "too many wrong tokens from this address: wait a minute"
	}
	if !ok {
		s.failures.add(address, now)
		s.metrics.unauthorized.Inc()
		return Token{}, http.StatusUnauthorized, "the token is not known: its SHA-256 must be in admin.tokens"
	}
	s.failures.trust(address, token)
	return token, 0, ""
}

func (s *Server) refuse(ctx huma.Context, status int, detail string) {
	switch status {
	case http.StatusUnauthorized:
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="pursestring"`)
	case http.StatusTooManyRequests:
		ctx.SetHeader("Retry-After", strconv.Itoa(int(failureEvery/time.Second)))
	}
	_ = huma.WriteErr(s.api, ctx, status, detail) // the client may be gone
}

type actorKey struct{}

// actor is the name of the token that a handler runs for.
func actor(ctx context.Context) string {
	name, _ := ctx.Value(actorKey{}).(string)
	return name
}

// client is the address that wrong tokens are counted under: an IPv6 host has a
// whole /64 to choose from. Forwarding headers are not believed.
func client(remote string) netip.Addr {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// Wrong tokens per address: ten at once, then one each six seconds.
const (
	failureBurst  = 10
	failureEvery  = 6 * time.Second
	mostAddresses = 4096
)

// failures counts wrong tokens by address, in bounded memory. It keeps, for each
// address, the instant at which its failures are paid off, and which tokens have
// been right from there: an old script beside an administrator, or behind the
// same gateway, does not lock the administrator out.
type failures struct {
	mu      sync.Mutex
	paid    map[netip.Addr]time.Time
	trusted map[holder]struct{}
}

// holder is a token that was right from an address.
type holder struct {
	address netip.Addr
	token   [sha256.Size]byte
}

// mayTry reports whether an address may present another token.
func (f *failures) mayTry(a netip.Addr, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paid[a].Sub(now) <= (failureBurst-1)*failureEvery
}

func (f *failures) add(a netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.paid == nil {
		f.paid = make(map[netip.Addr]time.Time)
	}
	paid, known := f.paid[a]
	if !known && len(f.paid) >= mostAddresses {
		f.evict(now)
	}
	if paid.Before(now) {
		paid = now
	}
	f.paid[a] = paid.Add(failureEvery)
}

// evict makes room: whoever has paid off goes, and if nobody has, whoever is
// nearest to it.
func (f *failures) evict(now time.Time) {
	var nearest netip.Addr
	var at time.Time
	for a, paid := range f.paid {
		if !paid.After(now) {
			delete(f.paid, a)
			continue
		}
		if at.IsZero() || paid.Before(at) {
			nearest, at = a, paid
		}
	}
	if len(f.paid) >= mostAddresses {
		delete(f.paid, nearest)
	}
}

// trusts reports whether the token has been right from the address before.
func (f *failures) trusts(a netip.Addr, t Token) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.trusted[holder{a, t.SHA256}]
	return ok
}

func (f *failures) trust(a netip.Addr, t Token) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trusted == nil || len(f.trusted) >= mostAddresses {
		f.trusted = make(map[holder]struct{})
	}
	f.trusted[holder{a, t.SHA256}] = struct{}{}
}
