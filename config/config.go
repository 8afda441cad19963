// Package config reads Pursestring's settings: one YAML file, the environment
// and the command line, into one struct.
//
// The walk: Load starts from Default, lays the file over it, then PURSESTRING_*
// variables, then --set flags, and validates the whole. Everything that is wrong
// comes back at once, each problem with its key, its origin and its remedy. A
// Config is never changed after Load: a reload makes a new one.
//
// The comments on the fields below are the settings reference: docs/settings.md
// is generated from them.
package config

import (
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

//go:generate go test -run ^TestSettingsReference$ . -update

// Config is every setting. Fields tagged reload:"live" change without a restart.
type Config struct {
	Proxy   Proxy   `yaml:"proxy"`
	Admin   Admin   `yaml:"admin"`
	Ops     Ops     `yaml:"ops"`
	LiteLLM LiteLLM `yaml:"litellm"`
	Store   Store   `yaml:"store"`
	Ledger  Ledger  `yaml:"ledger"`
	// One replica is all there is, and stays so. Under Kubernetes a memory ledger
	// or a SQLite store refuses to start without it: every replica would count a
	// budget of its own.
	SingleReplica bool    `yaml:"single_replica"`
	Enforce       Enforce `yaml:"enforce"`
	Tenants       Tenants `yaml:"tenants"`
	Prices        Prices  `yaml:"prices"`
	Log           Log     `yaml:"log"`

	// Plane is what this process serves (--plane); it is no setting.
	Plane Plane `yaml:"-"`
	// Kubernetes: the environment is a pod's.
	Kubernetes bool `yaml:"-"`
}

// Proxy is the data plane.
type Proxy struct {
	// Where agents connect: host:port. Port 0 takes a free one.
	Listen string `yaml:"listen"`
	// LiteLLM: http:// or https://, host and port, no path (see proxy.root_paths).
	Upstream string `yaml:"upstream"`
	// What happens to the upstream call when the client leaves: `abort` ends it at
	// once, `drain` reads it to its end and settles what it really cost, `auto`
	// aborts a stream that has begun and drains everything else.
	OnClientGone OnClientGone `yaml:"on_client_gone"`
	// The largest request body, such as `512MiB`; larger ones get 413.
	MaxBody Bytes `yaml:"max_body"`
	// How long LiteLLM may take to the first byte of its answer; then 504.
	FirstByteTimeout time.Duration `yaml:"first_byte_timeout"`
	// The longest silence within an answer. Reasoning models are silent for minutes.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// Client connections at once; each needs a file descriptor.
	MaxConnections int `yaml:"max_connections"`
	// Connections to LiteLLM at once; each needs a file descriptor. One call or
	// stream uses one.
	UpstreamConnections int `yaml:"upstream_connections"`
	// LiteLLM's SERVER_ROOT_PATH or SERVER_ROOT_PATHS, if it has any, such as
	// `[/llm]`: paths are classified without them.
	RootPaths []string `yaml:"root_paths"`
	// Leaves dollar amounts out of refusals and `x-budget-*` headers.
	HideAmounts bool `yaml:"hide_amounts"`
	// How long calls in flight may run on after SIGTERM. Keep it below the pod's
	// terminationGracePeriodSeconds.
	ShutdownGrace time.Duration `yaml:"shutdown_grace"`
}

// Admin is the admin plane.
type Admin struct {
	// Where the admin API, the dashboard and LiteLLM's webhook are served:
	// host:port. An address that others can reach needs `admin.tokens`.
	Listen string `yaml:"listen"`
	// Who may use the admin API: `name`, `role` (`platform_admin`, `operator`,
	// `viewer`) and `sha256` of the bearer token. Empty: one token is generated
	// into a file beside the store (mode 0600); under Kubernetes none is.
	Tokens []Token `yaml:"tokens" reload:"live"`
	// Authenticates LiteLLM's webhook, which is unsigned, by a token in its URL:
	// `…/api/v1/budget-alerts/TOKEN`. Generated like `admin.tokens`.
	WebhookToken Secret `yaml:"webhook_token"`
	// Authenticates the webhook by `X-Signature-256: sha256=<hmac of body>`, for
	// senders that can sign.
	WebhookHMACSecret Secret `yaml:"webhook_hmac_secret"`
	// When set, `/metrics` asks for this bearer token, on every port.
	MetricsToken Secret `yaml:"metrics_token"`
}

// Token admits one holder of a bearer token to the admin API.
type Token struct {
	Name   string `yaml:"name"` // appears in the audit log
	Role   Role   `yaml:"role"`
	SHA256 string `yaml:"sha256"` // 64 hexadecimal digits
}

// Ops is the port for probes and Prometheus.
type Ops struct {
	// Serves `/healthz`, `/readyz` and `/metrics` and nothing else: host:port, or
	// `off`.
	Listen string `yaml:"listen"`
}

// LiteLLM is the upstream's admin API.
type LiteLLM struct {
	// LiteLLM's admin API, when it is not where `proxy.upstream` is.
	URL string `yaml:"url"`
	// LiteLLM's master key. Without one there is no sync of keys; the rest works,
	// as keys are looked up with their own authority. Not for `--plane data`.
	MasterKey Secret `yaml:"master_key"`
	// SHA-256 of the master key, 64 hexadecimal digits: a data plane that does not
	// hold the key recognises it by this, and does not count its calls as a tenant's.
	MasterKeySHA256 string `yaml:"master_key_sha256"`
	// LiteLLM's `general_settings.litellm_key_header_name`, when it is set: the one
	// header that then holds the virtual key.
	KeyHeader string `yaml:"key_header"`
}

// Store is where rows are kept.
type Store struct {
	// `sqlite:FILE`. The file is made when it is not there.
	URL Address `yaml:"url"`
}

// Ledger is where live counters are kept.
type Ledger struct {
	// `memory:`, the ledger of one process.
	URL Address `yaml:"url"`
}

// Enforce is how calls are decided.
type Enforce struct {
	// `enforce` refuses; `shadow` counts what it would have refused and lets
	// everything pass. A tenant may have its own.
	Mode budget.Mode `yaml:"mode" reload:"live"`
	// How far past the block point spend could come if every call in flight cost
	// its worst case: `0` (never past it), `50%` of the limit, `$20`, `unlimited`,
	// or `auto`, the larger of 100% of the limit and $20.
	MaxOvershoot Overshoot `yaml:"max_overshoot" reload:"live"`
	// How long a cached policy serves before it is read again; a stale one serves
	// while that happens.
	StatusTTL time.Duration `yaml:"status_ttl" reload:"live"`
	Defaults  Defaults      `yaml:"defaults"`
}

// Defaults is the budget of a tenant that nobody has given one.
type Defaults struct {
	// Dollars per period; `null`: metered, never blocked.
	MaxBudget *budget.Money `yaml:"max_budget" reload:"live"`
	// Percent of the limit from which the state is `warning`, 50–100.
	AlertThreshold int `yaml:"alert_threshold" reload:"live"`
	// Percent of the limit from which calls are refused, 100–150.
	GraceThreshold int `yaml:"grace_threshold" reload:"live"`
	// The period: a number with `s`, `m`, `h`, `d`, `w` or `mo`; `null`: never resets.
	BudgetDuration budget.Period `yaml:"budget_duration" reload:"live"`
	// Where windows begin: `anniversary` of the tenant's anchor, or `calendar`: local
	// midnight, Monday or the 1st.
	ResetAlignment budget.Alignment `yaml:"reset_alignment" reload:"live"`
	// The zone of calendar windows, such as `Europe/Zurich`.
	Timezone string `yaml:"timezone" reload:"live"`
}

// Tenants is how a virtual key finds its tenant.
type Tenants struct {
	// What names the tenant of an unseen key; the first that answers does. Of
	// `store`, `metadata.tenant_id`, `team_id`, `user_id`, `key`.
	Resolve []budget.Origin `yaml:"resolve" reload:"live"`
	// What an unseen key that LiteLLM has accepted gets: a tenant in mode `enforce`
	// or `shadow`, or none (`off`).
	AutoCreate budget.Mode `yaml:"auto_create" reload:"live"`
	// A new tenant takes budget, duration and spend from the LiteLLM object that
	// named it, where that object has both.
	InheritBudget bool `yaml:"inherit_budget" reload:"live"`
}

// Prices is what models cost where LiteLLM does not say, or says it wrong.
type Prices struct {
	// Overrides of LiteLLM's prices by model name, in its own field names
	// (`input_cost_per_token`, `output_cost_per_token`, `max_output_tokens`, …):
	// dollars or tokens.
	Models map[string]map[string]float64 `yaml:"models"`
	// A call to a model without a price: `estimate` as the dearest known, `allow`
	// without one, or `refuse` (400).
	Unpriced Unpriced `yaml:"unpriced"`
}

// Log is what is written to standard error.
type Log struct {
	// `debug`, `info`, `warn` or `error`.
	Level LogLevel `yaml:"level" reload:"live"`
	// `text` or `json`.
	Format LogFormat `yaml:"format"`
}

// Default returns the settings of an empty file and environment.
func Default() *Config {
	limit := 500 * budget.Dollar
	month, err := budget.ParsePeriod("30d")
	if err != nil {
		panic("BUG: default budget duration: " + err.Error())
	}
	return &Config{
		Proxy: Proxy{
			Listen:              "127.0.0.1:8400",
			Upstream:            "http://127.0.0.1:4000",
			OnClientGone:        ClientGoneAuto,
			MaxBody:             512 << 20,
			FirstByteTimeout:    10 * time.Minute,
			IdleTimeout:         10 * time.Minute,
			MaxConnections:      16384,
			UpstreamConnections: 16384,
			ShutdownGrace:       25 * time.Second,
		},
		Admin:  Admin{Listen: "127.0.0.1:8401"},
		Ops:    Ops{Listen: Off},
		Store:  Store{URL: NewAddress("sqlite:pursestring.db")},
		Ledger: Ledger{URL: NewAddress("memory:")},
		Enforce: Enforce{
			Mode:      budget.Enforce,
			StatusTTL: time.Minute,
			Defaults: Defaults{
				MaxBudget:      &limit,
				AlertThreshold: 80,
				GraceThreshold: 110,
				BudgetDuration: month,
				ResetAlignment: budget.Anniversary,
				Timezone:       "UTC",
			},
		},
		Tenants: Tenants{
			Resolve: []budget.Origin{
				budget.OriginStore, budget.OriginMetadata, budget.OriginTeam, budget.OriginUser, budget.OriginKey,
			},
			AutoCreate:    budget.Enforce,
			InheritBudget: true,
		},
		Prices: Prices{Unpriced: UnpricedEstimate},
		Log:    Log{Level: "info", Format: LogText},
		Plane:  PlaneAll,
	}
}
