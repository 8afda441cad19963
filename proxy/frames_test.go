package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

// However the bytes are cut, a message of ours fits exactly between two of the
// peer's.
func TestFramesBetween(t *testing.T) {
	t.Parallel()
	parts := []struct {
		bytes   []byte
		between bool
	}{
		{appendFrame(nil, frameText, []byte("short")), true},
		{append([]byte{frameText, 3}, "fir"...), false},        // a message's first frame
		{appendFrame(nil, 0x9, []byte("ping")), false},         // control frames may lie within it
		{append([]byte{frameFin, 2}, "st"...), true},           // its last
		{appendFrame(nil, frameText, make([]byte, 300)), true}, // 16 bits of length
		{appendFrame(nil, frameText, make([]byte, 70000)), true},
		{append([]byte{frameFin | frameText, frameMask | 1}, 1, 2, 3, 4, 9), true}, // masked
		{appendFrame(nil, frameText, nil), true},
	}
	for _, cut := range []int{1, 2, 3, 7, 1000, 1 << 20} {
		var f frames
		for i, p := range parts {
			for rest := p.bytes; len(rest) > 0; {
				n := min(cut, len(rest))
				f.pass(rest[:n])
				if rest = rest[n:]; len(rest) > 0 && f.between() {
					t.Fatalf("cut by %d: inside part %d a message would fit", cut, i)
				}
			}
			if f.between() != p.between {
				t.Errorf("cut by %d: after part %d between is %v", cut, i, f.between())
			}
		}
	}
}

// readFrame reads one unmasked frame.
func readFrame(r *bufio.Reader) (opcode byte, payload []byte, err error) {
	var h [2]byte
	if _, err = io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := int(h[1])
	if h[1] == 126 {
		var more [2]byte
		if _, err = io.ReadFull(r, more[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(more[:]))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return h[0] & frameOpcode, payload, err
}

// A session whose budget runs out is told so between two messages, closed with
// 1008, and its hold ends.
func TestSessionRunsOut(t *testing.T) {
	t.Parallel()
	r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := readRequest(r); err != nil {
			return
		}
		fmt.Fprint(c, upgraded)
		for {
			if _, err := r.ReadByte(); err != nil {
				return
			}
			// Two writes for one message: ours must not come in between.
			message := appendFrame(nil, frameText, []byte("echo"))
			_, _ = c.Write(message[:3])
			_, _ = c.Write(message[3:])
		}
	}))
	c := r.dial(t)
	c.send("%s", handshake("/v1/realtime"))
	if a := c.receive("GET"); a.StatusCode != 101 {
		t.Fatalf("handshake: %d", a.StatusCode)
	}
	c.send("x")
	if op, payload, err := readFrame(c.r); op != frameText || string(payload) != "echo" || err != nil {
		t.Fatalf("got %d %q, %v", op, payload, err)
	}
	r.led.mu.Lock()
	r.led.status.State, r.led.status.Spent = budget.StateBlocked, 551*budget.Dollar
	r.led.mu.Unlock()
	var event []byte
	waitFor(t, "the event that ends the session", func() bool {
		_, _ = c.Write([]byte("x")) // fails once the session is closed
		op, payload, err := readFrame(c.r)
		if err != nil || op != frameText {
			t.Fatalf("got %d %q, %v", op, payload, err)
		}
		event = payload
		return string(payload) != "echo"
	})
	if !bytes.Contains(event, []byte(`"type":"budget_exceeded"`)) || !bytes.Contains(event, []byte(`"spend_usd":551`)) {
		t.Errorf("the event is %s", event)
	}
	op, payload, err := readFrame(c.r)
	if op != frameClose || len(payload) < 2 || binary.BigEndian.Uint16(payload) != 1008 || err != nil {
		t.Errorf("got %d %q, %v", op, payload, err)
	}
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("more comes after the close frame")
	}
}
