package budget

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTenantID is the longest tenant id, in bytes.
const MaxTenantID = 256

// ReservedPrefix begins the names of accounts that belong to no tenant; no tenant
// id begins with it.
const ReservedPrefix = "key:"

// ValidateTenantID checks the one rule that tenant ids keep: 1 to 256 bytes of
// valid UTF-8 without control characters, neither "." nor "..", and not beginning
// with "key:". Slashes, spaces, percent signs and any script are allowed; they
// are percent-encoded in URLs. "." and ".." are not, because clients and proxies
// resolve them in a path whichever way they are encoded.
//
// The error is an *Error with CodeInvalid and field "id".
func ValidateTenantID(id string) error {
	bad := func(format string, args ...any) error {
		return &Error{Code: CodeInvalid, Field: "id", Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case id == "":
		return bad("tenant id is empty, give it 1 to %d bytes", MaxTenantID)
	case len(id) > MaxTenantID:
		return bad("tenant id %q has %d bytes, at most %d are allowed", clip(id), len(id), MaxTenantID)
	case !utf8.ValidString(id):
		return bad("tenant id %q is not valid UTF-8", clip(id))
	case strings.ContainsFunc(id, unicode.IsControl):
		return bad("tenant id %q contains a control character, leave it out", clip(id))
	case id == "." || id == "..":
		return bad("tenant id %q means a folder in a URL, choose another", id)
	case strings.HasPrefix(id, ReservedPrefix):
		return bad("tenant id %q begins with %q, which is reserved, choose another", clip(id), ReservedPrefix)
	}
	return nil
}
