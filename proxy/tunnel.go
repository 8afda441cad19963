package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// openTunnel answers a WebSocket handshake that the upstream has accepted, and
// takes the connection over: from here on bytes pass both ways unread.
func (x *exchange) openTunnel() {
	h := &x.ctx.Response.Header
	x.accepted = true
	if x.held {
		x.startMeter(answerHead{status: h.StatusCode()})
	}
	x.client.setDrain(false)
	h.ResetConnectionClose()
	h.SetProtocol(nil)
	if x.held {
		x.appendBudget(&x.decision.Status)
	}
	x.handedOver = true
	x.hijack(h, x.tunnel)
}

// tunnel passes bytes between client and upstream until one of them closes, and
// then closes both.
func (x *exchange) tunnel(conn net.Conn) {
	defer x.recoverTunnel()
	x.s.metrics.tunnels.Inc()
	defer x.s.metrics.tunnels.Dec()
	// The handshake's deadlines end with it; an idle session is the peers' affair.
	_ = x.up.nc.SetDeadline(time.Time{})
	flow := &flow{x: x}
	if _, err := x.client.Write(x.out); err == nil {
		var down sync.WaitGroup
		down.Go(func() {
			flow.copy(downWriter{flow}, x.up.br)
			x.client.kill()
		})
		flow.copy(upstreamWriter{x.up}, conn)
		x.client.kill()
		down.Wait()
	}
	x.finishUpstream(false)
	x.settle(endedComplete)
	x.recycle()
}

func (x *exchange) recoverTunnel() {
	if bug := recover(); bug != nil {
		x.reportBug(bug)
		x.client.kill()
		x.endAfterBug()
	}
}

// flow is the bytes of one tunnel, in both directions.
type flow struct {
	x       *exchange
	renewed atomic.Int64 // unix seconds
	over    atomic.Bool  // the budget has run out, and the session is to end

	mu     sync.Mutex // guards what the client is sent
	frames frames     // of the upstream's side
	ended  bool       // the client has been told
}

// errRanOut ends a session whose budget has run out.
var errRanOut = errors.New("budget has run out")

// copy passes bytes on as they come until either side fails, or the budget runs
// out.
func (f *flow) copy(to io.Writer, from io.Reader) {
	defer func() {
		if bug := recover(); bug != nil {
			f.x.reportBug(bug)
		}
	}()
	buf := pool8K.get()
	defer pool8K.put(buf)
	for {
		n, err := from.Read(*buf)
		if n > 0 {
			f.renew()
			if f.over.Load() && f.end() {
				return
			}
			if _, werr := to.Write((*buf)[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// renew says that the session lives, and looks whether its budget still does, at
// most once a second.
func (f *flow) renew() {
	now := time.Now().Unix()
	if last := f.renewed.Load(); f.x.held && now != last && f.renewed.CompareAndSwap(last, now) {
		f.x.s.enforcer.Renew(&f.x.decision)
		if f.ranOut() {
			f.over.Store(true)
		}
	}
}

// ranOut reports whether the tenant has come to its block point, by this session
// or beside it, so that a new one would be refused.
func (f *flow) ranOut() bool {
	x := f.x
	if x.decision.Mode == budget.Shadow || x.plan.free {
		return false
	}
	s, known := x.s.enforcer.StatusOf(x.s.ctx, x.ask.Key)
	return known && s.State == budget.StateBlocked
}

// end tells the client that the budget has run out and reports whether it has
// been told: between two messages of the upstream's, never inside one.
func (f *flow) end() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.endLocked()
}

func (f *flow) endLocked() bool {
	if f.ended || !f.frames.between() {
		return f.ended
	}
	f.ended = true
	x := f.x
	refused := enforce.Decision{Verdict: budget.Block, Reason: budget.OverBlockPoint, Mode: x.decision.Mode, Status: x.decision.Status}
	if s, known := x.s.enforcer.StatusOf(x.s.ctx, x.ask.Key); known {
		refused.Status = s
	}
	event, closing := x.s.denier.session(&refused, string(x.callID))
	// A client that does not take it is closed all the same.
	_, _ = x.client.Write(appendFrame(appendFrame(nil, frameText, event), frameClose, closing))
	return true
}

// downWriter writes to the client and follows the frames.
type downWriter struct{ *flow }

func (w downWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return 0, errRanOut
	}
	n, err := w.x.client.Write(p)
	if err != nil {
		return n, err
	}
	w.frames.pass(p)
	if w.over.Load() && w.endLocked() {
		return n, errRanOut
	}
	return n, nil
}

// upstreamWriter writes upstream within writePatience.
type upstreamWriter struct{ up *upstreamConn }

func (w upstreamWriter) Write(p []byte) (int, error) {
	_ = w.up.nc.SetWriteDeadline(time.Now().Add(writePatience)) // fails only on a closed socket, as will the write
	return w.up.nc.Write(p)
}
