package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"time"
)

const (
	upstreamReadBuffer = 8 << 10
	mostUpstreamHead   = 128 << 10 // LiteLLM's heads have 2 to 6 KiB
)

// upstreamConn is one connection to LiteLLM. One goroutine uses it at a time;
// only cut may be called from others.
type upstreamConn struct {
	nc     net.Conn // what bytes go through: raw, or TLS over it
	raw    net.Conn
	secure bool
	br     *bufio.Reader
	peek   peeker

	used      bool // has answered before
	idleSince time.Time
	readUntil time.Time // the read deadline
}

// cut breaks the connection off, from any goroutine. It closes the socket below
// TLS: a TLS close would write, and might wait for that.
func (up *upstreamConn) cut() { _ = up.raw.Close() }

func (up *upstreamConn) close() { _ = up.raw.Close() }

// quiet reports that the connection is open and that nothing has come on it
// that was not read.
func (up *upstreamConn) quiet() bool {
	if up.br.Buffered() > 0 || !up.peek.quiet() {
		return false
	}
	return !up.secure || up.quietInside()
}

// quietInside asks TLS for bytes that it has taken off the socket and not yet
// handed on: a read under a deadline that has passed returns only those.
func (up *upstreamConn) quietInside() bool {
	up.readUntil = time.Unix(1, 0)
	_ = up.nc.SetReadDeadline(up.readUntil)
	_, err := up.br.Peek(1)
	return err != nil && isTimeout(err)
}

// expect sets the read deadline to d from now.
func (up *upstreamConn) expect(d time.Duration) {
	up.readUntil = time.Now().Add(d)
	_ = up.nc.SetReadDeadline(up.readUntil) // fails only on a closed socket, as will the read
}

// renew sets the read deadline to d from now; coarsely where that moves it on, for
// a timer per event would cost more than the read.
func (up *upstreamConn) renew(now time.Time, d time.Duration) {
	until := now.Add(d)
	if later := until.Sub(up.readUntil); later < 0 || later > d/8 {
		up.readUntil = until
		_ = up.nc.SetReadDeadline(until)
	}
}

// until brings the read deadline forward to t.
func (up *upstreamConn) until(t time.Time) {
	if t.Before(up.readUntil) {
		up.readUntil = t
		_ = up.nc.SetReadDeadline(t)
	}
}

// growReader makes room for an unusually large head.
func (up *upstreamConn) growReader() {
	held, _ := up.br.Peek(up.br.Buffered())
	up.br = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(held)), up.nc), mostUpstreamHead)
}
