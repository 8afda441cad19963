package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// marker stands in every secret of the tests below.
const marker = "sk-test-marker"

// full is a configuration whose every secret holds the marker. It is made by
// reflection, so that a new secret is in it too.
func full(t *testing.T) *Config {
	t.Helper()
	c := Default()
	secrets := 0
	for i := range fields {
		switch v := fields[i].of(c).Addr().Interface().(type) {
		case *Secret:
			*v = NewSecret(marker)
			secrets++
		case *Address:
			*v = NewAddress("rediss://user:" + marker + "@host:1/0?password=" + marker)
			secrets++
		}
	}
	if secrets < 5 {
		t.Fatalf("found %d secrets: the walk is wrong", secrets)
	}
	return c
}

func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	c := full(t)
	// What no method can guard: unexported fields.
	type hidden struct{ c Config }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
		for _, value := range []any{c, *c, hidden{*c}, []any{*c}, map[string]any{"c": c.LiteLLM}, c.LiteLLM.MasterKey, &c.LiteLLM.MasterKey, c.Store.URL} {
			got := fmt.Sprintf(verb, value)
			if strings.Contains(got, marker) || strings.Contains(got, fmt.Sprintf("%x", marker)) || strings.Contains(got, fmt.Sprintf("%X", marker)) {
				t.Errorf("%s of %T prints a secret:\n%s", verb, value, got)
			}
		}
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Info("config", slog.Any("config", c), slog.Any("key", c.LiteLLM.MasterKey), slog.Any("store", c.Store.URL), slog.Any("struct", c.LiteLLM))
	}
	for name, text := range map[string]string{"JSON": string(asJSON), "YAML": string(asYAML), "slog": logged.String()} {
		if strings.Contains(text, marker) {
			t.Errorf("%s shows a secret:\n%s", name, text)
		}
		if !strings.Contains(text, redacted) {
			t.Errorf("%s does not say %s, so nothing was tested:\n%s", name, redacted, text)
		}
	}
}

func TestSecretIsThere(t *testing.T) {
	t.Parallel()
	s := NewSecret(marker)
	if !s.IsSet() || s.Reveal() != marker || s.String() != redacted {
		t.Errorf("got set %v, %q in print", s.IsSet(), s)
	}
	if none := NewSecret(""); none.IsSet() || none.Reveal() != "" || none.String() != "" || !reflect.ValueOf(none).IsZero() {
		t.Error("the empty secret is not the zero one")
	}
}

func TestAddressPrintsWithoutPassword(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"sqlite:pursestring.db", "sqlite:pursestring.db"},
		{"memory:", "memory:"},
		{"postgres://u:p@h:5432/d", "postgres://[redacted]@h:5432/d"},
		{"rediss://:p@h:6379/0", "rediss://[redacted]@h:6379/0"},
		{"postgres://h/d?password=p", "postgres://h/d?[redacted]"},
		{"postgres://u:p%zz@h/d", "postgres:[redacted]"},
		{"", ""},
	} {
		if got := NewAddress(tt.in).String(); got != tt.want {
			t.Errorf("%q prints %q, want %q", tt.in, got, tt.want)
		}
	}
}
