package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// samples holds, for every setting, text that is valid and not its default.
var samples = map[string]string{
	"proxy.listen":                     "127.0.0.1:1",
	"proxy.upstream":                   "https://litellm.internal",
	"proxy.on_client_gone":             "drain",
	"proxy.max_body":                   "1GiB",
	"proxy.first_byte_timeout":         "90s",
	"proxy.idle_timeout":               "2m",
	"proxy.max_connections":            "100",
	"proxy.upstream_connections":       "50",
	"proxy.root_paths":                 "/llm, /v2",
	"proxy.hide_amounts":               "true",
	"proxy.shutdown_grace":             "5s",
	"admin.listen":                     "127.0.0.1:2",
	"admin.tokens":                     `[{"name":"a","role":"viewer","sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]`,
	"admin.webhook_token":              "webhook-token-0123456789",
	"admin.webhook_hmac_secret":        "hmac-secret-0123456789",
	"admin.metrics_token":              "metrics-token-0123456789",
	"ops.listen":                       "127.0.0.1:3",
	"litellm.url":                      "http://127.0.0.1:4001/llm",
	"litellm.master_key":               "test",
	"litellm.master_key_sha256":        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	"litellm.key_header":               "X-Key",
	"store.url":                        "sqlite:/var/lib/purse.db",
	"ledger.url":                       "memory:",
	"single_replica":                   "true",
	"enforce.mode":                     "shadow",
	"enforce.max_overshoot":            "50%",
	"enforce.status_ttl":               "10s",
	"enforce.defaults.max_budget":      "null",
	"enforce.defaults.alert_threshold": "90",
	"enforce.defaults.grace_threshold": "100",
	"enforce.defaults.budget_duration": "1mo",
	"enforce.defaults.reset_alignment": "calendar",
	"enforce.defaults.timezone":        "Europe/Zurich",
	"tenants.resolve":                  "store,key",
	"tenants.auto_create":              "off",
	"tenants.inherit_budget":           "false",
	"prices.models":                    `{"m":{"input_cost_per_token":1e-6}}`,
	"prices.unpriced":                  "refuse",
	"log.level":                        "debug",
	"log.format":                       "json",
}

// onlyOneValue are settings whose one valid value is the default.
var onlyOneValue = map[string]bool{"ledger.url": true}

func TestEverySettingHasAVariable(t *testing.T) {
	t.Parallel()
	for _, f := range fields {
		t.Run(f.key, func(t *testing.T) {
			t.Parallel()
			sample, ok := samples[f.key]
			if !ok {
				t.Fatal("no sample: a new setting needs one here")
			}
			loaded, err := Load(Source{Env: []string{f.env() + "=" + sample}})
			if err != nil {
				t.Fatal(err)
			}
			changes := Diff(Default(), loaded.Config)
			if onlyOneValue[f.key] {
				return
			}
			if len(changes) != 1 || changes[0].Key != f.key {
				t.Errorf("%s=%s changes %v, want %s alone", f.env(), sample, changes, f.key)
			}
		})
	}
}

func TestEverySecretComesFromAFile(t *testing.T) {
	t.Parallel()
	for _, f := range fields {
		if !f.secret {
			continue
		}
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(samples[f.key]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(Source{Env: []string{f.env() + "_FILE=" + path}})
		if err != nil {
			t.Fatal(err)
		}
		got := f.of(loaded.Config).Interface().(interface{ Reveal() string }).Reveal()
		if got != samples[f.key] {
			t.Errorf("%s_FILE gives %q, want %q without the line's end", f.env(), got, samples[f.key])
		}
		if len(loaded.Files) != 1 || loaded.Files[0] != path {
			t.Errorf("%s_FILE is not among the watched files %v", f.env(), loaded.Files)
		}
		if _, err := Load(Source{Env: []string{f.env() + "_FILE=" + path, f.env() + "=" + samples[f.key]}}); err == nil {
			t.Errorf("%s and %s_FILE together are no problem, want one", f.env(), f.env())
		}
		if _, err := Load(Source{Env: []string{f.env() + "_FILE=" + path + ".none"}}); err == nil || !strings.Contains(err.Error(), f.env()+"_FILE") {
			t.Errorf("a missing file gives %v, want an error that names %s_FILE", err, f.env())
		}
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	file := "proxy:\n  listen: 127.0.0.1:1\nadmin:\n  listen: 127.0.0.1:2\nops:\n  listen: 127.0.0.1:3\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(Source{
		Path:  path,
		Env:   []string{"PURSESTRING_PROXY_LISTEN=127.0.0.1:11", "PURSESTRING_ADMIN_LISTEN=127.0.0.1:12", "PURSESTRING_OPS_LISTEN="},
		Flags: []string{"proxy.listen=127.0.0.1:21"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := loaded.Config
	for _, got := range []struct{ sentence, got, want string }{
		{"a flag wins over the environment and the file", c.Proxy.Listen, "127.0.0.1:21"},
		{"the environment wins over the file", c.Admin.Listen, "127.0.0.1:12"},
		{"an empty variable is none, so the file wins", c.Ops.Listen, "127.0.0.1:3"},
		{"what nobody sets is the default", c.Proxy.Upstream, Default().Proxy.Upstream},
	} {
		if got.got != got.want {
			t.Errorf("%s: got %s, want %s", got.sentence, got.got, got.want)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	tests := []struct{ sentence, variable, want string }{
		{"a misspelt name warns with the nearest", "PURSESTRING_PROXY_UPSTREM=x", "did you mean PURSESTRING_PROXY_UPSTREAM?"},
		{"a name like nothing warns", "PURSESTRING_ZZZ=x", "PURSESTRING_ZZZ is set and means nothing"},
		{"other programs' variables are theirs", "PROXY_UPSTREM=x", ""},
		{"a Service's host", "PURSESTRING_SERVICE_HOST=10.0.0.1", ""},
		{"a Service's port", "PURSESTRING_SERVICE_PORT=8400", ""},
		{"a Service's named port", "PURSESTRING_SERVICE_PORT_HTTP=8400", ""},
		{"a Service's link", "PURSESTRING_PORT=tcp://10.0.0.1:8400", ""},
		{"a Service's port link", "PURSESTRING_PORT_80_TCP=tcp://10.0.0.1:80", ""},
		{"a Service's port link's protocol", "PURSESTRING_PORT_80_TCP_PROTO=tcp", ""},
		{"a Service's port link's address", "PURSESTRING_PORT_80_TCP_ADDR=10.0.0.1", ""},
		{"the links of a second Service", "PURSESTRING_ADMIN_PORT_8401_TCP_PORT=8401", ""},
		{"a second Service's link", "PURSESTRING_PROXY_PORT=udp://10.0.0.1:8400", ""},
		{"a port that is no link", "PURSESTRING_PROXY_PORT=8400", "PURSESTRING_PROXY_PORT is set and means nothing"},
	}
	for _, tt := range tests {
		loaded, err := Load(Source{Env: []string{tt.variable}})
		if err != nil {
			t.Errorf("%s: %v", tt.sentence, err)
		}
		if got := strings.Join(loaded.Warnings, "\n"); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %s warns %q, want %q", tt.sentence, tt.variable, got, tt.want)
		}
	}
}

func TestNoSettingLooksLikeAServiceLink(t *testing.T) {
	t.Parallel()
	for _, f := range fields {
		if isServiceLink(f.env(), "tcp://10.0.0.1:1") {
			t.Errorf("%s would be ignored as a Service's link", f.env())
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	tests := []struct{ sentence, flag, want string }{
		{"a flag without a value", "proxy.listen", "is not key=value"},
		{"an unknown key", "proxy.lisen=:1", "did you mean proxy.listen?"},
		{"a secret", "litellm.master_key=sk-test-1234", "PURSESTRING_LITELLM_MASTER_KEY_FILE"},
		{"a bad value", "enforce.mode=maybe", `"maybe" is not one of enforce, shadow (--set)`},
	}
	for _, tt := range tests {
		_, err := Load(Source{Flags: []string{tt.flag}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.sentence, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "sk-test") {
			t.Errorf("%s: prints the secret: %v", tt.sentence, err)
		}
	}
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	pod := "KUBERNETES_SERVICE_HOST=10.96.0.1"
	_, err := Load(Source{Env: []string{pod}})
	if err == nil || !strings.Contains(err.Error(), "store.url") || !strings.Contains(err.Error(), "ledger.url") || !strings.Contains(err.Error(), "30 budgets") {
		t.Errorf("SQLite and memory in a pod: got %v, want both refused with the reason", err)
	}
	loaded, err := Load(Source{Env: []string{pod, "PURSESTRING_SINGLE_REPLICA=true"}})
	if err != nil {
		t.Errorf("with single_replica: %v", err)
	}
	if !loaded.Config.Kubernetes || len(loaded.Warnings) != 2 {
		t.Errorf("got warnings %q, want one for the admin tokens and one for the webhook", loaded.Warnings)
	}
}

func TestPlanes(t *testing.T) {
	t.Parallel()
	secrets := []string{
		"PURSESTRING_LITELLM_MASTER_KEY=sk-test-1234",
		"PURSESTRING_ADMIN_TOKENS=" + samples["admin.tokens"],
		"PURSESTRING_ADMIN_WEBHOOK_TOKEN=" + samples["admin.webhook_token"],
	}
	loaded, err := Load(Source{Env: secrets, Plane: PlaneData})
	if err != nil || len(loaded.Warnings) != 3 {
		t.Errorf("secrets on the data plane: warnings %q, error %v, want one warning each", loaded.Warnings, err)
	}
	for _, plane := range []Plane{PlaneAll, PlaneAdmin} {
		if loaded, err := Load(Source{Env: secrets, Plane: plane}); err != nil || len(loaded.Warnings) != 0 {
			t.Errorf("secrets on plane %s: warnings %q, error %v, want none", plane, loaded.Warnings, err)
		}
	}
	if _, err := Load(Source{Env: []string{"PURSESTRING_ADMIN_LISTEN=0.0.0.0:8401"}, Plane: PlaneData}); err != nil {
		t.Errorf("the data plane opens no admin port, so its address needs no token: %v", err)
	}
	if _, err := Load(Source{Plane: "both"}); err == nil || !strings.Contains(err.Error(), `"both" is not one of all, data, admin`) {
		t.Errorf("an unknown plane: got %v", err)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	loaded, err := Load(Source{Env: []string{
		"PURSESTRING_ENFORCE_DEFAULTS_MAX_BUDGET=$12.50",
		"PURSESTRING_ENFORCE_DEFAULTS_BUDGET_DURATION=null",
		"PURSESTRING_PROXY_IDLE_TIMEOUT=90s",
		"PURSESTRING_TENANTS_RESOLVE=[team_id, key]",
		"PURSESTRING_PROXY_MAX_BODY=10MB",
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := loaded.Config
	if got := *c.Enforce.Defaults.MaxBudget; got != 12500*budget.Dollar/1000 {
		t.Errorf("max_budget is %s, want $12.50", got)
	}
	if !c.Enforce.Defaults.BudgetDuration.IsZero() {
		t.Errorf("budget_duration is %s, want never", c.Enforce.Defaults.BudgetDuration)
	}
	if c.Proxy.IdleTimeout != 90*time.Second {
		t.Errorf("idle_timeout is %s, want 90s", c.Proxy.IdleTimeout)
	}
	if want := []budget.Origin{budget.OriginTeam, budget.OriginKey}; !reflect.DeepEqual(c.Tenants.Resolve, want) {
		t.Errorf("resolve is %v, want %v", c.Tenants.Resolve, want)
	}
	if c.Proxy.MaxBody != 10_000_000 {
		t.Errorf("max_body is %d, want ten million", c.Proxy.MaxBody)
	}
}
