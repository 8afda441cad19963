package proxy

import (
	"bytes"
	"io"
	"net"

	"github.com/valyala/fasthttp"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

// wholeAnswer is the size up to which an answer of known length is read whole
// and settled before its head goes out.
const wholeAnswer = 64 << 10

// passOn brings the upstream's answer to the client.
func (x *exchange) passOn() {
	h := &x.ctx.Response.Header
	x.keep = !h.ConnectionClose()
	x.answered = true
	if h.StatusCode() == fasthttp.StatusSwitchingProtocols {
		x.openTunnel()
		return
	}
	x.facts.read(h)
	x.accepted = accepts(h.StatusCode())
	if x.held {
		x.startMeter(x.facts.answerHead)
	}
	switch n := h.ContentLength(); {
	case x.bodiless(h):
		x.passEmpty()
	case n >= 0 && n <= wholeAnswer:
		x.passWhole(n)
	default:
		x.passStream(int64(n))
	}
}

// accepts reports whether an answer shows that LiteLLM took the credential.
func accepts(status int) bool {
	return status != fasthttp.StatusUnauthorized && status != fasthttp.StatusForbidden
}

func (x *exchange) bodiless(h *fasthttp.ResponseHeader) bool {
	status := h.StatusCode()
	return status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified || string(x.head.method) == "HEAD"
}

func (x *exchange) passEmpty() {
	x.finishUpstream(true)
	x.settleAnswer()
	x.closeAfterEarly()
}

// settleAnswer settles a call whose answer is complete and writes the account
// after it into the head.
func (x *exchange) settleAnswer() {
	if !x.held {
		return
	}
	cost, status := x.settle(endedComplete)
	x.appendBudget(&status)
	if x.facts.json && !x.s.o.HideAmounts {
		x.addHeader(headerCost, cost.Cost.AppendDecimal(nil))
	}
}

// passWhole reads a short answer to its end, gives the upstream connection back,
// settles, and answers in one write.
func (x *exchange) passWhole(n int) {
	x.answer = bufferFor(n)
	body := (*x.answer)[:n]
	if x.up.br.Buffered() < n {
		x.up.expect(x.s.o.StreamTimeout)
	}
	got, err := io.ReadFull(x.up.br, body)
	if x.held {
		body = x.meterWhole(body[:got])
	}
	if err != nil {
		x.failBroken()
		return
	}
	x.finishUpstream(true)
	if x.refusedUpstream(body) {
		return
	}
	x.settleAnswer()
	x.closeAfterEarly()
	if x.client.gone.Load() {
		x.countGone(goneDrained)
	}
	if len(body) == 0 {
		return
	}
	x.pump.beginWhole(x, body)
	x.ctx.Response.SetBodyStream(&x.pump, len(body))
	x.handedOver = true
}

// meterWhole shows the meter a whole body and returns what is to be sent.
func (x *exchange) meterWhole(body []byte) []byte {
	out := x.meter.pass(body)
	if rest := x.meter.rest(); len(rest) > 0 {
		out = append(bytes.Clone(out), rest...)
	}
	return out
}

// failBroken answers for an upstream that broke off in a short answer, of which
// nothing has been sent yet.
func (x *exchange) failBroken() {
	if x.client.gone.Load() {
		x.failGone()
		return
	}
	x.fail(troubleBroke)
}

// refusedUpstream looks whether the answer is LiteLLM's own budget refusal, and
// answers it as a refusal of ours where it is the caller's own limit. Whatever
// it is, it cost nothing.
func (x *exchange) refusedUpstream(body []byte) bool {
	if !x.held || !x.facts.json || !mayRefuse(x.facts.status) {
		return false
	}
	refusal, ok := litellm.ParseRefusal(x.facts.status, body)
	if !ok {
		return false
	}
	x.decision.Status = x.settleAt(enforce.Settlement{Provenance: budget.FromError, Accepted: true})
	reason := x.s.enforcer.UpstreamRefused(x.s.ctx, &x.ask, &x.decision, refusal)
	if reason == "" || x.decision.Mode == budget.Shadow {
		x.appendBudget(&x.decision.Status)
		return false
	}
	x.reply(x.s.denier.upstream(x.route, &x.decision.Status, refusal, reason == budget.UpstreamInUse, string(x.callID)))
	return true
}

// mayRefuse reports the statuses that LiteLLM's refusals have had: 400 in old
// versions, then 429, now 422.
func mayRefuse(status int) bool { return status == 400 || status == 422 || status == 429 }

// passStream passes an answer on as it comes. length is noBody's and chunkedBody's
// meaning of fasthttp: -1 chunked, -2 until the upstream closes.
func (x *exchange) passStream(length int64) {
	if !x.client.setDrain(x.drains(x.facts.streams || x.plan.stream)) {
		x.failGone()
		return
	}
	if x.held {
		x.appendBudget(&x.decision.Status)
	}
	x.closeAfterEarly()
	x.body.release() // a stream can be open for long, and what it was asked is upstream
	h := &x.ctx.Response.Header
	same := length >= 0 && !(x.held && x.plan.injectUsage) // hiding a chunk changes the length
	x.pump.begin(x, length, same)
	x.handedOver = true
	switch {
	case same:
		x.ctx.Response.SetBodyStream(&x.pump, int(length))
	case x.head.http10:
		x.hijackRaw(h)
		return
	default:
		h.Del("Content-Length")
		x.ctx.Response.SetBodyStream(&x.pump, -1)
	}
	x.ctx.Response.ImmediateHeaderFlush = true
}

// hijackRaw answers an HTTP/1.0 client, which does not know chunks: the body
// ends with the connection.
func (x *exchange) hijackRaw(h *fasthttp.ResponseHeader) {
	(&hopNames{names: []string{"transfer-encoding"}}).remove(h)
	h.Del("Content-Length")
	h.SetConnectionClose()
	x.hijack(h, func(net.Conn) {
		if _, err := x.client.Write(x.out); err != nil {
			x.client.leave()
		}
		_, _ = x.pump.WriteTo(x.client) // its error says that the connection is to be closed, as it will be
		_ = x.pump.Close()              // recycles x
	})
}

// hijack takes the connection over from fasthttp: serve runs once in a goroutine
// of its own, or x is given up when the connection closes before.
func (x *exchange) hijack(h *fasthttp.ResponseHeader, serve func(net.Conn)) {
	x.out = h.AppendBytes(x.out)
	client := x.client
	client.adoptOrphan(func() {
		client.leave()
		x.abandon()
	})
	x.ctx.HijackSetNoResponse(true)
	x.ctx.Hijack(x.s.hijacked(client, serve))
}

// closeAfterEarly closes the client's connection after an answer that came
// before its request had been read.
func (x *exchange) closeAfterEarly() {
	if !x.body.done() {
		x.ctx.Response.Header.SetConnectionClose()
		x.client.linger.Store(true)
	}
}
