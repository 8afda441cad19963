package proxy

import (
	"errors"
	"io"
	"time"
)

// errStream ends a body that cannot be completed: no last chunk is sent and the
// client's connection is closed, so that nobody takes a part for the whole. Its
// text is one that fasthttp does not log; broken answers are counted here.
var errStream = errors.New("unexpected EOF: the answer broke off")

// pump brings an answer's body to the client, through the meter. As a body
// stream it is called by fasthttp after the handler has returned, and closed
// once.
type pump struct {
	x     *exchange
	kind  pumpKind
	whole []byte // pumpWhole: all of it
	left  int64  // pumpFixed: bytes still to come
	chunk chunkReader
	buf   *[]byte // pumpFixed: read buffer
	same  bool    // the answer goes out with the length that it came with
	muted bool    // the client has gone; the rest is only read
	spare int64   // bytes that may still be read while muted
	ended bool
}

type pumpKind uint8

const (
	pumpWhole   pumpKind = iota // in memory, and settled
	pumpFixed                   // a known length
	pumpChunked                 // the upstream sends chunks
	pumpToEnd                   // the upstream closes at the end
)

// drainBytes bounds what is read for a client that has gone.
const drainBytes = 64 << 20

func (p *pump) beginWhole(x *exchange, body []byte) {
	*p = pump{x: x, kind: pumpWhole, whole: body}
}

// begin starts a body that streams. length is fasthttp's: ≥ 0 known, -1 chunked,
// -2 to the end of the connection. same: the client was told that length.
func (p *pump) begin(x *exchange, length int64, same bool) {
	*p = pump{x: x, kind: pumpFixed, left: length, same: same, spare: drainBytes}
	switch {
	case length == -1:
		p.kind = pumpChunked
	case length < 0:
		p.kind, p.left = pumpToEnd, 0
	default:
		p.buf = pool64K.get()
	}
}

// SupportsBodyWriteTo tells fasthttp to use WriteTo.
func (p *pump) SupportsBodyWriteTo() bool { return true }

// Read is never used; io.Reader is what fasthttp takes a body stream for.
func (p *pump) Read([]byte) (int, error) { return 0, errStream }

// WriteTo writes the body to w: fasthttp's writer of chunks or of a fixed
// length, or the connection itself.
func (p *pump) WriteTo(w io.Writer) (n int64, err error) {
	x := p.x
	if p.kind == pumpWhole {
		n, err := w.Write(p.whole)
		return int64(n), err
	}
	defer func() {
		if bug := recover(); bug != nil {
			p.ended = true
			x.reportBug(bug)
			x.endAfterBug()
			err = errStream
		}
	}()
	if p.same {
		// The head has been flushed, and fasthttp's writer would keep each part
		// until its buffer is full. It counts what this returns.
		w = x.client
	}
	return p.run(w)
}

// run passes the body on until it ends, or one side does.
func (p *pump) run(w io.Writer) (sent int64, err error) {
	x := p.x
	for {
		data, err := p.next()
		switch {
		case errors.Is(err, io.EOF):
			return p.finish(w, sent)
		case err != nil:
			return sent, p.breakOff()
		}
		if x.held {
			data = x.meter.pass(data)
		}
		n, ok := p.give(w, data)
		sent += n
		if !ok {
			return sent, p.breakOff()
		}
	}
}

// next waits for the next bytes of the body and returns all that have come.
// They are valid until it is called again. io.EOF is the end of a whole body.
func (p *pump) next() ([]byte, error) {
	up := p.x.up
	if up.br.Buffered() == 0 {
		if !p.mayWait() {
			return nil, errStream
		}
	}
	var data []byte
	var err error
	switch p.kind {
	case pumpFixed:
		data, err = p.nextFixed()
	case pumpChunked:
		data, err = p.chunk.next(up.br)
	default:
		if _, err = up.br.Peek(1); err == nil {
			data, _ = up.br.Peek(up.br.Buffered())
			_, _ = up.br.Discard(len(data)) // buffered, so it cannot fail
		}
	}
	if p.muted {
		p.spare -= int64(len(data))
	}
	return data, err
}

func (p *pump) nextFixed() ([]byte, error) {
	if p.left == 0 {
		return nil, io.EOF
	}
	n, err := p.x.up.br.Read((*p.buf)[:min(int64(len(*p.buf)), p.left)])
	p.left -= int64(n)
	if n > 0 {
		return (*p.buf)[:n], nil
	}
	return nil, unexpected(err)
}

// mayWait prepares for waiting on the upstream: it renews what bytes renew, and
// reports false when nobody wants the answer any more.
func (p *pump) mayWait() bool {
	x := p.x
	now := time.Now()
	x.renewHold(now)
	x.up.renew(now, x.s.o.StreamTimeout)
	if !x.client.gone.Load() {
		return true
	}
	return p.mute(now)
}

// mute goes on without a client where the answer is to be drained, within
// bounds.
func (p *pump) mute(now time.Time) bool {
	x := p.x
	at, draining := x.client.leftAt()
	if !draining {
		return false
	}
	p.muted = true
	end := at.Add(x.s.o.DrainTimeout)
	if p.spare <= 0 || !now.Before(end) {
		return false
	}
	x.up.until(end)
	return true
}

// give writes data on. A client that cannot be written to has gone; its answer
// may still be drained.
func (p *pump) give(w io.Writer, data []byte) (int64, bool) {
	if p.muted || len(data) == 0 {
		return 0, !p.muted || p.spare > 0
	}
	n, err := w.Write(data)
	if err == nil {
		return int64(n), true
	}
	p.x.client.leave()
	return int64(n), p.mute(time.Now())
}

// finish ends a body that was read to its end.
func (p *pump) finish(w io.Writer, sent int64) (int64, error) {
	x := p.x
	if x.held {
		n, _ := p.give(w, x.meter.rest())
		sent += n
	}
	p.ended = true
	x.finishUpstream(true)
	x.settle(endedComplete)
	if p.muted {
		x.countGone(goneDrained)
		return sent, errStream
	}
	return sent, nil
}

// breakOff ends a body that was not.
func (p *pump) breakOff() error {
	x := p.x
	p.ended = true
	end := x.lostTo()
	switch {
	case end == endedUpstreamCut:
		x.s.complaints.warn("upstream broke off in the middle of an answer", "upstream", x.s.o.Upstream)
	case p.muted:
		x.countGone(goneOverBound)
	default:
		x.countGone(goneAborted)
	}
	x.finishUpstream(false)
	x.settle(end)
	return errStream
}

// Close ends the exchange. Where the body was not written to its end, because
// not even the head could be, the client has gone.
func (p *pump) Close() error {
	x := p.x
	if p.kind != pumpWhole && !p.ended {
		x.client.leave()
		_, _ = p.WriteTo(io.Discard) // drains where that is wanted
	}
	giveBack(p.buf)
	*p = pump{}
	x.recycle()
	return nil
}
