package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

const redacted = "[redacted]"

// Secret is text that must not be seen. However it is printed, marshalled or
// logged, it says [redacted], or nothing when it is not set; only Reveal gives
// the text. The zero Secret is not set.
//
// The text lies behind a pointer: fmt cannot call methods on unexported fields,
// and prints an address there instead.
type Secret struct{ text *string }

// NewSecret returns s as a secret; the empty string is not set.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{text: &s}
}

// IsSet reports whether there is a text.
func (s Secret) IsSet() bool { return s.text != nil }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns [redacted], or "" when the secret is not set.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return redacted
}

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.String()) }

// LogValue is what slog shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what JSON and YAML show.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text, and refuses one that was copied from a print-out.
func (s *Secret) UnmarshalText(b []byte) error {
	if string(b) == redacted {
		return fmt.Errorf("is the word %s that stands for a secret in print: give the secret itself", redacted)
	}
	*s = NewSecret(string(b))
	return nil
}

// Address is a URL that may hold a password. It prints without it; Reveal gives
// all of it.
type Address struct{ text *string }

// NewAddress returns s as an address.
func NewAddress(s string) Address { return Address{text: &s} }

// Reveal returns the address with its password.
func (a Address) Reveal() string {
	if a.text == nil {
		return ""
	}
	return *a.text
}

// Scheme returns what stands before the first colon, lower-case.
func (a Address) Scheme() string {
	scheme, _, _ := strings.Cut(a.Reveal(), ":")
	return strings.ToLower(scheme)
}

// String returns the address with its password and its query hidden.
func (a Address) String() string {
	text := a.Reveal()
	if !strings.ContainsAny(text, "@?") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" && strings.Contains(u.Opaque, "@") {
		return a.Scheme() + ":" + redacted
	}
	if u.User != nil {
		u.User = url.User(redacted)
	}
	if u.RawQuery != "" {
		u.RawQuery = redacted
	}
	shown := u.String()
	if plain, err := url.PathUnescape(shown); err == nil {
		return plain
	}
	return shown
}

// Format writes what String returns, whatever the verb.
func (a Address) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, a.String()) }

// LogValue is what slog shows.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText is what JSON and YAML show.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText takes the address.
func (a *Address) UnmarshalText(b []byte) error {
	*a = NewAddress(string(b))
	return nil
}
