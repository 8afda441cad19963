package config

import (
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

func TestOvershoot(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text        string
		limit, want budget.Money
		shownAs     string
	}{
		{"auto", 500 * budget.Dollar, 500 * budget.Dollar, "auto"},
		{"auto", budget.Dollar, 20 * budget.Dollar, "auto"},
		{"auto", 0, 20 * budget.Dollar, "auto"},
		{"0", 500 * budget.Dollar, 0, "0"},
		{"$0", 500 * budget.Dollar, 0, "0"},
		{"0%", 500 * budget.Dollar, 0, "0%"},
		{"50%", 500 * budget.Dollar, 250 * budget.Dollar, "50%"},
		{"400%", budget.MaxMoney, budget.MaxMoney, "400%"},
		{"$20", budget.Dollar, 20 * budget.Dollar, "$20"},
		{"$0.5", budget.Dollar, budget.Dollar / 2, "$0.5"},
		{"unlimited", budget.Dollar, budget.MaxMoney, "unlimited"},
	}
	for _, tt := range tests {
		o, err := ParseOvershoot(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := o.For(tt.limit); got != tt.want {
			t.Errorf("%q of %s is %s, want %s", tt.text, tt.limit, got, tt.want)
		}
		if got := o.String(); got != tt.shownAs {
			t.Errorf("%q prints %q, want %q", tt.text, got, tt.shownAs)
		}
		if again, err := ParseOvershoot(o.String()); err != nil || again != o {
			t.Errorf("%q does not read back: %v", o, err)
		}
	}
	for _, bad := range []string{"", "20", "-1%", "1.5%", "$-1", "$", "%", "$NaN", "$inf", "100001%", "all", "AUTO"} {
		if o, err := ParseOvershoot(bad); err == nil {
			t.Errorf("%q is read as %s, want an error", bad, o)
		}
	}
	var zero Overshoot
	if zero.String() != "auto" {
		t.Errorf("the zero overshoot is %s, want auto", zero)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text    string
		want    Bytes
		shownAs string
	}{
		{"512MiB", 512 << 20, "512MiB"},
		{"1024KiB", 1 << 20, "1MiB"},
		{"10MB", 10_000_000, "10000000B"},
		{"0", 0, "0B"},
		{"7B", 7, "7B"},
		{"2GiB", 2 << 30, "2GiB"},
	} {
		var b Bytes
		if err := b.UnmarshalText([]byte(tt.text)); err != nil || b != tt.want || b.String() != tt.shownAs {
			t.Errorf("%q gives %d, printed %q (error %v), want %d, printed %q", tt.text, b, b, err, tt.want, tt.shownAs)
		}
	}
	for _, bad := range []string{"", "MiB", "1 parsec", "-1MiB", "9999999999GiB"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is read as %d, want an error", bad, b)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ sentence, key, want string }{
		{"a misspelt name", "enforce.mod", ": did you mean enforce.mode?"},
		{"a misspelt section", "enforcement", ": did you mean enforce?"},
		{"a misspelt section before a right name", "enfroce.mode", ": did you mean enforce.mode?"},
		{"the wrong section", "litellm.on_client_gone", ": did you mean proxy.on_client_gone?"},
		{"a member of a token", "admin.tokens[3].rol", ": did you mean admin.tokens[3].role?"},
		{"nothing like it", "zebra", ""},
		{"no name at all", "", ""},
	} {
		if got := didYouMean(tt.key); got != tt.want {
			t.Errorf("%s: %q gives %q, want %q", tt.sentence, tt.key, got, tt.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	t.Parallel()
	if got := editDistance("kitten", "sitting", 10); got != 3 {
		t.Errorf("kitten to sitting is %d edits, want 3", got)
	}
	if got := clip(strings.Repeat("é", 100)); got != strings.Repeat("é", 60)+"…" {
		t.Errorf("clip cuts a character: %q", got)
	}
}

func TestMasterKeyHash(t *testing.T) {
	t.Parallel()
	c := Default()
	if c.MasterKeyHash() != nil {
		t.Error("no key has a hash")
	}
	c.LiteLLM.MasterKeySHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	byHash := c.MasterKeyHash()
	c.LiteLLM.MasterKeySHA256, c.LiteLLM.MasterKey = "", NewSecret("test")
	byKey := c.MasterKeyHash()
	if byHash == nil || byKey == nil || *byHash != *byKey {
		t.Errorf("the key's hash %v is not the configured one %v", byKey, byHash)
	}
}
