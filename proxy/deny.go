package proxy

import "github.com/pursestring/pursestring/enforce"

// answer is a response of our own.
type answer struct {
	status  int
	headers []field // content-type, x-should-retry, retry-after, x-litellm-call-id, …
	body    []byte
}

// denier writes refusals and errors in the caller's dialect.
type denier struct {
	hideAmounts bool
}

// budget is the answer to a call whose decision was not to let it go: 402, or
// 429 for budget_in_use.
func (d *denier) budget(r route, dec *enforce.Decision, callID string) answer { return answer{} }

// trouble is an error that is no budget refusal; it is never 402.
func (d *denier) trouble(r route, status int, code, message, callID string) answer { return answer{} }
