package admin

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/config"
)

func TestParseTokens(t *testing.T) {
	t.Parallel()
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte("secret")))
	got, err := ParseTokens([]config.Token{{Name: "ci", Role: config.RoleOperator, SHA256: strings.ToUpper(digest)}})
	if err != nil || len(got) != 1 || got[0].SHA256 != sha256.Sum256([]byte("secret")) || got[0].Role != config.RoleOperator {
		t.Fatalf("ParseTokens = %v, %v, want the one token", got, err)
	}
	for _, bad := range []config.Token{
		{Name: "short", Role: config.RoleViewer, SHA256: digest[:10]},
		{Name: "not-hex", Role: config.RoleViewer, SHA256: strings.Repeat("g", 64)},
		{Name: "no-role", Role: "root", SHA256: digest},
	} {
		if _, err := ParseTokens([]config.Token{bad}); err == nil || !strings.Contains(err.Error(), bad.Name) {
			t.Errorf("ParseTokens(%q) = %v, want an error that names it", bad.Name, err)
		}
	}
}

func TestFailuresByAddress(t *testing.T) {
	t.Parallel()
	var f failures
	now := time.Unix(1_000_000, 0)
	noisy, quiet := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	token := Token{SHA256: sha256.Sum256([]byte("right"))}
	for i := range failureBurst {
		if !f.mayTry(noisy, now) {
			t.Fatalf("wrong token %d of %d was not let through", i+1, failureBurst)
		}
		f.add(noisy, now)
	}
	if f.mayTry(noisy, now) {
		t.Error("after the burst an address may still try")
	}
	if !f.mayTry(quiet, now) {
		t.Error("another address may not try")
	}
	if !f.mayTry(noisy, now.Add(failureEvery)) {
		t.Error("after a while the address may not try once more")
	}
	if f.trusts(noisy, token) {
		t.Error("a token that was never right from the address is trusted")
	}
	f.trust(noisy, token)
	if !f.trusts(noisy, token) || f.trusts(quiet, token) {
		t.Error("trust does not belong to the address and the token alone")
	}
}

func TestFailuresStayBounded(t *testing.T) {
	t.Parallel()
	var f failures
	now := time.Unix(1_000_000, 0)
	for i := range 3 * mostAddresses {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		f.add(a, now.Add(time.Duration(i)*time.Millisecond))
		f.trust(a, Token{})
	}
	if len(f.paid) > mostAddresses || len(f.trusted) > mostAddresses {
		t.Fatalf("%d addresses and %d holders are kept, want at most %d", len(f.paid), len(f.trusted), mostAddresses)
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, remote, want string }{
		{"IPv4 is itself", "192.0.2.7:4711", "192.0.2.7"},
		{"IPv4 in IPv6 is the same host", "[::ffff:192.0.2.7]:4711", "192.0.2.7"},
		{"IPv6 is its /64", "[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::"},
		{"a zone does not tell hosts apart", "[fe80::1%eth0]:4711", "fe80::"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := client(c.remote); got != netip.MustParseAddr(c.want) {
				t.Fatalf("client(%q) = %v, want %s", c.remote, got, c.want)
			}
		})
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc ": "abc",
		"": "", "Bearer": "", "Basic abc": "", "abc": "",
	} {
		if got := bearer(header); got != want {
			t.Errorf("bearer(%q) = %q, want %q", header, got, want)
		}
	}
}
