package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// wireAnswer is an answer as it came over the wire.
type wireAnswer struct {
	status string   // the whole status line
	fields []string // header lines in order, in their own case
	body   []byte   // without chunk framing; of a WebSocket the frames
	broken bool     // the connection ended inside the body
}

// sendRaw writes one request, byte for byte, to host:port and reads the answer.
// Nothing between it and the socket could hide what a proxy has changed.
func sendRaw(ctx context.Context, address string, request []byte) (wireAnswer, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return wireAnswer{}, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(90 * time.Second)); err != nil {
		return wireAnswer{}, err
	}
	if _, err := conn.Write(request); err != nil {
		return wireAnswer{}, fmt.Errorf("send %s: %w", firstLine(request), err)
	}
	answer, err := readAnswer(bufio.NewReader(conn))
	if err != nil {
		return answer, fmt.Errorf("answer to %s: %w", firstLine(request), err)
	}
	return answer, nil
}

func readAnswer(r *bufio.Reader) (wireAnswer, error) {
	var a wireAnswer
	length, chunked := int64(-1), false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return a, fmt.Errorf("head: %w", err)
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			break
		}
		if a.status == "" {
			a.status = line
			continue
		}
		a.fields = append(a.fields, line)
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.ToLower(name) {
		case "content-length":
			if length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return a, err
			}
		case "transfer-encoding":
			chunked = strings.EqualFold(value, "chunked")
		}
	}
	var body io.Reader = r
	switch {
	case strings.HasPrefix(a.status, "HTTP/1.1 101 "):
		var err error
		a.body, err = readFrames(r)
		return a, err
	case chunked:
		body = httputil.NewChunkedReader(r)
	case length >= 0:
		body = io.LimitReader(r, length)
	}
	var err error
	a.body, err = io.ReadAll(body)
	a.broken = err != nil || length >= 0 && int64(len(a.body)) < length
	return a, nil
}

// readFrames reads a server's WebSocket frames up to its close frame.
func readFrames(r *bufio.Reader) ([]byte, error) {
	var frames []byte
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(r, head); err != nil {
			return frames, fmt.Errorf("frame: %w", err)
		}
		length := head[1] & 0x7f
		if length > 126 {
			return frames, errors.New("a frame of more than 64 KiB")
		}
		size := int(length)
		if length == 126 {
			extended := make([]byte, 2)
			if _, err := io.ReadFull(r, extended); err != nil {
				return frames, fmt.Errorf("frame: %w", err)
			}
			head, size = append(head, extended...), int(binary.BigEndian.Uint16(extended))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(r, payload); err != nil {
			return frames, fmt.Errorf("frame: %w", err)
		}
		frames = append(append(frames, head...), payload...)
		if opcode := head[0] & 0x0f; opcode == 8 { // close
			return frames, nil
		}
	}
}

// rawRequest is a whole HTTP/1.1 request to host with its length.
func rawRequest(host, requestLine string, fields []string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\r\nHost: %s\r\nUser-Agent: e2e/1\r\nAccept: */*\r\n", requestLine, host)
	for _, f := range fields {
		fmt.Fprintf(&b, "%s\r\n", f)
	}
	if len(body) > 0 || strings.HasPrefix(requestLine, "POST ") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	return line
}

// hostOf is the host:port of a base URL.
func hostOf(base string) string {
	_, host, _ := strings.Cut(base, "://")
	return host
}
