package budget

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// KeyHash is the SHA-256 of a whole credential, "sk-" included: LiteLLM's own
// token hash, unsalted, and the only form in which a credential is stored,
// logged or compared. Source: LiteLLM 1.106, hash_token in proxy/_types.py.
type KeyHash [sha256.Size]byte

// HashKey hashes a credential as it was sent. It does not allocate.
func HashKey(credential []byte) KeyHash { return sha256.Sum256(credential) }

// ParseKeyHash reads the 64 hexadecimal digits of a hash, in either case.
func ParseKeyHash(s string) (KeyHash, error) {
	var h KeyHash
	if len(s) != hex.EncodedLen(len(h)) {
		return h, fmt.Errorf("key hash has %d characters, want 64 hexadecimal digits", len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return KeyHash{}, fmt.Errorf("key hash is not hexadecimal")
	}
	return h, nil
}

// String returns the hash as 64 lower-case hexadecimal digits.
func (h KeyHash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash as String does.
func (h KeyHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what ParseKeyHash reads.
func (h *KeyHash) UnmarshalText(b []byte) (err error) {
	*h, err = ParseKeyHash(string(b))
	return err
}
