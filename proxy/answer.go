package proxy

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// writeAnswer makes a the response.
func writeAnswer(ctx *fasthttp.RequestCtx, a answer) {
	h := &ctx.Response.Header
	h.SetStatusCode(a.status)
	for _, f := range a.headers {
		h.AddBytesKV(f.name, f.value)
	}
	var date [40]byte
	h.SetBytesV("Date", fasthttp.AppendHTTPDate(date[:0], time.Now()))
	ctx.Response.SetBodyRaw(a.body)
}

// clearAnswer takes back what has been written into the response, an upstream's
// head included. fasthttp's own Reset would also forget the server's settings,
// so a blank head is read in instead.
func clearAnswer(ctx *fasthttp.RequestCtx) {
	ctx.Response.ResetBody()
	ctx.Response.ImmediateHeaderFlush = false
	// It cannot fail: the text is constant.
	_ = ctx.Response.Header.Read(bufio.NewReader(strings.NewReader("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")))
}

// handleBadRequest answers what fasthttp could not read as a request. Its errors
// quote the request, keys included, so none of their text goes anywhere.
func (s *Server) handleBadRequest(ctx *fasthttp.RequestCtx, err error) {
	t := troubleMalformed
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		t = troubleHeadTooLarge
	case errors.Is(err, fasthttp.ErrTimeout) || isTimeout(err):
		t = troubleSlowClient
	}
	s.metrics.troubles[t].Inc()
	var id [36]byte
	clearAnswer(ctx)
	writeAnswer(ctx, s.denier.trouble(route{}, t.status, t.code, t.message, string(newCallID(&id))))
	if c, ok := ctx.Conn().(*clientConn); ok {
		c.linger.Store(true)
	}
}

// mostCallID is the length up to which LiteLLM takes a client's call id.
const mostCallID = 256

// newCallID writes a random UUID (version 4) into buf. It names a call in logs;
// it is no secret.
func newCallID(buf *[36]byte) []byte {
	var raw [16]byte
	binary.NativeEndian.PutUint64(raw[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(raw[8:], rand.Uint64())
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	b := buf[:]
	hex.Encode(b[0:8], raw[0:4])
	hex.Encode(b[9:13], raw[4:6])
	hex.Encode(b[14:18], raw[6:8])
	hex.Encode(b[19:23], raw[8:10])
	hex.Encode(b[24:36], raw[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return b
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }

// hijacked wraps what takes a client's connection over from fasthttp.
func (s *Server) hijacked(client *clientConn, serve func(conn net.Conn)) fasthttp.HijackHandler {
	return func(conn net.Conn) {
		if client.takeOrphan() == nil {
			return // the connection closed first, and the exchange with it
		}
		serve(conn)
	}
}
