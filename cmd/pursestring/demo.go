package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/litellm/litellmtest"
)

func newDemo(e environment) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show it at work: a fake LiteLLM, tenants, agents that spend",
		Long: `Starts a fake LiteLLM and Pursestring in front of it, on free ports of this
machine, lets agents of four tenants spend through it, and prints where to look.
Ctrl-C ends it; it leaves nothing behind. It reads no configuration.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), e, cmd.OutOrStdout())
		},
	}
}

// demoTenants are four tenants with a dollar a day each. Their agents spend until
// each is in another state.
var demoTenants = []demoTenant{
	{id: "support", agent: "sk-demo-support-agent", spends: []int{10, 10, 10}},
	{id: "research", agent: "sk-demo-research-agent", spends: []int{30, 30, 25}},
	{id: "coding", agent: "sk-demo-coding-agent", spends: []int{40, 40, 24}},
	{id: "batch", agent: "sk-demo-batch-agent", spends: []int{40, 40, 31, 5, 5}},
}

// runDemo runs the demonstration until ctx ends.
func runDemo(ctx context.Context, e environment, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "pursestring-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fake, err := litellmtest.Start(litellmtest.Options{})
	if err != nil {
		return fmt.Errorf("start the fake LiteLLM: %w", err)
	}
	defer func() { err = errors.Join(err, fake.Close()) }()

	token := "ps-admin-" + rand.Text()
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return withServer(ctx, demoConfig(dir, fake, token), serveOptions{log: log}, func(ctx context.Context, at addresses) error {
		d := demo{
			out: out, fake: fake, token: token,
			proxy: "http://" + at.Proxy, admin: "http://" + at.Admin,
		}
		if err := d.play(ctx); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}

// withServer runs serve, and do once it is ready. The first to end ends both.
func withServer(ctx context.Context, c *config.Config, o serveOptions, do func(context.Context, addresses) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan addresses, 1)
	o.ready = func(at addresses) { ready <- at }
	served := make(chan error, 1)
	go func() {
		served <- serve(ctx, c, o)
		cancel()
	}()
	var done error
	select {
	case at := <-ready:
		done = do(ctx, at)
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		done = nil // told to stop, whatever was under way
	}
	cancel()
	return errors.Join(done, <-served)
}

// demoConfig is the configuration of a process that listens on free ports and
// keeps its rows in dir.
func demoConfig(dir string, fake *litellmtest.Server, token string) *config.Config {
	c := config.Default()
	c.Proxy.Listen = "127.0.0.1:0"
	c.Proxy.Upstream = fake.URL()
	c.Proxy.MaxConnections, c.Proxy.UpstreamConnections = 256, 256
	c.Proxy.ShutdownGrace = time.Second
	c.Admin.Listen = "127.0.0.1:0"
	sum := sha256.Sum256([]byte(token))
	c.Admin.Tokens = []config.Token{{Name: "demo", Role: config.RolePlatformAdmin, SHA256: hex.EncodeToString(sum[:])}}
	c.Admin.WebhookToken = config.NewSecret("ps-webhook-" + rand.Text())
	c.LiteLLM.MasterKey = config.NewSecret(fake.MasterKey())
	c.Store.URL = config.NewAddress("sqlite:" + filepath.Join(dir, "pursestring.db"))
	return c
}

// demo is one demonstration.
type demo struct {
	out          io.Writer
	fake         *litellmtest.Server
	token        string
	proxy, admin string // base URLs
}

// play sets the tenants up, lets their agents spend, and prints the page.
func (d *demo) play(ctx context.Context) error {
	for _, t := range demoTenants {
		if err := d.makeTenant(ctx, t); err != nil {
			return fmt.Errorf("make tenant %s: %w", t.id, err)
		}
	}
	said := make([][]spoken, len(demoTenants))
	failed := make(chan error, len(demoTenants))
	for i, t := range demoTenants {
		go func() {
			var err error
			said[i], err = d.spend(ctx, t)
			failed <- err
		}()
	}
	var errs []error
	for range demoTenants {
		errs = append(errs, <-failed)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return d.page(ctx, said)
}

// page prints everything at once, on one screen.
func (d *demo) page(ctx context.Context, said [][]spoken) error {
	p := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(p, format+"\n", args...) }
	line("Pursestring is running before a fake LiteLLM. Ctrl-C ends it.\n")
	line("  Agents connect to\t%s/v1", d.proxy)
	line("  Admin API\t%s\t(dashboard at /, metrics at /metrics, API at /openapi.yaml)", d.admin)
	line("  Admin token\t%s", d.token)
	line("  Fake LiteLLM\t%s\n", d.fake.URL())
	line("TENANT\tSTATE\tSPENT\tLIMIT\tBLOCKED FROM\tRESETS")
	for _, t := range demoTenants {
		s, err := d.status(ctx, t.id)
		if err != nil {
			return fmt.Errorf("status of tenant %s: %w", t.id, err)
		}
		line("%s\t%s\t$%.2f\t$%.2f\t$%.2f\t%s", t.id, s.State, s.Spend, s.Limit, s.Block, s.ResetsAt.UTC().Format("2006-01-02 15:04 UTC"))
	}
	line("\nAGENT OF\tANSWER")
	for i, t := range demoTenants {
		for _, s := range said[i] {
			line("%s\t%s", t.id, s)
		}
	}
	last := demoTenants[len(demoTenants)-1]
	line("\nTry the blocked one; give it money; try again:\n")
	line(`  curl -i %s/v1/chat/completions -H 'Authorization: Bearer %s' \`, d.proxy, last.agent)
	line(`    -H 'Content-Type: application/json' -d '{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'`)
	line(`  curl %s/admin/tenants/%s/budget-override -H 'Authorization: Bearer %s' \`, d.admin, last.id, d.token)
	line(`    -H 'Content-Type: application/json' -d '{"override_amount":5,"duration":"1h","reason":"demo"}'`)
	return p.Flush()
}
