package proxy

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors of a request body. Neither is the upstream's.
var (
	errBodyTooLarge = errors.New("request body too large")
	errClientBody   = errors.New("reading the request body")
)

const (
	wholeBody  = 1 << 20  // a body of at most this is read whole before the decision
	bodyPrefix = 64 << 10 // of a larger one, this much is looked at
	smallBody  = 64 << 10 // a free call's body of at most this goes out in one write with its head

	prefetched = 8 << 10 // what fasthttp has read before the handler runs, where the length is known
	uploadTime = 30 * time.Minute
)

// requestBody is the client's body: a prefix that is held, and a rest that is
// still to be read.
type requestBody struct {
	stream io.Reader // nil: no body
	client *clientConn
	length int64 // as declared: noBody, chunkedBody, or bytes
	limit  int64 // most bytes that are taken
	gap    time.Duration

	buf   *[]byte // holds the prefix
	n     int     // bytes of the prefix
	read  int64   // bytes read so far, prefix included
	whole bool    // the prefix is the whole body
	ended bool    // the client has sent its last byte

	deadline time.Time // the client's read deadline, as set here
	latest   time.Time // when the upload must have ended
}

func (b *requestBody) begin(x *exchange) {
	b.client, b.limit, b.gap = x.client, x.s.o.MaxBody, x.s.o.BodyTimeout
	b.length = x.head.length
	b.stream = x.ctx.RequestBodyStream()
	b.whole = b.stream == nil || b.length == 0
}

func (b *requestBody) reset() {
	giveBack(b.buf)
	*b = requestBody{}
}

// release gives back what is held; what is known about the body stays.
func (b *requestBody) release() {
	giveBack(b.buf)
	b.buf, b.n = nil, 0
}

// prefix is what is held.
func (b *requestBody) prefix() []byte {
	if b.buf == nil {
		return nil
	}
	return (*b.buf)[:b.n]
}

// done reports whether the client has nothing more to send of this request.
func (b *requestBody) done() bool { return b.whole || b.ended }

// readAhead reads what the plan wants to see: the whole body up to wholeBody,
// else a prefix.
func (b *requestBody) readAhead() error {
	if b.length > wholeBody {
		return b.fill(bodyPrefix)
	}
	return b.fill(wholeBody)
}

// fill reads until the prefix is the whole body or has most bytes.
func (b *requestBody) fill(most int) error {
	for !b.whole && b.n < most {
		b.grow(most)
		n, err := b.next((*b.buf)[b.n:min(cap(*b.buf), most)])
		b.n += n
		switch {
		case errors.Is(err, io.EOF):
			b.whole = true
		case err != nil:
			return err
		}
	}
	return nil
}

// grow makes room behind the prefix. A known length is allocated once.
func (b *requestBody) grow(most int) {
	switch {
	case b.buf == nil && b.length > 0:
		b.buf = bufferFor(int(min(b.length, int64(most))))
	case b.buf == nil:
		b.buf = bufferFor(pool8K.size)
	case b.n == cap(*b.buf):
		larger := bufferFor(min(4*cap(*b.buf), most))
		copy(*larger, b.prefix())
		giveBack(b.buf)
		b.buf = larger
	}
	*b.buf = (*b.buf)[:cap(*b.buf)]
}

// next reads the next bytes from the client, within its deadline and the limit.
// io.EOF, perhaps beside bytes, is the end of the body.
func (b *requestBody) next(p []byte) (int, error) {
	if err := b.renew(); err != nil {
		return 0, err
	}
	n, err := b.stream.Read(p)
	b.read += int64(n)
	switch {
	case b.read > b.limit:
		return n, errBodyTooLarge
	case err == io.EOF && b.read < b.length:
		// fasthttp takes the end of the connection for the end of the body. A part
		// must not go up as the whole.
		return n, fmt.Errorf("%w: %w", errClientBody, io.ErrUnexpectedEOF)
	case err == io.EOF || err == nil && b.read == b.length:
		b.ended = true
		return n, io.EOF
	case err != nil:
		return n, fmt.Errorf("%w: %w", errClientBody, err)
	}
	return n, nil
}

// renew moves the client's read deadline on: fasthttp's own is absolute and
// meant for heads.
func (b *requestBody) renew() error {
	if b.length >= 0 && b.read < prefetched && b.length <= prefetched {
		return nil // it is in memory already
	}
	now := time.Now()
	if b.latest.IsZero() {
		b.latest = now.Add(uploadTime)
	}
	until := now.Add(b.gap)
	if until.After(b.latest) {
		until = b.latest
	}
	if until.Sub(b.deadline) < b.gap/8 {
		return nil
	}
	b.deadline = until
	if err := b.client.SetReadDeadline(until); err != nil {
		return fmt.Errorf("%w: %w", errClientBody, err)
	}
	return nil
}

// Bytes that frame one chunk of an upload: the size line before it and the CRLF
// after it.
const (
	chunkBefore = 10
	chunkAfter  = 2
)

// frameChunk makes n bytes that lie in buf from chunkBefore on a chunk, in place.
func frameChunk(buf []byte, n int) []byte {
	const digits = "0123456789abcdef"
	buf[chunkBefore-2], buf[chunkBefore-1] = '\r', '\n'
	at := chunkBefore - 2
	for v := n; ; v >>= 4 {
		at--
		buf[at] = digits[v&15]
		if v < 16 {
			break
		}
	}
	end := chunkBefore + n
	buf[end], buf[end+1] = '\r', '\n'
	return buf[at : end+chunkAfter]
}

// lastChunk ends a chunked body without trailers.
const lastChunk = "0\r\n\r\n"

// errUpstreamWrite reports that the upstream took no more of the request. It may
// have answered all the same.
var errUpstreamWrite = errors.New("writing to the upstream")

// upload sends the rest of the body. early reports that an answer has begun to
// come before all was sent. Errors: errBodyTooLarge, errClientBody and
// errUpstreamWrite, perhaps wrapped.
func (x *exchange) upload(mayAnswerEarly bool) (early bool, err error) {
	buf := pool64K.get()
	defer pool64K.put(buf)
	chunked := x.body.length == chunkedBody
	room := (*buf)[chunkBefore : len(*buf)-chunkAfter]
	for {
		n, err := x.body.next(room)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		piece := room[:n]
		if chunked && n > 0 {
			piece = frameChunk(*buf, n)
		}
		if err := x.writeUp(piece); err != nil {
			return false, err
		}
		if err != nil {
			return false, x.endUpload(chunked)
		}
		if mayAnswerEarly && !x.up.secure && !x.up.quiet() {
			return true, nil
		}
	}
}

func (x *exchange) endUpload(chunked bool) error {
	if !chunked {
		return nil
	}
	return x.writeUp([]byte(lastChunk))
}

// Patience with an upstream that does not take our bytes.
const (
	writePatience = time.Minute
	writeGlance   = time.Second // how long before we look whether it has answered instead
)

// writeUp writes p upstream. An upstream that has answered and stopped reading
// is noticed within a second, where the socket can be looked at.
func (x *exchange) writeUp(p []byte) error {
	patience := time.Now().Add(writePatience)
	for len(p) > 0 {
		until := patience
		if !x.up.secure {
			if glance := time.Now().Add(writeGlance); glance.Before(until) {
				until = glance
			}
		}
		_ = x.up.nc.SetWriteDeadline(until) // fails only on a closed socket, as will the write
		n, err := x.up.nc.Write(p)
		p = p[n:]
		if err == nil {
			return nil
		}
		if !isTimeout(err) || x.up.secure || !x.up.quiet() || !time.Now().Before(patience) {
			return fmt.Errorf("%w: %w", errUpstreamWrite, err)
		}
	}
	return nil
}
