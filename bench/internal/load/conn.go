package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"

	"github.com/pursestring/pursestring/bench/internal/mock"
)

// Answer is what came back for one call.
type Answer struct {
	Status int
	// Body is the number of body bytes, without chunk framing.
	Body int64
	// Service is how long the mock upstream had the call by its own clock; 0 when
	// it does not say.
	Service time.Duration
	// Budget reports whether the answer carries x-budget-state: whether somebody
	// decided about the call.
	Budget bool
}

// head is an answer's head.
type head struct {
	Answer
	length  int64 // -1: unknown
	chunked bool
	closes  bool
}

// conn is one client connection. It is used by one goroutine at a time.
type conn struct {
	net.Conn
	r *bufio.Reader
}

// dial connects to addr from the source address, which may be empty.
func dial(ctx context.Context, addr, source string, buffer int) (*conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, Control: lateBind}
	if source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, buffer)}, nil
}

// vanish closes the connection with a reset, which leaves no TIME_WAIT behind:
// ten thousand of them would use up the ports of the next scenario.
func (c *conn) vanish() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the close is merely slower
	}
	_ = c.Close() // nothing is left to be lost
}

var errMalformed = errors.New("malformed answer")

// readHead reads a status line and header lines, skipping interim answers.
func (c *conn) readHead() (head, error) {
	for {
		h, err := c.readOneHead()
		if err != nil || h.Status >= 200 {
			return h, err
		}
	}
}

func (c *conn) readOneHead() (head, error) {
	h := head{length: -1}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." {
		return h, fmt.Errorf("%w: status line %.40q", errMalformed, line)
	}
	if h.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, fmt.Errorf("%w: status line %.40q", errMalformed, line)
	}
	for {
		line, err = c.r.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		if err := h.field(line); err != nil {
			return h, err
		}
	}
}

// field takes in one header line.
func (h *head) field(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return fmt.Errorf("%w: header line without a colon", errMalformed)
	}
	value = bytes.TrimSpace(value)
	// The length first: an answer has forty headers, of which these matter.
	switch {
	case len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%w: content-length %q", errMalformed, value)
		}
		h.length = n
	case len(name) == len("transfer-encoding") && bytes.EqualFold(name, []byte("transfer-encoding")):
		h.chunked = bytes.EqualFold(value, []byte("chunked"))
	case len(name) == len("connection") && bytes.EqualFold(name, []byte("connection")):
		h.closes = bytes.EqualFold(value, []byte("close"))
	case len(name) == len(mock.ServiceHeader) && bytes.EqualFold(name, []byte(mock.ServiceHeader)):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return fmt.Errorf("%w: %s %q", errMalformed, mock.ServiceHeader, value)
		}
		h.Service = time.Duration(n)
	case len(name) == len("x-budget-state") && bytes.EqualFold(name, []byte("x-budget-state")):
		h.Budget = true
	}
	return nil
}

// body returns the body that follows the head.
func (c *conn) body(h head) io.Reader {
	switch {
	case h.chunked:
		return httputil.NewChunkedReader(c.r)
	case h.length >= 0:
		return io.LimitReader(c.r, h.length)
	default:
		return c.r
	}
}

// receive reads one whole answer. reusable says whether another call may follow
// on the connection.
func (c *conn) receive() (answer Answer, reusable bool, err error) {
	h, err := c.readHead()
	if err != nil {
		return h.Answer, false, err
	}
	if h.length >= 0 && !h.chunked { // the usual case, without a reader around it
		n, err := io.CopyN(io.Discard, c.r, h.length)
		h.Body = n
		return h.Answer, err == nil && !h.closes, err
	}
	h.Body, err = io.Copy(io.Discard, c.body(h))
	if err == nil && h.chunked {
		err = c.readTrailer()
	}
	return h.Answer, err == nil && h.chunked && !h.closes, err
}

// readTrailer reads what follows the last chunk, which the chunked reader
// leaves.
func (c *conn) readTrailer() error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
}

// Do makes one call on a connection of its own.
func Do(ctx context.Context, addr string, request []byte) (Answer, error) {
	c, err := dial(ctx, addr, "", 8<<10)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if _, err := c.Write(request); err != nil {
		return Answer{}, err
	}
	answer, _, err := c.receive()
	return answer, err
}
