package litellm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// Health is what LiteLLM says about itself.
type Health struct {
	Reachable bool          // it answered, whatever it said
	Status    string        // healthy; connected in older versions; shutting_down
	Database  string        // connected, disconnected, stalled, Not connected (it runs without one); "" not said
	Version   string        // "" not said: details need the master key
	Latency   time.Duration // of the readiness call
}

// Health asks LiteLLM how it is, without a key, and with the master key, if there
// is one, for its version. It asks nothing that calls a model. The error says why
// LiteLLM could not be reached; an unhealthy one that answers is no error.
func (c *Client) Health(ctx context.Context) (Health, error) {
	h := Health{}
	began := time.Now()
	a, err := c.send(ctx, call{method: http.MethodGet, path: "/health/readiness"})
	h.Latency = time.Since(began)
	if _, answered := errors.AsType[*StatusError](err); err != nil && !answered {
		return h, err
	}
	h.Reachable = true
	h.read(a)
	if h.Version == "" && c.master != "" {
		if details, err := c.send(ctx, call{method: http.MethodGet, path: "/health/readiness/details", credential: c.master}); err == nil {
			h.read(details)
		}
	}
	return h, nil
}

func (h *Health) read(a answer) {
	var body struct {
		Status   string `json:"status"`
		Database string `json:"db"`
		Version  string `json:"litellm_version"`
	}
	if json.Unmarshal(a.body, &body) != nil {
		return
	}
	for _, f := range []struct {
		into *string
		said string
	}{{&h.Status, body.Status}, {&h.Database, body.Database}, {&h.Version, body.Version}, {&h.Version, a.header.Get("x-litellm-version")}} {
		if f.said != "" && *f.into == "" {
			*f.into = f.said
		}
	}
}
