package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/internal/budget"
)

const (
	livePath     = "/healthz"
	readyPath    = "/readyz"
	upstreamPath = "/api/v1/health/litellm"

	probeTimeout = 3 * time.Second
	probeKept    = 2 * time.Second
	// readyWait is below the second that a kubelet waits for a probe's answer.
	readyWait = 300 * time.Millisecond
	// healthWait is longer than probeTimeout: whoever asks after LiteLLM wants to know.
	healthWait = probeTimeout + time.Second
)

// HealthOptions are what health is made of. Ready, Upstream and Log must be set;
// a nil check is not shown.
type HealthOptions struct {
	// Ready is nil when the configuration is loaded, the ports are open and the
	// process does not drain; else it says which of them is not so.
	Ready    func() error
	Store    func(context.Context) error
	Ledger   func(context.Context) error
	Upstream Upstream
	// Tenants counts tenants by state; nil on a data plane.
	Tenants func(context.Context) (map[budget.State]int, error)
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// Health answers how this process and what it depends on are. It is safe for
// concurrent use. Nothing that it depends on keeps it from being ready: a pod
// taken out because LiteLLM is away would come back no sooner.
type Health struct {
	ready    func() error
	checks   map[string]*probe[error]
	states   sync.Map // name → *atomic.Bool: was up, so that only changes are logged
	upstream *probe[UpstreamHealth]
	tenants  *probe[tenantCount]
	log      *slog.Logger
	runs     sync.WaitGroup
}

type tenantCount struct {
	byState map[budget.State]int
	err     error
}

// NewHealth returns the health of o. Close waits for the checks that are under way.
func NewHealth(o HealthOptions) *Health {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	h := &Health{ready: o.Ready, log: o.Log, checks: make(map[string]*probe[error])}
	for name, run := range map[string]func(context.Context) error{"store": o.Store, "ledger": o.Ledger} {
		if run != nil {
			h.checks[name] = &probe[error]{run: run, timeout: probeTimeout, keep: probeKept, now: now, runs: &h.runs}
		}
	}
	h.upstream = &probe[UpstreamHealth]{run: o.Upstream.Health, timeout: probeTimeout, keep: probeKept, now: now, runs: &h.runs}
	if o.Tenants != nil {
		count := func(ctx context.Context) tenantCount {
			n, err := o.Tenants(ctx)
			return tenantCount{n, err}
		}
		h.tenants = &probe[tenantCount]{run: count, timeout: probeTimeout, keep: probeKept, now: now, runs: &h.runs}
	}
	return h
}

// Close waits for the checks that are under way; each ends within seconds.
func (h *Health) Close() { h.runs.Wait() }

// live says that the process answers.
func (*Health) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyView says whether calls should be sent here, and what is away.
type readyView struct {
	Status string            `json:"status"` // ready or not_ready
	Reason string            `json:"reason,omitempty"`
	Checks map[string]string `json:"checks"` // up, down, or slow
}

func (h *Health) isReady(w http.ResponseWriter, r *http.Request) {
	v := readyView{Status: "ready", Checks: h.checkAll(r.Context())}
	status := http.StatusOK
	if err := h.ready(); err != nil {
		v.Status, v.Reason, status = "not_ready", err.Error(), http.StatusServiceUnavailable
	}
	writeJSON(w, status, v)
}

// checkAll asks everything at the same time.
func (h *Health) checkAll(ctx context.Context) map[string]string {
	var mu sync.Mutex
	found := make(map[string]string, len(h.checks)+1)
	note := func(name, state string, err any) {
		mu.Lock()
		defer mu.Unlock()
		found[name] = state
		h.logChange(name, state, err)
	}
	var all sync.WaitGroup
	for name, p := range h.checks {
		all.Go(func() {
			err, fresh := p.ask(ctx, readyWait)
			switch {
			case !fresh:
				note(name, "slow", "no answer yet")
			case err != nil:
				note(name, "down", err)
			default:
				note(name, "up", nil)
			}
		})
	}
	all.Go(func() {
		u, fresh := h.upstream.ask(ctx, readyWait)
		switch {
		case !fresh:
			note("litellm", "slow", "no answer yet")
		case !u.Reachable:
			note("litellm", "down", u.Problem)
		default:
			note("litellm", "up", nil)
		}
	})
	all.Wait()
	return found
}

// logChange tells the log once when something goes away, with the reason, which
// the answer leaves out because anybody may read it, and once when it is back.
func (h *Health) logChange(name, state string, err any) {
	away := state != "up"
	v, _ := h.states.LoadOrStore(name, new(atomic.Bool))
	was, ok := v.(*atomic.Bool)
	if !ok || was.Swap(away) == away {
		return
	}
	if away {
		h.log.Warn("dependency is away", "dependency", name, "state", state, "err", err)
		return
	}
	h.log.Info("dependency is back", "dependency", name)
}

// upstreamView is LiteLLM's health, and the tenants' by state.
type upstreamView struct {
	Status    string               `json:"status"` // healthy, degraded, unreachable or unknown
	Reachable bool                 `json:"reachable"`
	Version   *string              `json:"version"`
	MasterKey string               `json:"master_key"` // accepted, rejected, not_set or unknown
	Database  *string              `json:"database"`
	Problem   *string              `json:"problem"`
	Tenants   map[budget.State]int `json:"tenants"` // null: the store is away
}

func (h *Health) litellm(w http.ResponseWriter, r *http.Request) {
	u, fresh := h.upstream.ask(r.Context(), healthWait)
	v := viewUpstream(u, fresh)
	if h.tenants != nil {
		v.Tenants = h.countTenants(r.Context())
	}
	writeJSON(w, http.StatusOK, v)
}

func viewUpstream(u UpstreamHealth, fresh bool) upstreamView {
	v := upstreamView{
		Reachable: u.Reachable, MasterKey: u.MasterKey,
		Version: orNull(u.Version), Database: orNull(u.Database), Problem: orNull(u.Problem),
	}
	if v.MasterKey == "" {
		v.MasterKey = "unknown"
	}
	switch {
	case !fresh:
		v.Status = "unknown"
	case !u.Reachable:
		v.Status = "unreachable"
	case u.Database != "connected" || u.MasterKey == "rejected" || u.Problem != "":
		v.Status = "degraded"
	default:
		v.Status = "healthy"
	}
	return v
}

// countTenants returns how many tenants are in each state, all of them named;
// nil when the store is away.
func (h *Health) countTenants(ctx context.Context) map[budget.State]int {
	c, fresh := h.tenants.ask(ctx, healthWait)
	if !fresh || c.err != nil {
		return nil
	}
	all := make(map[budget.State]int, 4)
	for _, state := range []budget.State{budget.StateOK, budget.StateWarning, budget.StateGrace, budget.StateBlocked} {
		all[state] = c.byState[state]
	}
	return all
}

func (s *Server) registerHealth(h *Health) {
	s.mux.HandleFunc("GET "+upstreamPath, h.litellm)
	describe(s.api.OpenAPI(), http.MethodGet, upstreamPath, "litellm-health", "health",
		"LiteLLM's reachability, version, database, whether it accepts the master key, and tenants by state")
}

// describe adds to the API's description what the mux serves by itself, without
// a token.
func describe(api *huma.OpenAPI, method, path, id, tag, summary string) *huma.Operation {
	op := &huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag},
		Responses: map[string]*huma.Response{"200": {Description: http.StatusText(http.StatusOK)}},
	}
	api.AddOperation(op)
	return op
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
