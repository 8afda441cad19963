package proxy

import (
	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/litellm"
)

// answerHead is what the meter needs of an upstream answer's head. The slices
// are valid until start returns.
type answerHead struct {
	status          int
	cost            []byte // x-litellm-response-cost; nil: absent
	cacheKey        bool   // x-litellm-cache-key is there
	contentType     []byte
	contentEncoding []byte
}

// ending says how an exchange ended.
type ending uint8

const (
	endedComplete    ending = iota // the answer was read to its end
	endedClientGone                // the client left
	endedUpstreamCut               // the upstream broke off, or sent garbage
)

// meter finds out what one call cost, from the bytes that pass. It is used by
// one goroutine at a time and can be reused after start.
type meter struct{}

// start begins a new answer.
func (m *meter) start(r route, p *plan, head answerHead, prices *litellm.Prices) {}

// pass takes the next bytes of the body and returns those to send on: the same
// slice, but for a hidden usage chunk. What it holds back of an unfinished event
// it returns later, or from rest.
func (m *meter) pass(chunk []byte) []byte { return chunk }

// rest returns what was held back, at the end of the body.
func (m *meter) rest() []byte { return nil }

// settlement says what the call cost by the rules of settling.
func (m *meter) settlement(end ending) enforce.Settlement { return enforce.Settlement{} }
