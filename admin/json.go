package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/internal/budget"
)

// strictJSON decodes one JSON document that says everything once. encoding/json
// lets the last of two equal members win and replaces broken UTF-8, so that two
// readers of one request could see two budgets.
var strictJSON = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		if err := checkJSON(data); err != nil {
			return err
		}
		return json.Unmarshal(data, v)
	},
}

// deepestJSON is more than any body of ours needs.
const deepestJSON = 32

// checkJSON reports what makes data less than one unambiguous JSON document.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body goes on after its JSON document: send exactly one")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return notJSON(err)
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= deepestJSON {
		return fmt.Errorf("the body is nested more than %d levels deep", deepestJSON)
	}
	names := make(map[string]struct{})
	for d.More() {
		if open == '{' {
			if err := checkName(d, names); err != nil {
				return err
			}
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token() // the closing bracket
	return notJSON(err)
}

// checkName refuses a member name that is there already. Case does not tell
// names apart, since encoding/json does not either.
func checkName(d *json.Decoder, names map[string]struct{}) error {
	t, err := d.Token()
	if err != nil {
		return notJSON(err)
	}
	name, ok := t.(string)
	if !ok {
		return errors.New("the body is not JSON: a member name is missing")
	}
	folded := strings.ToLower(name)
	if _, twice := names[folded]; twice {
		return fmt.Errorf("the member %q is there twice: send it once", clip(name, 60))
	}
	names[folded] = struct{}{}
	return nil
}

func notJSON(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the body is not JSON: it ends early")
	}
	return fmt.Errorf("the body is not JSON: %w", err)
}

// dollars is an amount on the wire: a JSON number of dollars.
type dollars budget.Money

// Schema describes the number.
func (dollars) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Description: "US dollars"}
}

// MarshalJSON writes up to nine decimals and no exponent.
func (d dollars) MarshalJSON() ([]byte, error) { return budget.Money(d).MarshalJSON() }

// UnmarshalJSON reads a finite number, rounding to the nano-dollar.
func (d *dollars) UnmarshalJSON(b []byte) error { return (*budget.Money)(d).UnmarshalJSON(b) }

// asDollars is m for the wire; nil stays nil.
func asDollars(m *budget.Money) *dollars {
	if m == nil {
		return nil
	}
	d := dollars(*m)
	return &d
}

// optional is a member that may be missing, null or a value, told apart.
type optional[T any] struct {
	Sent  bool
	Null  bool
	Value T
}

// Schema is the value's own.
func (optional[T]) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[T]())
}

// UnmarshalJSON is called only for a member that is there.
func (o *optional[T]) UnmarshalJSON(b []byte) error {
	o.Sent = true
	if bytes.Equal(b, []byte("null")) {
		o.Null = true
		return nil
	}
	return json.Unmarshal(b, &o.Value)
}

// clip shortens text that a caller sent, for use in an answer or a log line.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
