package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pursestring/pursestring/internal/litellm"
)

// What becomes of the upstream's side when a client leaves (proxy.on_client_gone).
const (
	// GoneAuto aborts a stream that has begun and drains everything else.
	GoneAuto = "auto"
	// GoneAbort ends the upstream call at once.
	GoneAbort = "abort"
	// GoneDrain reads it to its end, within bounds, and settles what it cost.
	GoneDrain = "drain"
)

// Options set up a Server. Zero values take the defaults named here.
type Options struct {
	Upstream string // proxy.upstream: http or https URL of LiteLLM; required
	TLS      *tls.Config
	Enforcer Enforcer        // required
	Prices   *litellm.Prices // for estimates and metering
	Unpriced string          // prices.unpriced: estimate (default), allow, refuse

	RootPaths   []string // proxy.root_paths: LiteLLM's SERVER_ROOT_PATHS, such as /llm; paths are classified without them
	KeyHeader   string   // litellm.key_header; empty: none
	HideAmounts bool     // refusals and x-budget-* headers name no amounts

	OnClientGone string        // GoneAuto (default), GoneAbort, GoneDrain
	DrainTimeout time.Duration // how long an answer is read for a client that has gone; 10 min
	MaxDrains    int           // answers so read at once; default and most: half of MaxUpstream

	MaxBody        int64 // bytes of a request body; 512 MiB
	MaxHeader      int   // bytes of a request head; 16 KiB; costs as much per connection
	MaxConnections int   // client connections; 16384, less where the limit of open files is lower
	MaxUpstream    int   // connections to LiteLLM; 4096

	DialTimeout      time.Duration // to connect to LiteLLM; 5 s
	QueueTimeout     time.Duration // for a free upstream connection; 10 s
	FirstByteTimeout time.Duration // until LiteLLM's answer begins; 10 min: reasoning models are silent
	StreamTimeout    time.Duration // between two bytes of an answer; 10 min
	HeadTimeout      time.Duration // for a request's head; 15 s
	BodyTimeout      time.Duration // between two bytes of a request's body; 1 min
	WriteTimeout     time.Duration // for a client to take what is written to it; 1 min
	IdleTimeout      time.Duration // of a client connection between requests; 90 s
	UpstreamIdle     time.Duration // of an upstream connection; 4 s: uvicorn closes after 5

	Logger  *slog.Logger // default: discards
	Metrics *Metrics     // default: unregistered

	watch func(find func(uint64) *clientConn) (goneWatch, error) // for tests; nil: the system's
}

// Bounds of sizes, so that a typing error does not ask for the impossible.
const (
	leastHeader = 4 << 10
	mostHeader  = 1 << 20
)

// withDefaults returns o with the defaults filled in.
func (o Options) withDefaults() Options {
	def(&o.Unpriced, "estimate")
	def(&o.OnClientGone, GoneAuto)
	def(&o.DrainTimeout, 10*time.Minute)
	def(&o.MaxBody, 512<<20)
	def(&o.MaxHeader, 16<<10)
	def(&o.MaxConnections, 16384)
	def(&o.MaxUpstream, 4096)
	def(&o.MaxDrains, max(1, o.MaxUpstream/2))
	def(&o.DialTimeout, 5*time.Second)
	def(&o.QueueTimeout, 10*time.Second)
	def(&o.FirstByteTimeout, 10*time.Minute)
	def(&o.StreamTimeout, 10*time.Minute)
	def(&o.HeadTimeout, 15*time.Second)
	def(&o.BodyTimeout, time.Minute)
	def(&o.WriteTimeout, time.Minute)
	def(&o.IdleTimeout, 90*time.Second)
	def(&o.UpstreamIdle, 4*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if o.watch == nil {
		o.watch = newGoneWatch
	}
	return o
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// validate returns every problem of options that have their defaults.
func (o *Options) validate() error {
	var all []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	if _, err := parseUpstream(o.Upstream); err != nil {
		all = append(all, err)
	}
	bad(o.Enforcer != nil, "proxy: no enforcer given")
	bad(o.Unpriced == "estimate" || o.Unpriced == "allow" || o.Unpriced == "refuse",
		"prices.unpriced: %q is none of estimate, allow, refuse", o.Unpriced)
	bad(o.OnClientGone == GoneAuto || o.OnClientGone == GoneAbort || o.OnClientGone == GoneDrain,
		"proxy.on_client_gone: %q is none of auto, abort, drain", o.OnClientGone)
	bad(o.MaxBody > 0, "proxy.max_body: %d is not positive", o.MaxBody)
	bad(o.MaxHeader >= leastHeader && o.MaxHeader <= mostHeader,
		"proxy.max_header_bytes: %d is outside %d–%d", o.MaxHeader, leastHeader, mostHeader)
	bad(o.MaxConnections > 0, "proxy.max_connections: %d is not positive", o.MaxConnections)
	bad(o.MaxUpstream > 0, "proxy.upstream_connections: %d is not positive", o.MaxUpstream)
	bad(o.MaxDrains > 0 && o.MaxDrains <= max(1, o.MaxUpstream/2),
		"proxy.max_drains: %d is outside 1–%d, half of proxy.upstream_connections", o.MaxDrains, max(1, o.MaxUpstream/2))
	for _, root := range o.RootPaths {
		bad(len(root) > 1 && root[0] == '/' && root[len(root)-1] != '/', "proxy.root_paths: %q must begin with a slash and not end in one", root)
	}
	for _, d := range o.durations() {
		bad(*d.value > 0, "proxy.%s: %v is not positive", d.name, *d.value)
	}
	return errors.Join(all...)
}

func (o *Options) durations() []struct {
	name  string
	value *time.Duration
} {
	return []struct {
		name  string
		value *time.Duration
	}{
		{"drain_timeout", &o.DrainTimeout},
		{"dial_timeout", &o.DialTimeout},
		{"queue_timeout", &o.QueueTimeout},
		{"first_byte_timeout", &o.FirstByteTimeout},
		{"idle_timeout", &o.StreamTimeout},
		{"head_timeout", &o.HeadTimeout},
		{"body_timeout", &o.BodyTimeout},
		{"write_timeout", &o.WriteTimeout},
		{"client_idle_timeout", &o.IdleTimeout},
		{"upstream_idle", &o.UpstreamIdle},
	}
}
