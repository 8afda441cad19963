package proxy

import (
	"bufio"
	"errors"
	"io"
)

// errChunks reports a chunked body that is not one.
var errChunks = errors.New("malformed chunked encoding")

// chunkReader takes the chunked encoding off a body, byte by byte where it
// frames and in runs where it carries data. It never waits for more than it has:
// an event goes on before the CRLF of its chunk has come.
type chunkReader struct {
	state   chunkState
	left    int64 // data bytes of the chunk still to come
	digits  int   // of the size line
	framing int   // bytes of framing since the last data
}

type chunkState uint8

const (
	chunkSize     chunkState = iota // hexadecimal digits
	chunkExt                        // to the end of the size line
	chunkSizeLF                     // LF of the size line
	chunkData                       // left bytes
	chunkDataCR                     // CRLF after the data
	chunkDataLF                     //
	trailerStart                    // first byte of a trailer line, or CR of the empty one
	trailerLine                     // to the end of a trailer line
	trailerLineLF                   // its LF
	trailerEndLF                    // LF of the empty line
	chunkDone
)

// mostFraming bounds a size line, and the trailers.
const mostFraming = 16 << 10

// next returns all data that br holds, at least one byte; it waits only when br
// holds nothing. The data lies in br's own buffer, pushed together over the
// framing, and is valid until br is next used. io.EOF: the body has ended and br
// stands behind it.
func (d *chunkReader) next(br *bufio.Reader) ([]byte, error) {
	for d.state != chunkDone {
		if _, err := br.Peek(1); err != nil {
			return nil, unexpected(err)
		}
		buf, _ := br.Peek(br.Buffered())
		data, taken, err := d.take(buf)
		_, _ = br.Discard(taken) // taken ≤ buffered
		if err != nil {
			return nil, err
		}
		if len(data) > 0 {
			return data, nil
		}
	}
	return nil, io.EOF
}

// take reads buf up to the end of the body, or of buf.
func (d *chunkReader) take(buf []byte) (data []byte, taken int, err error) {
	n := 0 // data bytes moved to the front
	i := 0
	for i < len(buf) && d.state != chunkDone {
		if d.state == chunkData {
			run := int(min(int64(len(buf)-i), d.left))
			n += copy(buf[n:], buf[i:i+run])
			i += run
			if d.left -= int64(run); d.left == 0 {
				d.state = chunkDataCR
			}
			continue
		}
		if !d.frame(buf[i]) {
			return nil, i, errChunks
		}
		i++
	}
	return buf[:n], i, nil
}

// frame takes one byte of framing.
func (d *chunkReader) frame(c byte) bool {
	if d.framing++; d.framing > mostFraming {
		return false
	}
	switch d.state {
	case chunkSize:
		return d.sizeByte(c)
	case chunkExt:
		if c == '\r' {
			d.state = chunkSizeLF
		}
		return c != '\n'
	case chunkSizeLF:
		d.digits = 0
		if d.left == 0 {
			d.state = trailerStart
		} else {
			d.state, d.framing = chunkData, 0
		}
		return c == '\n'
	case chunkDataCR:
		d.state = chunkDataLF
		return c == '\r'
	case chunkDataLF:
		d.state = chunkSize
		return c == '\n'
	case trailerStart:
		if d.state = trailerLine; c == '\r' {
			d.state = trailerEndLF
		}
		return c != '\n'
	case trailerLine:
		if c == '\r' {
			d.state = trailerLineLF
		}
		return c != '\n'
	case trailerLineLF:
		d.state = trailerStart
		return c == '\n'
	case trailerEndLF:
		d.state = chunkDone
		return c == '\n'
	case chunkData, chunkDone:
	}
	return false
}

func (d *chunkReader) sizeByte(c byte) bool {
	if v, ok := hexDigit(c); ok {
		d.digits++
		d.left = d.left<<4 | v
		return d.digits <= 15
	}
	switch {
	case d.digits == 0:
		return false
	case c == '\r':
		d.state = chunkSizeLF
	case c == ';', c == ' ', c == '\t':
		d.state = chunkExt
	default:
		return false
	}
	return true
}

func hexDigit(c byte) (int64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return int64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return int64(c-'A') + 10, true
	}
	return 0, false
}

// unexpected turns an end in the middle into the error that says so.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
