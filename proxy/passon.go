package proxy

import (
	"bytes"
	"io"
	"net"
	"slices"
	"time"

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
	if x.facts.json {
		x.addHeader(headerCost, cost.Cost.AppendDecimal(nil))
	}
}

// passWhole reads a short answer to its end, gives the upstream connection back,
// settles, and answers in one write.
func (x *exchange) passWhole(n int) {
	x.answer = bufferFor(n)
	body := (*x.answer)[:n]
	x.up.renew(time.Now(), x.s.o.StreamTimeout)
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
	h.Del("Transfer-Encoding")
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

// answerFacts is what counts in an answer's head.
type answerFacts struct {
	answerHead
	json    bool
	streams bool // events, as opposed to a document that comes in chunks
}

// read takes an upstream's head: it notes what counts and removes what was meant
// for the hop to us.
func (f *answerFacts) read(h *fasthttp.ResponseHeader) {
	*f = answerFacts{answerHead: answerHead{
		status: h.StatusCode(), contentType: h.ContentType(), contentEncoding: h.ContentEncoding(),
	}}
	media, _, _ := bytes.Cut(f.contentType, []byte(";"))
	media = trimBlanks(media)
	f.json = equalFold(media, "application/json")
	f.streams = equalFold(media, "text/event-stream") || equalFold(media, "application/vnd.amazon.eventstream") ||
		equalFold(media, "application/x-ndjson")
	var drop hopNames
	for name, value := range h.All() {
		f.see(name, value, &drop)
	}
	drop.remove(h)
	h.ResetConnectionClose()
	h.SetProtocol(nil) // HTTP/1.1, whatever the upstream speaks
}

func (f *answerFacts) see(name, value []byte, drop *hopNames) {
	switch len(name) {
	case 2:
		drop.addIf(equalFold(name, "te"), name)
	case 7:
		drop.addIf(equalFold(name, "upgrade") || equalFold(name, "trailer"), name)
	case 10:
		if equalFold(name, "connection") {
			drop.addIf(true, name)
			drop.addTokens(value)
			return
		}
		drop.addIf(equalFold(name, "keep-alive"), name)
	case 16:
		drop.addIf(equalFold(name, "proxy-connection"), name)
	case 19:
		f.cacheKey = f.cacheKey || equalFold(name, "x-litellm-cache-key")
	case 23:
		if f.cost == nil && equalFold(name, "x-litellm-response-cost") {
			f.cost = value
		}
	}
}

// hopNames are lines to remove. Most heads have none.
type hopNames struct{ names []string }

func (d *hopNames) addIf(hop bool, name []byte) {
	if hop {
		d.names = append(d.names, string(name))
	}
}

// addTokens adds what a Connection line names.
func (d *hopNames) addTokens(list []byte) {
	for len(list) > 0 {
		var token []byte
		token, list = nextToken(list)
		framing := equalFold(token, "content-length") || equalFold(token, "transfer-encoding") || equalFold(token, "content-type")
		if len(token) > 0 && !equalFold(token, "close") && !framing {
			d.names = append(d.names, string(token))
		}
	}
}

// remove takes the lines out, in whatever case they were written. fasthttp's Del
// would put the last line in the place of the one that goes and so turn
// duplicates round; therefore all go, and what stays is written anew.
func (d *hopNames) remove(h *fasthttp.ResponseHeader) {
	if len(d.names) == 0 {
		return
	}
	var kept []field
	for name, value := range h.All() {
		if !isFastHTTPs(name) {
			kept = append(kept, field{bytes.Clone(name), bytes.Clone(value)})
		}
	}
	for _, f := range kept {
		h.DelBytes(f.name)
	}
	h.Del("Trailer")
	for _, f := range kept {
		if !d.has(f.name) {
			h.AddBytesKV(f.name, f.value)
		}
	}
}

func (d *hopNames) has(name []byte) bool {
	return slices.ContainsFunc(d.names, func(n string) bool { return sameName([]byte(n), name) })
}

// isFastHTTPs reports the lines that fasthttp keeps apart from the others and
// writes itself.
func isFastHTTPs(name []byte) bool {
	for _, own := range [...]string{"content-length", "content-type", "content-encoding", "server", "set-cookie", "trailer", "transfer-encoding"} {
		if equalFold(name, own) {
			return true
		}
	}
	return false
}

// Headers that tell a caller about its budget.
const (
	headerState     = "x-budget-state"
	headerMode      = "x-budget-mode"
	headerLimit     = "x-budget-limit-usd"
	headerSpend     = "x-budget-spend-usd"
	headerRemaining = "x-budget-remaining-usd"
	headerReset     = "x-budget-reset"
	headerCost      = "x-budget-cost-usd"
)

// appendBudget writes the account into the answer's head.
func (x *exchange) appendBudget(s *enforce.Status) {
	var buf [40]byte
	if s.State != "" {
		x.addHeader(headerState, append(buf[:0], s.State...))
	}
	if x.decision.Mode == budget.Shadow {
		x.addHeader(headerMode, append(buf[:0], budget.Shadow...))
	}
	if s.TenantID == "" {
		return
	}
	x.addHeader(headerSpend, s.Spent.AppendDecimal(buf[:0]))
	if s.Points.Limit > 0 || !s.Points.Unlimited {
		x.addHeader(headerLimit, s.Points.Limit.AppendDecimal(buf[:0]))
		x.addHeader(headerRemaining, s.Remaining().AppendDecimal(buf[:0]))
	}
	if !s.Window.End.IsZero() {
		x.addHeader(headerReset, s.Window.End.UTC().AppendFormat(buf[:0], time.RFC3339))
	}
}

func (x *exchange) addHeader(name string, value []byte) {
	x.ctx.Response.Header.SetBytesV(name, value)
}
