package proxy

import (
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

// plan is what a body says about the call before it is sent.
type plan struct {
	model    string // as asked for; "" when the body does not say
	stream   bool
	estimate budget.Estimate
	free     bool // an explicit price of 0 everywhere it can go
	unpriced bool // the model has no price: estimated as the dearest known
	refuse   bool // unpriced, and prices.unpriced is refuse
	// injectUsage: stream_options.include_usage is to be set to true, and the
	// usage chunk that this brings is to be hidden from the client.
	injectUsage bool
}

// planner makes plans.
type planner struct {
	prices   *litellm.Prices
	unpriced string // prices.unpriced: estimate, allow, refuse
}

// plan reads at most the given prefix of the body. whole says that prefix is the
// whole body; length is its declared length, or -1.
func (p *planner) plan(r route, prefix []byte, whole bool, length int64) plan { return plan{} }

// withUsage returns body, a whole JSON object, with stream_options.include_usage
// set to true and every other byte as it was.
func withUsage(body []byte) []byte { return body }
