// Package litellm speaks with LiteLLM: its admin API, prices, usage, budget
// refusals and webhook. Every fact about it names the version it was seen on;
// where none is named, that is 1.106.12.
//
// What LiteLLM sends is matched by shape, not by version: missing, extra and
// null fields are normal. Its amounts are dollars as JSON numbers; they become
// budget.Money here and nowhere else.
package litellm
