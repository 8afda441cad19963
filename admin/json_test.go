package admin

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		body string
		want string // part of the error; "" is accepted
	}{
		{"an object passes", `{"a":1,"b":[{"c":null},{"c":2}]}`, ""},
		{"the same name in two objects is no duplicate", `{"a":{"x":1},"b":{"x":1}}`, ""},
		{"blanks around the document pass", " {}\n", ""},
		{"a name twice is refused", `{"max_budget":5,"max_budget":5000}`, `"max_budget" is there twice`},
		{"a name twice in other case is refused, as encoding/json would take the last", `{"max_budget":5,"MAX_budget":5000}`, "is there twice"},
		{"a name twice by way of an escape is refused", `{"max_budget":5,"max\u005fbudget":5000}`, "is there twice"},
		{"a name twice further in is refused", `{"a":[{"b":{"c":1,"c":2}}]}`, `"c" is there twice`},
		{"two documents are refused", `{"a":1}{"b":2}`, "goes on after"},
		{"rubbish after the document is refused", `{"a":1}]`, "goes on after"},
		{"a cut document is refused", `{"a":`, "ends early"},
		{"nothing is refused", ``, "ends early"},
		{"NaN is refused", `{"a":NaN}`, "not JSON"},
		{"a comment is refused", `{"a":1/*no*/}`, "not JSON"},
		{"broken UTF-8 is refused", "{\"a\":\"\xff\"}", "not UTF-8"},
		{"deep nesting is refused", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := checkJSON([]byte(c.body))
			if c.want == "" {
				if err != nil {
					t.Fatalf("checkJSON(%s) = %v, want it accepted", c.body, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("checkJSON(%.60s) = %v, want an error with %q", c.body, err, c.want)
			}
		})
	}
}

// FuzzCheckJSON: what passes is JSON, and reading it twice over gives the same.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":1,"A":2}`, `[[]]`, `{"a":1}{}`, `"\ud800"`, `1e999`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkJSON(data) == nil && !json.Valid(data) {
			t.Fatalf("%q passed and is not JSON", data)
		}
	})
}
