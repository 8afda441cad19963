package proxy

import "strconv"

// upstreamHead says how a head goes upstream.
type upstreamHead struct {
	length int64  // noBody, chunkedBody, or the bytes that follow
	host   string // used when the client sent no Host (HTTP/1.0)
	callID []byte // added when the client sent none
	// plain: the answer will be metered, so it must come uncompressed.
	plain bool
}

// appendTo appends the head that goes upstream: every line as it was received,
// in its place; only the framing is ours.
func (h *requestHead) appendTo(dst []byte, up upstreamHead) []byte {
	dst = append(dst, h.method...)
	dst = append(dst, ' ')
	dst = append(dst, h.target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	if !h.hasHost {
		dst = appendField(dst, "Host", h.hostOr(up.host))
	}
	framed := false
	for i, f := range h.fields {
		switch {
		case h.hasHost && h.authority != nil && equalFold(f.name, "host"):
			dst = appendField(dst, "Host", string(h.authority))
		case equalFold(f.name, "content-length"), equalFold(f.name, "transfer-encoding"):
			dst = appendFraming(dst, f.name, up.length)
			framed = true
		case up.plain && equalFold(f.name, "accept-encoding"):
			// The meter reads plain bytes.
		default:
			dst = append(dst, h.lines[i]...)
			dst = append(dst, '\r', '\n')
		}
	}
	if !framed {
		dst = appendFraming(dst, nil, up.length)
	}
	if h.websocket {
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	}
	if h.callID == nil {
		dst = append(dst, "x-litellm-call-id: "...)
		dst = append(dst, up.callID...)
		dst = append(dst, '\r', '\n')
	}
	return append(dst, '\r', '\n')
}

func (h *requestHead) hostOr(host string) string {
	if h.authority != nil {
		return string(h.authority)
	}
	return host
}

// appendFraming writes the line that frames the body, under the client's
// spelling of Content-Length where that is the one to write.
func appendFraming(dst, name []byte, length int64) []byte {
	switch {
	case length == chunkedBody:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	case length < 0:
		return dst
	}
	if !equalFold(name, "content-length") {
		name = []byte("Content-Length")
	}
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = strconv.AppendInt(dst, length, 10)
	return append(dst, '\r', '\n')
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}
