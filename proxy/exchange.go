package proxy

import (
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// exchange is one request and its answer: what was understood, decided, sent and
// received, and what must be given back in the end: the hold, the upstream
// connection, the buffers. One goroutine owns it at a time: the handler's, then,
// for an answer that streams, whoever pumps it.
type exchange struct {
	s       *Server
	ctx     *fasthttp.RequestCtx
	client  *clientConn
	started time.Time

	head   requestHead
	route  route
	callID []byte // the client's, or ours in idBuf
	idBuf  [36]byte

	body     requestBody
	plan     plan
	ask      enforce.Ask
	decision enforce.Decision
	held     bool // the decision's hold has not been ended
	renewed  time.Time

	up       *upstreamConn
	sentAt   time.Time
	sent     bool // the request is upstream whole
	early    bool // the answer began before that
	keep     bool // the upstream keeps the connection open
	answered bool // an answer's head has come
	accepted bool // … and did not refuse the credential
	facts    answerFacts

	meter   meter
	metered bool // meter.start was called

	out     []byte  // the upstream head, with a small body behind it
	answer  *[]byte // holds an answer that is read whole
	pump    pump
	vec     [2][]byte
	vectors net.Buffers
	// handedOver: a body stream or a hijack ends the exchange, not the handler.
	handedOver bool
	buggy      bool // a panic went through it: not to be used again
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

func (s *Server) newExchange(ctx *fasthttp.RequestCtx) *exchange {
	x := exchanges.Get().(*exchange)
	x.s, x.ctx, x.started = s, ctx, time.Now()
	x.client = ctx.Conn().(*clientConn)
	return x
}

// recycle gives the exchange back. Its hold and its connection have ended.
func (x *exchange) recycle() {
	if x.held || x.up != nil {
		x.abandon()
	}
	x.body.reset()
	giveBack(x.answer)
	x.head.reset()
	out := x.out[:0]
	if cap(out) > pool64K.size {
		out = nil
	}
	if x.buggy {
		return
	}
	*x = exchange{head: x.head, meter: x.meter, out: out}
	exchanges.Put(x)
}

// abandon ends what is still open, whatever the reason.
func (x *exchange) abandon() {
	if x.up != nil {
		x.finishUpstream(false)
	}
	x.endCall(endedClientGone)
}

// endCall ends the hold of a call that comes to no regular end: a request that
// never was upstream whole cost nothing, any other is settled by what is known.
func (x *exchange) endCall(end ending) {
	if x.sent || x.answered {
		x.settle(end)
		return
	}
	x.release()
}

// settle ends the hold at what the call cost.
func (x *exchange) settle(end ending) (enforce.Settlement, enforce.Status) {
	if !x.held {
		return enforce.Settlement{}, x.decision.Status
	}
	if !x.metered {
		x.startMeter(answerHead{}) // never answered
	}
	cost := x.meter.settlement(end)
	cost.Accepted = x.accepted
	return cost, x.settleAt(cost)
}

func (x *exchange) settleAt(cost enforce.Settlement) enforce.Status {
	x.held = false
	x.s.enforcer.Settle(&x.decision, cost)
	return x.decision.Status
}

// release ends the hold of a call that never reached the upstream.
func (x *exchange) release() {
	if x.held {
		x.held = false
		x.s.enforcer.Release(&x.decision)
	}
}

func (x *exchange) startMeter(head answerHead) {
	x.metered = true
	x.meter.start(x.route, &x.plan, head, x.s.o.Prices)
}

// renewHold says that bytes still flow, at most once a second.
func (x *exchange) renewHold(now time.Time) {
	if x.held && now.Sub(x.renewed) >= time.Second {
		x.renewed = now
		x.s.enforcer.Renew(&x.decision)
	}
}

// drains reports whether the upstream's answer is read to its end when the
// client goes, as far as it is known now.
func (x *exchange) drains(streaming bool) bool {
	switch x.s.o.OnClientGone {
	case GoneAbort:
		return false
	case GoneDrain:
		return x.held
	}
	// LiteLLM closes its provider when a stream that has begun is aborted. A call
	// before its first byte, and one that does not stream, it runs and bills to
	// the end whatever we do: then the figure is worth having.
	return x.held && !streaming
}

// finishUpstream gives the upstream connection back: to be used again when the
// answer was read to its end and nothing else is on it, else closed.
func (x *exchange) finishUpstream(complete bool) {
	x.s.watch.end(x.client)
	usable := x.client.detach()
	up := x.up
	x.up = nil
	if usable && complete && x.keep && x.sent && up.br.Buffered() == 0 {
		x.s.pool.put(up)
		return
	}
	x.s.pool.drop(up)
}

// lostTo says who ended an exchange whose upstream side failed.
func (x *exchange) lostTo() ending {
	if x.client.gone.Load() {
		return endedClientGone
	}
	return endedUpstreamCut
}

// countGone counts a call whose client left.
func (x *exchange) countGone(outcome string) { x.s.metrics.gone[outcome].Inc() }

// recoverHandler turns a bug into a 500 and ends the hold all the same.
func (x *exchange) recoverHandler() {
	bug := recover()
	if bug == nil {
		return
	}
	x.reportBug(bug)
	x.endAfterBug()
	x.s.metrics.troubles[troubleInternal].Inc()
	x.reply(x.s.denier.trouble(x.route, troubleInternal.status, troubleInternal.code, troubleInternal.message, string(x.callID)))
}

func (x *exchange) reportBug(bug any) {
	x.buggy = true
	x.s.metrics.panics.Inc()
	// The value of a panic may quote a request; its type and place do not.
	x.s.log.Error("bug while serving a request", "type", typeName(bug), "stack", string(debug.Stack()))
}

// endAfterBug ends the hold at its mean when the meter cannot be trusted.
func (x *exchange) endAfterBug() {
	defer func() {
		if again := recover(); again != nil {
			x.reportBug(again)
			if x.held {
				x.settleAt(enforce.Settlement{Cost: x.ask.Estimate.Mean, Provenance: budget.FromEstimate, Accepted: x.accepted})
			}
		}
	}()
	x.abandon()
}
