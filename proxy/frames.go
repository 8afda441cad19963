package proxy

import "encoding/binary"

// frames follows the frames of one direction of a WebSocket without reading
// what they say, so that a message of ours can be put between two of the peer's.
type frames struct {
	header    []byte // of the frame that has begun, as far as it has come
	left      uint64 // bytes of its payload still to come
	inMessage bool   // a message in several frames has not ended
}

// Parts of a frame (RFC 6455, section 5.2).
const (
	frameFin    = 0x80
	frameMask   = 0x80
	frameOpcode = 0x0f
	frameText   = 0x1
	frameClose  = 0x8 // this and above are control frames, which may lie within a message
)

// pass takes note of the next bytes of the direction.
func (f *frames) pass(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(uint64(len(p)), f.left)
			f.left -= n
			p = p[n:]
			continue
		}
		f.header = append(f.header, p[0])
		p = p[1:]
		if len(f.header) >= 2 && len(f.header) == headerSize(f.header[1]) {
			f.begin()
		}
	}
}

// headerSize is how long a header is, by its second byte.
func headerSize(second byte) int {
	size := 2
	switch second &^ frameMask {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if second&frameMask != 0 {
		size += 4
	}
	return size
}

// begin takes note of a frame whose header is complete.
func (f *frames) begin() {
	h := f.header
	switch n := h[1] &^ frameMask; n {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(h[2:])
	default:
		f.left = uint64(n)
	}
	if h[0]&frameOpcode < frameClose {
		f.inMessage = h[0]&frameFin == 0
	}
	f.header = h[:0]
}

// between reports whether a message of ours can be sent now.
func (f *frames) between() bool { return f.left == 0 && len(f.header) == 0 && !f.inMessage }

// appendFrame appends a whole frame as a server sends it: unmasked.
func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, frameFin|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}
