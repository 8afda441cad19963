package litellmtest

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

// obj makes an object of name, value, name, value, …
func obj(pairs ...any) object {
	o := make(object, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		o = append(o, member{pairs[i].(string), pairs[i+1]})
	}
	return o
}

// list is a JSON array.
type list []any

// compact writes JSON as LiteLLM does, spaced as Python's json.dumps, which the
// provider's own bodies show.
func compact(v any) []byte { return appendJSON(nil, v, ",", ":") }
func spaced(v any) []byte  { return appendJSON(nil, v, ", ", ": ") }

func appendJSON(b []byte, v any, comma, colon string) []byte {
	switch v := v.(type) {
	case object:
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, comma...)
			}
			b = append(appendString(b, m.name), colon...)
			b = appendJSON(b, m.value, comma, colon)
		}
		return append(b, '}')
	case list:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, comma...)
			}
			b = appendJSON(b, e, comma, colon)
		}
		return append(b, ']')
	case float64:
		return append(b, pyFloat(v)...)
	case *float64:
		if v == nil {
			return append(b, "null"...)
		}
		return append(b, pyFloat(*v)...)
	case string:
		return appendString(b, v)
	case json.RawMessage:
		if v == nil {
			return append(b, "null"...)
		}
		return append(b, v...)
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return append(b, raw...)
	}
}

func appendString(b []byte, s string) []byte {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("BUG: " + err.Error())
	}
	return append(b, strings.TrimSuffix(out.String(), "\n")...)
}

// pyFloat writes a float as Python's repr does: 0.042, 10.0, 2.85e-05.
func pyFloat(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// with returns o with a member added.
func (o object) with(name string, value any) object {
	return append(slices.Clip(o), member{name, value})
}
