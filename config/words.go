package config

import (
	"log/slog"

	"github.com/pursestring/pursestring/internal/budget"
)

// Off switches a listener off.
const Off = "off"

// Plane is what one process serves.
type Plane string

// Planes.
const (
	PlaneAll   Plane = "all"
	PlaneData  Plane = "data"  // proxy, metrics, health: beside agents
	PlaneAdmin Plane = "admin" // webhook, API, dashboard, resets
)

// Data reports whether the proxy runs.
func (p Plane) Data() bool { return p != PlaneAdmin }

// Admin reports whether the admin API runs.
func (p Plane) Admin() bool { return p != PlaneData }

// OnClientGone says what happens to an upstream call whose client has left.
type OnClientGone string

// What to do with a call whose client has left.
const (
	ClientGoneAuto  OnClientGone = "auto"
	ClientGoneAbort OnClientGone = "abort"
	ClientGoneDrain OnClientGone = "drain"
)

// Role is what the holder of an admin token may do.
type Role string

// Roles, from the least.
const (
	RoleViewer        Role = "viewer"         // reads
	RoleOperator      Role = "operator"       // also budgets, keys and resets
	RolePlatformAdmin Role = "platform_admin" // also overrides, adjustments, deletes and tokens
)

// Unpriced says what happens to a call whose model has no price.
type Unpriced string

// What to do with a model without a price.
const (
	UnpricedEstimate Unpriced = "estimate" // as the dearest known
	UnpricedAllow    Unpriced = "allow"
	UnpricedRefuse   Unpriced = "refuse"
)

// LogFormat is how a log line looks.
type LogFormat string

// Log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// LogLevel is the least level that is logged: debug, info, warn or error.
type LogLevel string

// Level returns the level for slog; info when the word is not known, which
// Validate rules out.
func (l LogLevel) Level() slog.Level {
	switch l {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// BaseURL is LiteLLM's admin API: litellm.url, else proxy.upstream.
func (c *Config) BaseURL() string {
	if c.LiteLLM.URL != "" {
		return c.LiteLLM.URL
	}
	return c.Proxy.Upstream
}

// MasterKeyHash returns the hash of LiteLLM's master key, from the key itself or
// from its configured hash; nil when neither is known.
func (c *Config) MasterKeyHash() *budget.KeyHash {
	if key := c.LiteLLM.MasterKey; key.IsSet() {
		hash := budget.HashKey([]byte(key.Reveal()))
		return &hash
	}
	if hash, err := budget.ParseKeyHash(c.LiteLLM.MasterKeySHA256); err == nil {
		return &hash
	}
	return nil
}
