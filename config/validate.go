package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Validate returns everything that is wrong with c, each problem with its key
// and its remedy. It has no side effects: it resolves no name and opens nothing.
func (c *Config) Validate() Problems {
	v := validator{}
	v.proxy(&c.Proxy)
	v.admin(c)
	v.litellm(&c.LiteLLM)
	v.places(c)
	v.enforce(&c.Enforce)
	v.tenants(&c.Tenants)
	v.prices(&c.Prices)
	oneOf(&v, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(&v, "log.format", c.Log.Format, LogText, LogJSON)
	oneOf(&v, "plane", c.Plane, PlaneAll, PlaneData, PlaneAdmin)
	return v.problems
}

type validator struct{ problems Problems }

func (v *validator) add(key, format string, args ...any) {
	v.problems = append(v.problems, Problem{Key: key, Message: fmt.Sprintf(format, args...)})
}

func (v *validator) proxy(p *Proxy) {
	v.address("proxy.listen", p.Listen)
	v.baseURL("proxy.upstream", p.Upstream, false)
	oneOf(v, "proxy.on_client_gone", p.OnClientGone, ClientGoneAuto, ClientGoneAbort, ClientGoneDrain)
	if p.MaxBody < 1<<10 || p.MaxBody > 1<<40 {
		v.add("proxy.max_body", "%s is outside 1KiB–1024GiB", p.MaxBody)
	}
	v.duration("proxy.first_byte_timeout", p.FirstByteTimeout, time.Second, 24*time.Hour)
	v.duration("proxy.idle_timeout", p.IdleTimeout, time.Second, 24*time.Hour)
	v.duration("proxy.shutdown_grace", p.ShutdownGrace, 0, time.Hour)
	v.within("proxy.max_connections", p.MaxConnections, 1, 1_000_000)
	v.within("proxy.upstream_connections", p.UpstreamConnections, 1, 1_000_000)
	for i, root := range p.RootPaths {
		key := fmt.Sprintf("proxy.root_paths[%d]", i)
		if !strings.HasPrefix(root, "/") || strings.HasSuffix(root, "/") || strings.ContainsAny(root, "?# ") {
			v.add(key, "%q is not a path such as /llm: begin with / and do not end with it", clip(root))
		}
	}
}

func (v *validator) admin(c *Config) {
	a := &c.Admin
	v.address("admin.listen", a.Listen)
	if c.Plane.Admin() && len(a.Tokens) == 0 && !isLoopback(a.Listen) {
		v.add("admin.listen", "%s can be reached from other machines, and nobody would need a token: set admin.tokens, or listen on 127.0.0.1", a.Listen)
	}
	v.tokens(a.Tokens)
	v.secret("admin.webhook_token", a.WebhookToken)
	if s := a.WebhookToken.Reveal(); s != "" && url.PathEscape(s) != s {
		v.add("admin.webhook_token", "holds characters that a URL's path cannot: use letters, digits, - and _")
	}
	v.secret("admin.webhook_hmac_secret", a.WebhookHMACSecret)
	v.secret("admin.metrics_token", a.MetricsToken)
	if c.Ops.Listen != Off {
		v.address("ops.listen", c.Ops.Listen)
	}
	v.distinct(c)
}

func (v *validator) tokens(tokens []Token) {
	names, hashes := map[string]bool{}, map[string]bool{}
	for i, t := range tokens {
		key := func(member string) string { return fmt.Sprintf("admin.tokens[%d].%s", i, member) }
		switch {
		case t.Name == "":
			v.add(key("name"), "is missing: the audit log names who did what by it")
		case names[t.Name]:
			v.add(key("name"), "%q is another token's name: each needs its own", clip(t.Name))
		}
		names[t.Name] = true
		oneOf(v, key("role"), t.Role, RolePlatformAdmin, RoleOperator, RoleViewer)
		hash := strings.ToLower(t.SHA256)
		// Never the value: a token pasted here by mistake must not be printed.
		switch _, err := budget.ParseKeyHash(hash); {
		case err != nil:
			v.add(key("sha256"), "is not 64 hexadecimal digits: `printf %%s TOKEN | sha256sum` gives them")
		case hashes[hash]:
			v.add(key("sha256"), "is another token's: each needs its own")
		}
		hashes[hash] = true
	}
}

// leastSecret keeps a secret out of reach of guessing.
const leastSecret = 16

func (v *validator) secret(key string, s Secret) {
	if s.IsSet() && len(s.Reveal()) < leastSecret {
		v.add(key, "is shorter than %d characters: `openssl rand -hex 32` makes a good one", leastSecret)
	}
}

// distinct finds two listeners on one address.
func (v *validator) distinct(c *Config) {
	listeners := []struct {
		key, address string
		used         bool
	}{
		{"proxy.listen", c.Proxy.Listen, c.Plane.Data()},
		{"admin.listen", c.Admin.Listen, c.Plane.Admin()},
		{"ops.listen", c.Ops.Listen, c.Ops.Listen != Off},
	}
	taken := map[string]string{}
	for _, l := range listeners {
		if _, port, err := net.SplitHostPort(l.address); err != nil || port == "0" || !l.used {
			continue
		}
		if other, ok := taken[l.address]; ok {
			v.add(l.key, "%s is also %s: give each its own port", l.address, other)
		}
		taken[l.address] = l.key
	}
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func (v *validator) litellm(l *LiteLLM) {
	if l.URL != "" {
		v.baseURL("litellm.url", l.URL, true)
	}
	if l.KeyHeader != "" && !headerName.MatchString(l.KeyHeader) {
		v.add("litellm.key_header", "%q is not a header's name", clip(l.KeyHeader))
	}
	if l.MasterKeySHA256 == "" {
		return
	}
	switch hash, err := budget.ParseKeyHash(l.MasterKeySHA256); {
	case err != nil:
		v.add("litellm.master_key_sha256", "is not 64 hexadecimal digits: `printf %%s KEY | sha256sum` gives them")
	case l.MasterKey.IsSet() && hash != budget.HashKey([]byte(l.MasterKey.Reveal())):
		v.add("litellm.master_key_sha256", "is not the hash of litellm.master_key: keep one of the two")
	}
}

// places checks where rows and counters are kept, and whether that can be shared.
func (v *validator) places(c *Config) {
	switch scheme := c.Store.URL.Scheme(); {
	case scheme == "postgres" || scheme == "postgresql":
		v.add("store.url", "%s: this version keeps rows in SQLite only: use sqlite:FILE", c.Store.URL)
	case scheme != "sqlite" || strings.TrimPrefix(c.Store.URL.Reveal(), "sqlite:") == "":
		v.add("store.url", "%q is not sqlite:FILE", clip(c.Store.URL.String()))
	case c.Kubernetes && !c.SingleReplica:
		v.add("store.url", "%s under Kubernetes gives every replica rows of its own, so 30 pods would be 30 budgets: set single_replica: true where one pod is all there is", c.Store.URL)
	}
	switch scheme := c.Ledger.URL.Scheme(); {
	case slices.Contains([]string{"redis", "rediss", "redis-cluster", "redis-sentinel"}, scheme):
		v.add("ledger.url", "%s: this version has the memory ledger only: use memory: with one replica", c.Ledger.URL)
	case c.Ledger.URL.Reveal() != "memory:":
		v.add("ledger.url", "%q is not memory:", clip(c.Ledger.URL.String()))
	case c.Kubernetes && !c.SingleReplica:
		v.add("ledger.url", "memory: under Kubernetes gives every replica counters of its own, so 30 pods would be 30 budgets: set single_replica: true where one pod is all there is")
	}
}

func (v *validator) enforce(e *Enforce) {
	oneOf(v, "enforce.mode", e.Mode, budget.Enforce, budget.Shadow)
	v.duration("enforce.status_ttl", e.StatusTTL, time.Second, time.Hour)
	d := &e.Defaults
	if d.MaxBudget != nil && *d.MaxBudget <= 0 {
		v.add("enforce.defaults.max_budget", "%s is not more than $0: null means no limit", *d.MaxBudget)
	}
	v.within("enforce.defaults.alert_threshold", d.AlertThreshold, 50, 100)
	v.within("enforce.defaults.grace_threshold", d.GraceThreshold, 100, 150)
	oneOf(v, "enforce.defaults.reset_alignment", d.ResetAlignment, budget.Anniversary, budget.Calendar)
	// "Local" and "" would be whatever zone each machine is in.
	if _, err := time.LoadLocation(d.Timezone); err != nil || d.Timezone == "" || d.Timezone == "Local" {
		v.add("enforce.defaults.timezone", "%q is not a time zone such as UTC or Europe/Zurich", clip(d.Timezone))
	}
}

func (v *validator) tenants(t *Tenants) {
	if len(t.Resolve) == 0 {
		v.add("tenants.resolve", "is empty, so no key would have a tenant: give at least [key]")
	}
	for i, origin := range t.Resolve {
		key := fmt.Sprintf("tenants.resolve[%d]", i)
		oneOf(v, key, origin, budget.OriginStore, budget.OriginMetadata, budget.OriginTeam, budget.OriginUser, budget.OriginKey)
		if slices.Contains(t.Resolve[:i], origin) {
			v.add(key, "%q stands there twice", clip(string(origin)))
		}
	}
	oneOf(v, "tenants.auto_create", t.AutoCreate, budget.Enforce, budget.Shadow, budget.Off)
}

func (v *validator) prices(p *Prices) {
	oneOf(v, "prices.unpriced", p.Unpriced, UnpricedEstimate, UnpricedAllow, UnpricedRefuse)
	for _, model := range sortedKeys(p.Models) {
		for _, name := range sortedKeys(p.Models[model]) {
			if n := p.Models[model][name]; n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
				v.add("prices.models."+model+"."+name, "%v is not a price or a number of tokens: give 0 or more", n)
			}
		}
	}
}

// within checks a number against the range that it may have, both ends included.
func (v *validator) within(key string, n, least, most int) {
	if n < least || n > most {
		v.add(key, "%d is outside %d–%d", n, least, most)
	}
}

func (v *validator) duration(key string, d, least, most time.Duration) {
	if d < least || d > most {
		v.add(key, "%s is outside %s–%s", shortDuration(d), shortDuration(least), shortDuration(most))
	}
}

// address checks a host:port to listen on. The host may be empty: all of them.
func (v *validator) address(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		v.add(key, "%q is not host:port, such as 127.0.0.1:8400", clip(address))
	}
}

// baseURL checks where LiteLLM is. What is proxied goes up byte for byte, so its
// base has no path; the admin API's may.
func (v *validator) baseURL(key, text string, pathAllowed bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		v.add(key, "is not a URL such as http://127.0.0.1:4000")
	case u.User != nil:
		v.add(key, "holds a user or password: agents bring their own keys, and litellm.master_key is for the admin API")
	case u.RawQuery != "" || u.Fragment != "":
		v.add(key, "%q has a query or fragment: give scheme, host and port", clip(text))
	case !pathAllowed && strings.Trim(u.Path, "/") != "":
		v.add(key, "%q has a path: requests go up as they come, so give scheme, host and port, and the path in proxy.root_paths", clip(text))
	}
}

// oneOf checks a word against a closed list. It never prints a long value.
func oneOf[T ~string](v *validator, key string, word T, allowed ...T) {
	if slices.Contains(allowed, word) {
		return
	}
	list := make([]string, len(allowed))
	for i, a := range allowed {
		list[i] = string(a)
	}
	v.add(key, "%q is not one of %s", clip(string(word)), strings.Join(list, ", "))
}

// isLoopback reports whether only this machine, or this pod, reaches an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // wrong in another way, which is said elsewhere
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// warnings are what is allowed and yet probably not meant.
func (c *Config) warnings() []string {
	var all []string
	warn := func(text string) { all = append(all, text) }
	if c.Plane == PlaneData {
		if c.LiteLLM.MasterKey.IsSet() {
			warn("litellm.master_key is set on the data plane, beside agents: give it litellm.master_key_sha256 instead")
		}
		if len(c.Admin.Tokens) > 0 {
			warn("admin.tokens are set on the data plane, which has no admin API: keep them on the admin plane")
		}
		if c.Admin.WebhookToken.IsSet() || c.Admin.WebhookHMACSecret.IsSet() {
			warn("the webhook's secrets are set on the data plane, which has no webhook: keep them on the admin plane")
		}
	}
	if c.Kubernetes && c.Plane.Admin() {
		if len(c.Admin.Tokens) == 0 {
			warn("admin.tokens is empty, and none is generated under Kubernetes: the admin API answers nobody")
		}
		if !c.Admin.WebhookToken.IsSet() && !c.Admin.WebhookHMACSecret.IsSet() {
			warn("admin.webhook_token is not set, and none is generated under Kubernetes: LiteLLM's webhook is refused")
		}
	}
	return append(all, c.Prices.warnings()...)
}

// priceField is how LiteLLM names prices and caps (model_prices_and_context_window.json).
var priceField = regexp.MustCompile(`^([a-z0-9_]*_cost[a-z0-9_]*|max_[a-z0-9_]*|tpm|rpm)$`)

func (p *Prices) warnings() []string {
	var all []string
	for _, model := range sortedKeys(p.Models) {
		for _, name := range sortedKeys(p.Models[model]) {
			if !priceField.MatchString(name) {
				all = append(all, fmt.Sprintf("prices.models.%s.%s is no name of LiteLLM's for a price or a cap, such as input_cost_per_token", clip(model), clip(name)))
			}
		}
	}
	return all
}
