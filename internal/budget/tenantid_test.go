package budget

import (
	"errors"
	"strings"
	"testing"
)

func TestValidateTenantID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why string
		id  string
		ok  bool
	}{
		{"a plain name", "acme", true},
		{"one byte is enough", "a", true},
		{"256 bytes are the most", strings.Repeat("a", 256), true},
		{"257 bytes are too many", strings.Repeat("a", 257), false},
		{"the limit counts bytes, not characters", strings.Repeat("é", 129), false},
		{"nothing is no name", "", false},
		{"slashes are encoded in URLs", "org/team/app", true},
		{"percent signs are encoded in URLs", "50%2Foff", true},
		{"spaces, quotes and semicolons are text", `Robert'); DROP TABLE "x";--`, true},
		{"any script", "客户-Ωμέγα", true},
		{"not UTF-8", "acme\xff", false},
		{"a line break could forge a log line", "acme\nadmin", false},
		{"NUL ends strings elsewhere", "acme\x00", false},
		{"DEL is a control character", "acme\x7f", false},
		{"so are the C1 controls", "acme\u0085", false},
		{"the folder itself", ".", false},
		{"the folder above", "..", false},
		{"three dots are a name", "...", true},
		{"dots inside are a name", "../etc", true},
		{"accounts without a tenant", "key:0123", false},
		{"the prefix alone", "key:", false},
		{"another case is another name", "Key:0123", true},
		{"the word inside", "my-key:1", true},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			err := ValidateTenantID(c.id)
			if (err == nil) != c.ok {
				t.Fatalf("ValidateTenantID(%q) = %v, want ok %v", c.id, err, c.ok)
			}
			if err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("%v is not ErrInvalid", err)
			}
		})
	}
}

func TestValidateTenantIDQuotesBriefly(t *testing.T) {
	t.Parallel()
	err := ValidateTenantID(strings.Repeat("x", 1<<20))
	if len(err.Error()) > 200 {
		t.Errorf("the error repeats %d bytes of the id", len(err.Error()))
	}
}
