package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/pursestring/pursestring/admin"
	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/ledger"
	"github.com/pursestring/pursestring/internal/litellm"
	"github.com/pursestring/pursestring/internal/store"
	"github.com/pursestring/pursestring/proxy"
)

// afterGrace is what stopping may take beyond proxy.shutdown_grace: closing what
// has not ended by then, and bringing the money to the store.
const afterGrace = 10 * time.Second

func newServe(e environment) *cobra.Command {
	s := settings{e: e}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Proxy LiteLLM and enforce budgets",
		Long: `Serves until SIGTERM or SIGINT, then lets the calls in flight end, for at most
proxy.shutdown_grace. A second signal ends it at once. SIGHUP reloads the
configuration.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := s.load()
			if err != nil {
				return err
			}
			log, level := newLogger(e, loaded.Config.Log)
			for _, warning := range loaded.Warnings {
				log.Warn("configuration needs attention", slog.String("warning", warning))
			}
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			return serve(cmd.Context(), loaded.Config, serveOptions{
				log: log, level: level,
				reload: &reloading{source: s.source(), files: loaded.Files, signals: hangups},
			})
		},
	}
	s.addTo(cmd)
	return cmd
}

// serveOptions are what serve takes beside the configuration.
type serveOptions struct {
	log    *slog.Logger
	level  *slog.LevelVar  // of log; nil: a reload leaves it
	reload *reloading      // nil: the configuration stays as it is
	ready  func(addresses) // called when every port is open; may be nil
}

// addresses are where a process listens; "": it does not.
type addresses struct {
	Proxy, Admin, Ops string
	TokensFile        string // of generated admin tokens; "": none
}

// serve runs the parts of the configured plane until ctx ends or one of them
// fails. It has stopped everything when it returns.
func serve(ctx context.Context, c *config.Config, o serveOptions) (err error) {
	s := &server{
		config: c, o: o, log: o.log, life: newLifecycle(o.log),
		registry: prometheus.NewRegistry(),
	}
	defer func() { err = errors.Join(err, s.life.stop(c.Proxy.ShutdownGrace+afterGrace)) }()
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before it was ready
		}
		return err
	}
	select {
	case <-ctx.Done():
		s.log.Info("stopping", slog.Duration("grace", c.Proxy.ShutdownGrace))
		return nil
	case err := <-s.life.failed:
		return err
	}
}

// server holds the parts of one process while they are joined.
type server struct {
	config   *config.Config
	o        serveOptions
	log      *slog.Logger
	life     *lifecycle
	registry *prometheus.Registry
	ready    atomic.Bool
	// live is the configuration that decisions go by; a reload replaces it.
	live atomic.Pointer[config.Config]

	store     *store.DB
	client    *litellm.Client
	prices    *litellm.Prices
	refresher *litellm.Refresher
	enforcer  *enforce.Enforcer
	health    *admin.Health
	api       *admin.Server // nil: no admin plane
	addresses addresses
}

// start starts the parts, each after those that it needs. What is started last
// stops first: readiness, then the ports, then what settles, then the store. The
// ops port stays open until the money is safe, so that a drain can be watched.
func (s *server) start(ctx context.Context) error {
	s.live.Store(s.config)
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	steps := []func(context.Context) error{
		s.startStore,
		s.startLiteLLM,
		s.startHealth,
		s.startOps,
		s.startEnforcer,
		s.startAdmin,
		s.startProxy,
		s.startReload,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.ready.Store(true)
	s.life.onStop("readiness", func(context.Context) error { s.ready.Store(false); return nil })
	s.log.Info("ready",
		slog.String("version", buildVersion()),
		slog.String("plane", string(s.config.Plane)),
		slog.String("proxy", s.addresses.Proxy),
		slog.String("admin", s.addresses.Admin),
		slog.String("ops", s.addresses.Ops),
		slog.String("upstream", s.config.Proxy.Upstream),
		slog.String("mode", string(s.config.Enforce.Mode)))
	if s.o.ready != nil {
		s.o.ready(s.addresses)
	}
	return nil
}

func (s *server) startStore(ctx context.Context) error {
	db, err := openStore(ctx, s.config)
	if err != nil {
		return err
	}
	s.life.onStop("store", func(context.Context) error { return db.Close() })
	done, err := db.MigrateUp(ctx)
	for _, m := range done {
		s.log.Info("store migrated", slog.Int64("migration", m.Version), slog.String("name", m.Name))
	}
	if err != nil {
		return err
	}
	s.store = db
	return nil
}

// startLiteLLM starts reading prices, which the data plane estimates by.
func (s *server) startLiteLLM(context.Context) error {
	key := s.config.LiteLLM.MasterKey
	s.client = litellm.New(litellm.Options{
		BaseURL:   s.config.BaseURL(),
		MasterKey: key.Reveal(),
		KeyHeader: s.config.LiteLLM.KeyHeader,
		Log:       s.log,
	})
	s.prices = litellm.NewPrices(priceOverrides(s.config))
	s.refresher = litellm.NewRefresher(s.client, s.prices, s.log)
	if s.config.Plane.Data() {
		s.life.run("price refresher", s.refresher.Run)
	}
	return nil
}

var errStarting = errors.New("starting or stopping")

func (s *server) startHealth(context.Context) error {
	o := admin.HealthOptions{
		Ready: func() error {
			if !s.ready.Load() {
				return errStarting
			}
			return nil
		},
		Store: s.store.Ping,
		// The memory ledger is this process: it answers when we do.
		Ledger:   func(context.Context) error { return nil },
		Upstream: upstreamHealth{s.client},
		Log:      s.log,
	}
	if s.config.Plane.Admin() {
		o.Tenants = func(ctx context.Context) (map[budget.State]int, error) {
			return s.store.CountTenants(ctx, time.Now())
		}
	}
	s.health = admin.NewHealth(o)
	s.life.onStop("health checks", func(context.Context) error { s.health.Close(); return nil })
	return nil
}

func (s *server) startOps(context.Context) error {
	if s.config.Ops.Listen == config.Off {
		return nil
	}
	var err error
	s.addresses.Ops, err = s.serveHTTP("ops port", "ops.listen", s.config.Ops.Listen, s.opsHandler())
	return err
}

func (s *server) opsHandler() http.Handler {
	return admin.NewOps(s.health, s.registry, s.config.Admin.MetricsToken)
}

func (s *server) startEnforcer(context.Context) error {
	var err error
	s.enforcer, err = enforce.NewEnforcer(enforce.Options{
		Store:     s.store,
		Ledger:    ledger.NewMemory(),
		Settings:  enforceSettings(s.config),
		Directory: directory{client: s.client, accepted: s.refresher.Offer},
		Metrics:   enforce.NewMetrics(s.registry),
		Log:       s.log,
	})
	if err != nil {
		return fmt.Errorf("start enforcer: %w", err)
	}
	s.life.run("enforcer", s.enforcer.Run)
	return nil
}

func (s *server) startAdmin(context.Context) error {
	if !s.config.Plane.Admin() {
		return nil
	}
	found, err := findCredentials(s.config)
	if err != nil {
		return err
	}
	tokens, err := admin.ParseTokens(found.tokens)
	if err != nil {
		return err
	}
	metrics := admin.NewMetrics(s.registry)
	webhook := admin.NewWebhook(admin.WebhookOptions{
		Token: found.webhook, HMACSecret: s.config.Admin.WebhookHMACSecret,
		Store: s.store, Metrics: metrics, Log: s.log,
	})
	s.life.run("webhook", webhook.Run)
	s.api = admin.New(admin.Options{
		Store: s.store, Enforcer: s.enforcer, Health: s.health, Webhook: webhook, Ops: s.opsHandler(),
		Metrics: metrics, Log: s.log, Tokens: tokens,
		Defaults:  func() admin.Defaults { return adminDefaults(s.live.Load()) },
		MasterKey: s.config.MasterKeyHash(),
		Version:   buildVersion(),
	})
	s.addresses.TokensFile = found.file
	if found.file != "" {
		s.log.Info("admin tokens are generated", slog.String("file", found.file))
	}
	s.addresses.Admin, err = s.serveHTTP("admin port", "admin.listen", s.config.Admin.Listen, s.api)
	return err
}

func (s *server) startProxy(context.Context) error {
	p := &s.config.Proxy
	if !s.config.Plane.Data() {
		return nil
	}
	server, err := proxy.New(proxy.Options{
		Upstream: p.Upstream, Enforcer: s.admitter(), Prices: s.prices, Unpriced: string(s.config.Prices.Unpriced),
		RootPaths: p.RootPaths, KeyHeader: s.config.LiteLLM.KeyHeader, HideAmounts: p.HideAmounts,
		OnClientGone: string(p.OnClientGone), MaxBody: int64(p.MaxBody),
		MaxConnections: p.MaxConnections, MaxUpstream: p.UpstreamConnections,
		FirstByteTimeout: p.FirstByteTimeout, StreamTimeout: p.IdleTimeout,
		Logger: s.log, Metrics: proxy.NewMetrics(s.registry),
	})
	if err != nil {
		return err
	}
	ln, err := listen("proxy.listen", p.Listen)
	if err != nil {
		return err
	}
	s.life.serve("proxy", func() error { return server.Serve(ln) }, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, p.ShutdownGrace)
		defer cancel()
		return server.Shutdown(ctx)
	})
	s.addresses.Proxy = ln.Addr().String()
	return nil
}

// admitter is what the proxy asks. Without a master key it also offers callers'
// credentials for reading prices.
func (s *server) admitter() proxy.Enforcer {
	var e proxy.Enforcer = s.enforcer
	if s.client.HasMasterKey() {
		return e
	}
	return &offering{Enforcer: e, offer: s.refresher.Offer, now: time.Now}
}
