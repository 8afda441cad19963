package proxy

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
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
			flow.copy(x.client, x.up.br)
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
}

// copy passes bytes on as they come until either side fails.
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
			if _, werr := to.Write((*buf)[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// renew says that the session lives, at most once a second.
func (f *flow) renew() {
	now := time.Now().Unix()
	if last := f.renewed.Load(); f.x.held && now != last && f.renewed.CompareAndSwap(last, now) {
		f.x.s.enforcer.Renew(&f.x.decision)
	}
}

// upstreamWriter writes upstream within writePatience.
type upstreamWriter struct{ up *upstreamConn }

func (w upstreamWriter) Write(p []byte) (int, error) {
	_ = w.up.nc.SetWriteDeadline(time.Now().Add(writePatience)) // fails only on a closed socket, as will the write
	return w.up.nc.Write(p)
}
