package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// envPrefix begins the name of every variable that is ours.
const envPrefix = "PURSESTRING_"

// field is one setting: a leaf of Config.
type field struct {
	key    string // "proxy.listen"
	index  []int  // for reflect.Value.FieldByIndex on Config
	typ    reflect.Type
	live   bool // changes without a restart
	secret bool // also from a file named by …_FILE, never from a flag
}

// env returns the field's environment variable.
func (f *field) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

func (f *field) of(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(f.index) }

// fields lists every setting in the order of the struct.
var fields = collectFields(reflect.TypeFor[Config](), "", nil)

// fieldByKey finds a setting by its key.
var fieldByKey = func() map[string]*field {
	m := make(map[string]*field, len(fields))
	for i := range fields {
		m[fields[i].key] = &fields[i]
	}
	return m
}()

func collectFields(t reflect.Type, prefix string, index []int) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("yaml")
		if name == "-" || name == "" {
			continue
		}
		at := append(slices.Clip(index), i)
		if isSection(sf.Type) {
			all = append(all, collectFields(sf.Type, prefix+name+".", at)...)
			continue
		}
		all = append(all, field{
			key:    prefix + name,
			index:  at,
			typ:    sf.Type,
			live:   sf.Tag.Get("reload") == "live",
			secret: sf.Type == reflect.TypeFor[Secret]() || sf.Type == reflect.TypeFor[Address](),
		})
	}
	return all
}

// isSection reports whether t holds settings instead of being one.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Tag.Get("yaml") != "" && t != reflect.TypeFor[Token]()
}

// setText puts a scalar into v. The error reads on after the key: "is …" or
// `"…" is …`. It never holds a secret.
func setText(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case **budget.Money:
		m, err := parseDollars(text)
		if err != nil {
			return fmt.Errorf("%w, or null", err)
		}
		*p = &m
		return nil
	case *budget.Period:
		period, err := budget.ParsePeriod(text)
		if err != nil {
			return err
		}
		if period.IsZero() {
			return fmt.Errorf("is empty: write null for a budget that never resets")
		}
		*p = period
		return nil
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 30s or 10m", clip(text))
		}
		*p = d
		return nil
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	}
	return setBasic(v, text)
}

func setBasic(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		switch text {
		case "true":
			v.SetBool(true)
		case "false":
			v.SetBool(false)
		default:
			return fmt.Errorf("%q is neither true nor false", clip(text))
		}
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", clip(text))
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", clip(text))
		}
		v.SetFloat(f)
	default:
		panic("BUG: a setting of type " + v.Type().String() + " cannot be read")
	}
	return nil
}

// setNull puts null into v; it reports false where null means nothing.
func setNull(v reflect.Value) bool {
	switch v.Interface().(type) {
	case *budget.Money, budget.Period:
		v.SetZero()
		return true
	}
	return false
}

// text shows a setting's value as one would write it.
func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case *budget.Money:
		if x == nil {
			return "null"
		}
		return string(x.AppendDecimal(nil))
	case budget.Period:
		if x.IsZero() {
			return "null"
		}
		return x.String()
	case time.Duration:
		return shortDuration(x)
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() { //nolint:exhaustive // the kinds that a setting can have
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = fmt.Sprint(v.Index(i).Interface())
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		if v.Len() == 0 {
			return "{}"
		}
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration writes 10m0s as 10m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
