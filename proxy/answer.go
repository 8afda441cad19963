package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// writeAnswer makes a the response, whatever stood there before.
func writeAnswer(ctx *fasthttp.RequestCtx, a answer) {
	ctx.Response.ResetBody()
	ctx.Response.ImmediateHeaderFlush = false
	h := &ctx.Response.Header
	blankHead(h)
	h.SetStatusCode(a.status)
	for _, f := range a.headers {
		h.AddBytesKV(f.name, f.value)
	}
	ctx.Response.SetBodyRaw(a.body)
}

// blankHead makes h a head with a Date and nothing else. It does so by having it
// read one: fasthttp's Reset would also forget the server's settings, and its
// setters refuse a Date.
func blankHead(h *fasthttp.ResponseHeader) {
	var text [80]byte
	b := append(text[:0], "HTTP/1.1 200\r\nContent-Length: 0\r\nDate: "...)
	b = fasthttp.AppendHTTPDate(b, time.Now())
	b = append(b, "\r\n\r\n"...)
	if h.Read(bufio.NewReaderSize(bytes.NewReader(b), len(b))) != nil {
		panic("BUG: a constant head does not parse")
	}
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
