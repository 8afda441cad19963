// Package litellm speaks with LiteLLM: its admin API, prices, usage, budget
// refusals and webhook. Every fact about it names the version it was seen on.
package litellm

// Prices is the price table. It is safe for concurrent use.
type Prices struct{}
