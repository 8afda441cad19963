package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
)

const (
	// mostBody is the largest request body; a larger one gets 413.
	mostBody = 1 << 20
	// handlerTimeout bounds what one request may wait for the store.
	handlerTimeout = 10 * time.Second
)

// Options are what the admin plane is made of. Store, Enforcer, Health, Webhook,
// Ops, Metrics and Log must be set.
type Options struct {
	Store    Store
	Enforcer Enforcer
	Health   *Health
	Webhook  *Webhook
	Ops      http.Handler // NewOps: health and metrics
	Metrics  *Metrics
	Log      *slog.Logger

	Tokens []Token // none: every operation answers 401
	// Defaults are the budget and the mode of a tenant that is made here; they are
	// asked anew each time, since a reload may change them.
	Defaults func() Defaults
	// MasterKey is the hash of LiteLLM's master key, which is no tenant's; nil: not known.
	MasterKey *budget.KeyHash
	Version   string
	Now       func() time.Time // nil: time.Now
}

// Defaults are the global settings that a tenant's own ones replace.
type Defaults struct {
	Budget budget.Terms // Anchor and IfRevision are not used
	Mode   budget.Mode  // enforce.mode
}

// Server is the admin API. It is safe for concurrent use and starts nothing.
type Server struct {
	store     Store
	enforcer  Enforcer
	defaults  func() Defaults
	masterKey *budget.KeyHash
	metrics   *Metrics
	log       *slog.Logger
	now       func() time.Time

	tokens   atomic.Pointer[[]Token]
	failures failures
	mux      *http.ServeMux
	api      huma.API
}

// New returns the admin API of o.
func New(o Options) *Server {
	s := &Server{
		store: o.Store, enforcer: o.Enforcer, defaults: o.Defaults, masterKey: o.MasterKey,
		metrics: o.Metrics, log: o.Log, now: o.Now, mux: http.NewServeMux(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.SetTokens(o.Tokens)
	s.api = humago.New(s.mux, apiConfig(o.Version))
	s.api.UseMiddleware(s.authorise)
	s.registerTenants()
	s.registerBudgets()
	s.registerKeys()
	s.registerOverrides()
	s.registerReset()
	s.registerStatus()
	s.registerHistory()
	s.registerHealth(o.Health)
	o.Webhook.register(s.mux, s.api.OpenAPI())
	for _, p := range opsPaths {
		s.mux.Handle("GET "+p, o.Ops)
	}
	s.registerDescription()
	registerPage(s.mux)
	return s
}

// SetTokens replaces the tokens, for requests that arrive from now on.
func (s *Server) SetTokens(tokens []Token) { s.tokens.Store(&tokens) }

// apiConfig is huma without what it would fetch from elsewhere or add to bodies:
// no documentation page from a CDN, no $schema members.
func apiConfig(version string) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Pursestring admin API", Version: version,
				Description: "Budgets of tenants behind LiteLLM. Amounts are US dollars, instants RFC 3339 in UTC. " +
					"Errors are application/problem+json and name the field and the remedy. " +
					"A tenant id is one path segment: percent-encode it.",
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer"}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": strictJSON, "json": strictJSON},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{tidyProblem},
	}
}

// route registers an operation for holders of at least the given role. Its
// handler has handlerTimeout, and its errors become problems.
func route[I, O any](s *Server, role config.Role, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	op.Metadata = map[string]any{metaRole: role}
	op.Security = []map[string][]string{{"bearer": {}}}
	op.MaxBodyBytes = mostBody
	op.Description = strings.TrimSpace(op.Description + " Needs the role " + string(role) + ".")
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusTooManyRequests, http.StatusServiceUnavailable)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
		defer cancel()
		out, err := handler(ctx, in)
		if err != nil {
			return nil, s.explain(ctx, op.OperationID, err)
		}
		return out, nil
	})
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, log := beginLog(r, s.log)
	lw := &statusWriter{ResponseWriter: w}
	defer log.end(lw)
	defer s.recoverPanic(lw, r)

	h := lw.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	// The webhook is answered with 200 whatever its body: it reads what it can use.
	if r.ContentLength > mostBody && !strings.HasPrefix(r.URL.Path, webhookPath) {
		writeProblem(lw, http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB: send less")
		return
	}
	r.Body = http.MaxBytesReader(lw, r.Body, mostBody+1)
	if !isClean(r.URL.EscapedPath()) {
		// The mux would redirect to a shorter path, which names something else:
		// //keys is not the keys of the tenant "keys".
		writeProblem(lw, http.StatusBadRequest, "the path has an empty or a dot segment: percent-encode the tenant id, and do not leave it empty")
		return
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		s.answerUnknown(lw, r)
		return
	}
	s.mux.ServeHTTP(lw, r)
}

// isClean reports whether a path, as it was sent, is its own shortest form.
func isClean(escaped string) bool {
	clean := path.Clean(escaped)
	return escaped == clean || escaped == clean+"/"
}

// answerUnknown says 404, or 405 with the methods that the path does have.
func (s *Server) answerUnknown(w http.ResponseWriter, r *http.Request) {
	var plain headerOnly
	s.mux.ServeHTTP(&plain, r)
	if allow := plain.Header().Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		writeProblem(w, http.StatusMethodNotAllowed, "this path does not know the method; it knows "+allow)
		return
	}
	writeProblem(w, http.StatusNotFound, "there is nothing at this path; GET /openapi.yaml describes the API")
}

func (s *Server) recoverPanic(w *statusWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	s.log.Error("BUG: panic in the admin API", "route", r.Pattern, "err", v, "stack", string(debug.Stack()))
	if w.status == 0 {
		writeProblem(w, http.StatusInternalServerError, generic(""))
	}
}

// headerOnly takes the mux's own 404 and 405, which are plain text.
type headerOnly struct{ header http.Header }

func (h *headerOnly) Header() http.Header {
	if h.header == nil {
		h.header = make(http.Header)
	}
	return h.header
}

func (*headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (*headerOnly) WriteHeader(int)             {}

// NewHTTPServer returns a server for h with the limits that a port of the
// control plane needs. The caller listens and serves.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
