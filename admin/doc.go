// Package admin is the control plane: the API for people and programs, LiteLLM's
// webhook, health, metrics, and the page at /.
//
// The walk of one request: serveHTTP (recovers, limits, logs) → the mux → huma
// (authorise, decode strictly, validate against the types) → a handler, which
// reads or changes rows through Store and tells the Enforcer what changed.
// Whatever goes wrong comes out of problem.go. The webhook is apart: it is
// authenticated, queued and answered; Webhook.Run does the rest.
package admin
