package litellmtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Options configure a Server. The zero value is LiteLLM 1.106 as it comes, with
// include_cost_in_streaming_usage on.
type Options struct {
	Addr         string  // loopback address; empty: 127.0.0.1:0
	MasterKey    string  // empty: one is made
	Models       []Model // nil: DefaultModels
	BudgetStatus int     // status of a budget refusal: 422 (default), 429, 400
	// Reserve holds a call's worst case against budgets while it runs, as
	// LiteLLM does unless disable_budget_reservation is set.
	Reserve bool
	// SpendLag is how long the database's spend, which /key/info shows, stays
	// behind the counter that enforcement reads.
	SpendLag time.Duration
	// CostOff: include_cost_in_streaming_usage is off.
	CostOff bool
	// Cache: LiteLLM's response cache is on.
	Cache      bool
	WebhookURL string // where budget alerts go; empty: nowhere
	// Delay is how long the provider takes when the prompt does not say.
	Delay time.Duration
	Now   func() time.Time // nil: time.Now; for stamps, lag and expiry only
}

// Server is a running fake. All methods are safe for concurrent use.
type Server struct {
	url, master string
	models      []Model
	status      int
	reserve     bool
	costOff     bool
	lag         time.Duration
	delay       time.Duration
	now         func() time.Time

	http   *http.Server
	ctx    context.Context // ends with Close, and with it everything that hangs
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	keys     map[budget.KeyHash]*key
	users    map[string]*user
	teams    map[string]*team
	cache    map[string][]byte // nil: off
	faults   []*Fault
	calls    map[string]int
	upstream int
	answers  int
	webhook  string
	alerted  map[string]bool
	closed   bool
}

// LiteLLM's uvicorn closes a connection that is idle after a request this late;
// one without a request, or with half a head, stays open. Measured on 1.106.12.
const keepAlive = 5 * time.Second

// Start starts a server.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		_ = l.Close()
		return nil, errors.New("a fake LiteLLM listens on loopback only")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		url: "http://" + l.Addr().String(), master: o.MasterKey, models: o.Models, status: o.BudgetStatus,
		reserve: o.Reserve, costOff: o.CostOff, lag: o.SpendLag, delay: o.Delay, now: o.Now,
		ctx: ctx, cancel: cancel, webhook: o.WebhookURL,
		keys: map[budget.KeyHash]*key{}, users: map[string]*user{}, teams: map[string]*team{},
		calls: map[string]int{}, alerted: map[string]bool{},
	}
	if s.master == "" {
		b := make([]byte, 12)
		_, _ = rand.Read(b)
		s.master = "sk-master-" + hex.EncodeToString(b)
	}
	if s.models == nil {
		s.models = DefaultModels()
	}
	if s.status == 0 {
		s.status = http.StatusUnprocessableEntity
	}
	if s.now == nil {
		s.now = time.Now
	}
	if o.Cache {
		s.cache = map[string][]byte{}
	}
	s.users["default_user_id"] = &user{id: "default_user_id", role: "internal_user", made: s.now()}
	s.http = &http.Server{Handler: s, IdleTimeout: keepAlive}
	s.wg.Go(func() { _ = s.http.Serve(l) })
	return s, nil
}

// URL is where the server listens, such as http://127.0.0.1:41234.
func (s *Server) URL() string { return s.url }

// MasterKey is LiteLLM's master key.
func (s *Server) MasterKey() string { return s.master }

// Close ends the server and all that it does.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	err := s.http.Close()
	s.wg.Wait()
	return err
}

// Calls counts the requests for a path, whatever became of them.
func (s *Server) Calls(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

// AllCalls counts all requests.
func (s *Server) AllCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.calls {
		n += c
	}
	return n
}

// KeyInfoCalls counts the requests for /key/info.
func (s *Server) KeyInfoCalls() int { return s.Calls("/key/info") }

// UpstreamCalls counts the calls that reached the provider.
func (s *Server) UpstreamCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upstream
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls[r.URL.Path]++
	s.mu.Unlock()
	if s.fail(w, r) {
		return
	}
	if s.public(w, r) {
		return
	}
	caller, admin := s.authenticate(w, r)
	if caller == nil && !admin {
		return
	}
	if s.management(w, r, caller, admin) {
		return
	}
	s.model(w, r, caller)
}

// public answers what needs no key.
func (s *Server) public(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/health/liveliness", "/health/liveness":
		reply(w, http.StatusOK, "I'm alive!")
	case "/health/readiness":
		reply(w, http.StatusOK, obj("status", "healthy", "db", "connected"))
	case "/public/litellm_model_cost_map":
		s.costMap(w)
	default:
		return false
	}
	return true
}

// management answers the admin API. It holds the lock: all of it is bookkeeping.
func (s *Server) management(w http.ResponseWriter, r *http.Request, caller *key, admin bool) bool {
	var body keyBody
	path := r.URL.Path
	reset, isReset := strings.CutSuffix(strings.TrimPrefix(path, "/key/"), "/reset_spend")
	writes := isReset || r.Method == http.MethodPost && (strings.HasPrefix(path, "/key/") || strings.HasPrefix(path, "/user/") || strings.HasPrefix(path, "/team/"))
	if writes && !admin {
		refuse(w, http.StatusUnauthorized, "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route="+path+". Your role=unknown. Your user_id=*******", "auth_error", "None")
		return true
	}
	if writes {
		raw, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err := json.Unmarshal(raw, &body); err != nil {
			refuse(w, http.StatusBadRequest, "Invalid JSON payload", "invalid_request_error", "request_body")
			return true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case path == "/key/info":
		s.keyInfo(w, r, caller)
	case path == "/key/list":
		s.keyList(w, r, caller)
	case path == "/key/generate":
		s.keyGenerate(w, body)
	case path == "/key/update":
		s.keyUpdate(w, body)
	case path == "/key/block":
		s.keyBlock(w, body, true)
	case path == "/key/unblock":
		s.keyBlock(w, body, false)
	case path == "/key/delete":
		s.keyDelete(w, body)
	case isReset:
		s.resetSpend(w, reset, body.To)
	case path == "/user/new":
		s.userNew(w, body)
	case path == "/team/new":
		s.teamNew(w, body)
	case path == "/user/delete", path == "/team/delete":
		s.ownersDelete(w, body)
	case path == "/team/info":
		s.teamInfo(w, r, caller)
	case path == "/v2/user/info", path == "/user/info":
		s.userInfo(w, r, caller)
	case path == "/model/info", path == "/v1/model/info":
		s.modelInfo(w, caller)
	case path == "/health/readiness/details":
		reply(w, http.StatusOK, obj("status", "healthy", "db", "connected", "cache", nil, "litellm_version", version))
	case path == "/health/services":
		s.services(w, r, admin)
	default:
		return false
	}
	return true
}

const version = "1.106.12"

// commonHeaders are on every answer of LiteLLM.
func commonHeaders(h http.Header) {
	set(h, "vary", "Origin")
	set(h, "x-frame-options", "DENY")
	set(h, "content-security-policy", "frame-ancestors 'none'")
	set(h, "x-content-type-options", "nosniff")
}

// set sets a header under the name as LiteLLM writes it, in lower case. Names
// that net/http looks for itself keep its own form.
func set(h http.Header, name, value string) {
	if name == "content-type" {
		h.Set(name, value)
		return
	}
	h[name] = []string{value}
}

func reply(w http.ResponseWriter, status int, body any) {
	commonHeaders(w.Header())
	set(w.Header(), "content-type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(compact(body))
}

// refuse answers in the OpenAI form that LiteLLM uses for its own errors.
func refuse(w http.ResponseWriter, status int, message, kind string, param any) {
	reply(w, status, obj("error", obj("message", message, "type", kind, "param", param, "code", itoa(status))))
}

// pause waits, unless the server is closed. It does not end with the client:
// LiteLLM does not either.
func (s *Server) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}
