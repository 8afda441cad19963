package proxy

import (
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// oneWrite is the body size up to which copying it behind its head is cheaper
	// than a second buffer in the write.
	oneWrite = 16 << 10
	// earlyHead is how long an upstream that stopped reading may take to say why.
	earlyHead = 500 * time.Millisecond
	// mostInterim bounds the 1xx answers before the real one.
	mostInterim = 16
)

// send brings the request upstream, once. Another connection is tried only while
// the kernel has taken no byte of it: what it has taken may have been acted upon.
func (x *exchange) send() bool {
	x.buildHead()
	for fresh := x.head.websocket; ; fresh = true {
		if t := x.connect(fresh); t != nil {
			if t == troubleClientGone {
				return x.failGone()
			}
			return x.fail(t)
		}
		n, err := x.writeFirst()
		if err == nil {
			break
		}
		if n == 0 && !fresh && x.up.used && !x.up.secure && !x.client.gone.Load() {
			x.finishUpstream(false)
			continue
		}
		return x.answeredInstead()
	}
	if x.body.whole {
		return x.wasSent()
	}
	return x.sendRest()
}

// buildHead puts the upstream head into x.out, with the body behind it where it
// is small.
func (x *exchange) buildHead() {
	body := x.body.prefix()
	length := x.head.length
	if x.body.whole {
		if x.plan.injectUsage {
			body = withUsage(body)
		}
		if length != noBody {
			length = int64(len(body))
		}
	}
	x.out = x.head.appendTo(x.out[:0], upstreamHead{
		length: length, host: x.s.pool.host, callID: x.callID, plain: x.route.costs(),
	})
	if !x.body.whole && length == chunkedBody && len(body) > 0 {
		x.out = strconv.AppendInt(x.out, int64(len(body)), 16)
		x.out = append(x.out, '\r', '\n')
		x.out = append(x.out, body...)
		x.out = append(x.out, '\r', '\n')
		body = nil
	}
	if len(body) <= oneWrite {
		x.out = append(x.out, body...)
		body = nil
	}
	x.vec[1] = body
}

// connect ties an upstream connection to the call. Nothing has been sent when it
// returns a trouble.
func (x *exchange) connect(fresh bool) *trouble {
	up, err := x.s.pool.take(x.s.ctx, fresh)
	if err != nil {
		return x.s.noConnection(err)
	}
	// A request that is still being read from the client is never finished
	// without it.
	if !x.client.attach(up, x.body.whole && x.drains(false)) {
		x.s.pool.put(up)
		return troubleClientGone
	}
	x.up = up
	return nil
}

func (s *Server) noConnection(err error) *trouble {
	switch {
	case errors.Is(err, errStopping) || s.ctx.Err() != nil:
		return troubleStopping
	case errors.Is(err, errBusy):
		s.complaints.warn("all upstream connections are in use: raise proxy.upstream_connections or scale LiteLLM", "upstream_connections", s.o.MaxUpstream)
		return troubleBusy
	}
	s.complaints.warn("upstream cannot be reached: check proxy.upstream", "upstream", s.o.Upstream, "err", err)
	return troubleUnreachable
}

// writeFirst writes the head and what is held of the body. It returns how many
// bytes the kernel took.
func (x *exchange) writeFirst() (int64, error) {
	x.sentAt = time.Now()
	x.s.metrics.overheadSeconds.Observe(x.sentAt.Sub(x.started).Seconds())
	_ = x.up.nc.SetWriteDeadline(x.sentAt.Add(writePatience)) // fails only on a closed socket, as will the write
	if x.vec[1] == nil {
		n, err := x.up.nc.Write(x.out)
		return int64(n), err
	}
	x.vec[0] = x.out
	x.vectors = x.vec[:]
	n, err := x.vectors.WriteTo(x.up.nc)
	x.vectors, x.vec[0], x.vec[1] = nil, nil, nil
	return n, err
}

// sendRest streams the rest of the body up.
func (x *exchange) sendRest() bool {
	early, err := x.upload(true)
	switch {
	case errors.Is(err, errUpstreamWrite):
		return x.answeredInstead()
	case err != nil:
		return x.failBody(err)
	case early:
		return x.answeredEarly()
	}
	return x.wasSent()
}

// wasSent: the request is upstream whole, and the call may cost money from here
// on.
func (x *exchange) wasSent() bool {
	x.sent = true
	if !x.body.whole {
		x.client.setDrain(x.drains(false))
	}
	x.s.watch.begin(x.client)
	return true
}

// answeredInstead looks whether an upstream that took no more of the request has
// said why: 401 and 413 come before the end of an upload.
func (x *exchange) answeredInstead() bool {
	if x.client.gone.Load() {
		return x.failGone()
	}
	x.up.expect(earlyHead)
	if x.readHead() != nil {
		return x.fail(troubleBroke)
	}
	x.early = true
	return true
}

// answeredEarly takes an answer that came during the upload. A refusal ends the
// upload; anything else is an upstream that answers while it reads.
func (x *exchange) answeredEarly() bool {
	x.up.expect(x.s.o.FirstByteTimeout)
	if err := x.readHead(); err != nil {
		return x.failHead(err)
	}
	x.early = true
	if x.ctx.Response.StatusCode() >= 300 {
		return true
	}
	if _, err := x.upload(false); err != nil {
		if errors.Is(err, errUpstreamWrite) {
			return true // it has what it wanted
		}
		return x.failBody(err)
	}
	return x.wasSent()
}

// awaitHead waits for the answer's head.
func (x *exchange) awaitHead() bool {
	if x.early {
		return true
	}
	x.up.expect(x.s.o.FirstByteTimeout)
	if err := x.readHead(); err != nil {
		return x.failHead(err)
	}
	x.s.metrics.upstreamSeconds.Observe(time.Since(x.sentAt).Seconds())
	return true
}

// errGarbled reports an answer that is not HTTP.
var errGarbled = errors.New("malformed answer")

// readHead reads the final head into the response, whatever 1xx come before.
func (x *exchange) readHead() error {
	h := &x.ctx.Response.Header
	for range mostInterim {
		if err := x.readOneHead(h); err != nil {
			return err
		}
		switch status := h.StatusCode(); {
		case status == fasthttp.StatusSwitchingProtocols:
			if !x.head.websocket {
				return errGarbled
			}
			return nil
		case status >= 200:
			return nil
		case status < 100:
			return errGarbled
		}
	}
	return errGarbled
}

func (x *exchange) readOneHead(h *fasthttp.ResponseHeader) error {
	err := h.Read(x.up.br)
	if err == nil {
		return nil
	}
	if small := (*fasthttp.ErrSmallBuffer)(nil); errors.As(err, &small) && x.up.br.Size() < mostUpstreamHead {
		x.up.growReader()
		if err = h.Read(x.up.br); err == nil {
			return nil
		}
	}
	switch {
	case errors.Is(err, fasthttp.ErrTimeout) || isTimeout(err) || isEnd(err):
		return err
	}
	return errGarbled
}

// isEnd reports a connection that ended or broke, as opposed to bytes that make
// no sense.
func isEnd(err error) bool {
	var op interface{ Temporary() bool } // net.OpError and syscall errors
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

// failHead answers for an upstream that did not.
func (x *exchange) failHead(err error) bool {
	switch {
	case x.client.gone.Load():
		return x.failGone()
	case errors.Is(err, errGarbled):
		x.s.complaints.warn("upstream answered with something that is not HTTP: check proxy.upstream", "upstream", x.s.o.Upstream)
		return x.fail(troubleGarbled)
	case errors.Is(err, fasthttp.ErrTimeout) || isTimeout(err):
		return x.fail(troubleTimeout)
	}
	return x.fail(troubleBroke)
}
