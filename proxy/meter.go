package proxy

import (
	"bytes"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

// answerHead is what the meter needs of an upstream answer's head. The slices
// are valid until start returns.
type answerHead struct {
	status          int    // 0: the call was sent and never answered
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
//
// An answer from LiteLLM's cache costs 0; else usage.cost in the body, the cost
// header, usage × prices, each only when it is above 0; an error without any of
// them costs 0; and what says nothing costs its input and what flowed, at least
// the mean.
type meter struct {
	prices *litellm.Prices
	route  route
	plan   plan

	status     int
	cacheHit   bool
	headerCost budget.Money // 0: none that counts
	reading    reading

	lines lineScanner // of an event stream
	body  bodyBuffer  // of a JSON answer
	found usageFinder

	// unmetered: a line or an answer was too long to be read whole. The stream
	// is untouched.
	unmetered bool
	finished  bool
}

// reading is how the body is read.
type reading uint8

const (
	readNothing reading = iota // compressed, binary, or not worth it
	readJSON
	readEvents
)

// start begins a new answer. A call that was never answered starts with the
// zero answerHead, so that its settlement knows the plan.
func (m *meter) start(r route, p *plan, head answerHead, prices *litellm.Prices) {
	m.prices, m.route, m.plan = prices, r, *p
	m.status, m.cacheHit, m.headerCost = head.status, head.cacheKey, costOf(head.cost)
	m.unmetered, m.finished = false, false
	m.lines.reset(p.injectUsage)
	m.body.reset()
	m.found = usageFinder{family: r.family, latest: m.found.latest[:0], preamble: m.found.preamble[:0]}
	m.reading = m.readingOf(&head)
}

// costOf reads LiteLLM's cost header. Only an amount above 0 is one: LiteLLM
// says 0 on errors, and older ones on models that they have no price for.
func costOf(header []byte) budget.Money {
	if len(header) == 0 {
		return 0
	}
	m, err := budget.ParseUSD(string(header))
	if err != nil || m < 0 {
		return 0
	}
	return m
}

func (m *meter) readingOf(head *answerHead) reading {
	encoded := len(head.contentEncoding) > 0 && !bytes.EqualFold(head.contentEncoding, []byte("identity"))
	switch {
	case encoded:
		return readNothing
	case hasFoldPrefix(head.contentType, "text/event-stream"):
		return readEvents
	case m.headerCost > 0 || m.cacheHit:
		return readNothing // nothing in a JSON answer is better than the header
	case hasFoldPrefix(head.contentType, "application/json"), len(head.contentType) == 0:
		return readJSON
	}
	return readNothing
}

func hasFoldPrefix(b []byte, lower string) bool {
	return len(b) >= len(lower) && equalFold(b[:len(lower)], lower)
}

// pass takes the next bytes of the body and returns those to send on: the same
// slice, but for a hidden usage chunk. What it holds back of an unfinished event
// it returns later, or from rest. What it returns is valid until the next call.
func (m *meter) pass(chunk []byte) []byte {
	switch m.reading {
	case readEvents:
		return m.lines.pass(chunk, m)
	case readJSON:
		m.body.add(chunk)
	case readNothing:
	}
	return chunk
}

// rest returns what was held back, at the end of the body.
func (m *meter) rest() []byte {
	if m.reading != readEvents {
		return nil
	}
	m.found.brokenOff = true
	return m.lines.rest(m)
}

// line takes one line of an event stream and says whether to hide it.
func (m *meter) line(line []byte) (hide bool) {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return false
	}
	return m.found.event(bytes.TrimLeft(data, " ")) && m.lines.hiding
}

// settlement says what the call cost by the rules of settling. How the exchange
// ended plays no part: what counts is whether usage for the whole call came
// before it did.
func (m *meter) settlement(_ ending) enforce.Settlement {
	s := enforce.Settlement{Accepted: m.status == 101 || m.status >= 200 && m.status < 300}
	s.Cost, s.Provenance = m.cost()
	return s
}

func (m *meter) cost() (budget.Money, budget.Provenance) {
	if m.cacheHit {
		return 0, budget.FromCacheHit
	}
	m.finish()
	if c := m.found.cost(); c > 0 {
		return c, budget.FromUsageCost
	}
	if m.headerCost > 0 {
		return m.headerCost, budget.FromHeader
	}
	if c, ok := m.priced(); ok && m.found.final {
		return c, budget.FromUsage
	}
	if m.status >= 300 {
		return 0, budget.FromError
	}
	return m.estimated(), budget.FromEstimate
}

// finish reads, once, what can only be read at the end.
func (m *meter) finish() {
	if m.finished {
		return
	}
	m.finished = true
	switch m.reading {
	case readJSON:
		m.unmetered = m.unmetered || m.body.cut
		m.found.answer(m.body.bytes(), m.body.cut)
	case readEvents:
		m.unmetered = m.unmetered || m.lines.overflowed
		m.found.settleEvents()
	case readNothing:
	}
}

// priced is usage × prices. It reports false when there is no usage, or none of
// the prices for it.
func (m *meter) priced() (budget.Money, bool) {
	var sum budget.Money
	some := false
	for i := range m.found.usages {
		u := &m.found.usages[i]
		if u.tokens.Input == 0 && u.tokens.Output == 0 {
			continue // LiteLLM writes zeros where its provider said nothing
		}
		c, ok := m.priceOf(i, u)
		if !ok {
			return 0, false
		}
		sum, some = sum.Add(c), true
	}
	return sum, some
}

// priceOf prices one usage by the model asked for, which is what LiteLLM's
// deployments are priced by, else by the one that answered.
func (m *meter) priceOf(i int, u *foundUsage) (budget.Money, bool) {
	if m.prices == nil {
		return 0, false
	}
	asked := m.plan.model
	if len(m.found.usages) > 1 { // "a,b": one answer each
		asked = nthModel(m.route, asked, i)
	}
	if c, ok := m.prices.Cost(asked, u.tokens); ok {
		return c, true
	}
	if u.model != "" {
		return m.prices.Cost(u.model, u.tokens)
	}
	return 0, false
}

// nthModel is the nth of the models that a call to models runs.
func nthModel(r route, models string, n int) string {
	model, rest, more := nextModel(r, models)
	for ; n > 0 && more; n-- {
		model, rest, more = nextModel(r, rest)
	}
	return model
}

// estimated is the input and what flowed, at least the mean. A model without a
// price costs its usage on the dearest one, where usage is known.
func (m *meter) estimated() budget.Money {
	if m.plan.unpriced && m.found.final && m.prices != nil && len(m.found.usages) > 0 {
		if dearest, ok := m.prices.Dearest(); ok && m.plan.estimate.Worst > 0 {
			return dearest.Cost(m.found.usages[0].tokens)
		}
	}
	input := m.plan.inputMean
	var soFar budget.Money
	if len(m.found.usages) == 1 {
		// Anthropic says at the start how much it read, Gemini all the time.
		begun := m.found.usages[0]
		if c, ok := m.priceOf(0, &begun); ok {
			soFar = c
		}
		begun.tokens.Output, begun.tokens.Reasoning = 0, 0
		if c, ok := m.priceOf(0, &begun); ok {
			input = c
		}
	}
	flowed, _ := budget.USD(float64(m.found.contentBytes) / bytesPerToken * m.plan.outputPrice)
	return max(input.Add(flowed), soFar, m.plan.estimate.Mean)
}
