package proxy

import (
	"context"
	"errors"

	"github.com/valyala/fasthttp"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// Enforcer decides about calls and keeps account of them. All methods are safe
// for concurrent use; only Admit may wait, within its own bounds, and none
// fails: trouble is a decision with a reason.
type Enforcer interface {
	// Admit decides about one call. When the decision lets it go, its hold must
	// be ended by exactly one Settle or Release.
	Admit(ctx context.Context, ask *enforce.Ask) enforce.Decision
	// Settle ends the decision's hold at what the call cost and brings its status
	// up to date.
	Settle(d *enforce.Decision, s enforce.Settlement)
	// Release ends the hold of a call that never reached the upstream.
	Release(d *enforce.Decision)
	// Renew moves a hold's deadline on, because bytes flow. It is called at most
	// once a second for one hold.
	Renew(d *enforce.Decision)
	// StatusOf returns what a key's holder may see; false: no tenant is known.
	StatusOf(ctx context.Context, key budget.KeyHash) (enforce.Status, bool)
	// UpstreamRefused judges LiteLLM's own budget refusal: UpstreamLimit,
	// UpstreamInUse, or "" when it is to be passed on as it came.
	UpstreamRefused(ctx context.Context, ask *enforce.Ask, d *enforce.Decision, r budget.UpstreamRefusal) budget.Reason
}

// handle serves one request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	x := s.newExchange(ctx)
	defer x.recoverHandler()
	x.serve()
	if !x.handedOver {
		x.recycle()
	}
}

// serve is one request from top to bottom. Each step that returns false has
// answered.
func (x *exchange) serve() {
	switch {
	case !x.understand():
	case !x.readAhead():
	case !x.admit():
	case !x.send():
	case !x.awaitHead():
	default:
		x.passOn()
	}
}

// understand reads the head, finds the route and the credential, and answers
// what can be answered from those.
func (x *exchange) understand() bool {
	if string(x.ctx.Request.Header.Protocol()) != "HTTP/1.1" && string(x.ctx.Request.Header.Protocol()) != "HTTP/1.0" {
		return x.fail(troubleVersion)
	}
	x.callID = newCallID(&x.idBuf)
	if bad := x.head.parse(&x.ctx.Request.Header); bad != nil {
		x.failBad(bad)
		// Whoever stands before us may have ended this request elsewhere; then what
		// we would read next is not what it takes for the next request.
		x.ctx.Response.Header.SetConnectionClose()
		x.client.linger.Store(true)
		return false
	}
	if n := len(x.head.callID); n > 0 && n <= mostCallID {
		x.callID = x.head.callID
	}
	x.route = x.s.routes.classify(&x.head)
	if x.route.class == classUnknown {
		x.s.metrics.unknownRoutes.Inc()
	}
	cred, bad := x.s.credentials.find(&x.head)
	if bad != nil {
		return x.failBad(bad)
	}
	x.ask = enforce.Ask{Kind: cred.kind, Credential: cred.key}
	if cred.kind != enforce.NoCredential {
		x.ask.Key = budget.HashKey(cred.key)
	}
	if isOwnStatus(&x.head) {
		return x.answerStatus()
	}
	if x.head.length > x.s.o.MaxBody {
		return x.fail(troubleTooLarge)
	}
	return true
}

// readAhead reads as much of the body as the decision needs, or as goes out with
// the head in one write.
func (x *exchange) readAhead() bool {
	x.body.begin(x)
	var err error
	switch {
	case x.route.costs():
		err = x.body.readAhead()
	case x.body.length <= smallBody && x.body.length > 0:
		err = x.body.fill(smallBody)
	}
	if err != nil {
		return x.failBody(err)
	}
	return true
}

// admit asks whether a call that costs money may go.
func (x *exchange) admit() bool {
	if !x.route.costs() {
		return true
	}
	x.plan = x.s.planner.plan(x.route, x.body.prefix(), x.body.whole, x.body.length)
	if x.plan.refuse {
		return x.fail(troubleUnpriced)
	}
	x.ask.Estimate, x.ask.Free = x.plan.estimate, x.plan.free
	x.decision = x.s.enforcer.Admit(x.s.ctx, &x.ask)
	if !x.decision.Goes() {
		x.reply(x.refusal())
		return false
	}
	x.held = true
	return true
}

// refusal is the answer to a call that may not go.
func (x *exchange) refusal() answer {
	if x.head.websocket {
		return x.s.denier.handshake(x.route, &x.decision, &x.plan, string(x.callID))
	}
	return x.s.denier.budget(x.route, &x.decision, &x.plan, string(x.callID))
}

// fail answers with an error of our own and ends whatever is open: it is the way
// out of every step. It returns false.
func (x *exchange) fail(t *trouble) bool {
	if x.up != nil {
		x.finishUpstream(false)
	}
	x.endCall(x.lostTo())
	x.s.metrics.troubles[t].Inc()
	a := x.s.denier.trouble(x.route, t.status, t.code, t.message, string(x.callID))
	if t == troubleBusy {
		a.headers = append(a.headers, field{name: []byte("Retry-After"), value: []byte("1")})
	}
	x.reply(a)
	return false
}

func (x *exchange) failBad(bad *badRequest) bool {
	x.s.metrics.troubles[troubleBadHead].Inc()
	x.reply(x.s.denier.trouble(x.route, troubleBadHead.status, bad.code, bad.message, string(x.callID)))
	return false
}

// failBody answers a request whose body could not be read.
func (x *exchange) failBody(err error) bool {
	switch {
	case errors.Is(err, errBodyTooLarge):
		return x.fail(troubleTooLarge)
	case x.client.gone.Load():
		return x.failGone()
	case isTimeout(err):
		return x.fail(troubleSlowClient)
	}
	return x.fail(troubleBadBody)
}

// failGone ends a call whose client has left before the answer.
func (x *exchange) failGone() bool {
	if x.sent {
		x.countGone(goneAborted)
	} else {
		x.countGone(goneBeforeSend)
	}
	return x.fail(troubleClientGone)
}

// reply writes an answer of our own.
func (x *exchange) reply(a answer) {
	writeAnswer(x.ctx, a)
	if x.body.stream == nil {
		x.body.begin(x) // answered before the body was looked at
	}
	if !x.body.done() {
		x.ctx.Response.Header.SetConnectionClose()
		x.client.linger.Store(true)
	}
}
