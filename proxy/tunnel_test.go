package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

func handshake(path string) string {
	return fmt.Sprintf("GET %s?model=gpt-4o HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer %s\r\n\r\n", path, testKey)
}

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// A tunnel passes bytes both ways, also those that come with the handshake, and
// ends when either side does.
func TestTunnel(t *testing.T) {
	t.Parallel()
	for _, ends := range []string{"client", "upstream"} {
		for _, path := range []string{"/v1/realtime", "/unknown/socket"} {
			t.Run(ends+path, func(t *testing.T) {
				t.Parallel()
				closed := make(chan struct{}, 1)
				r := startProxy(t, rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
					q, err := readRequest(r)
					if err != nil {
						return
					}
					if !strings.Contains(q.head, "Connection: Upgrade\r\nUpgrade: websocket\r\n") || !strings.Contains(q.head, "Sec-WebSocket-Key: dGhl") {
						t.Errorf("the upstream sees %q", q.head)
					}
					fmt.Fprint(c, upgraded+"early frame;")
					for {
						word, err := r.ReadString(';')
						if err != nil {
							break
						}
						if word == "end;" {
							return
						}
						fmt.Fprint(c, "echo "+word)
					}
					closed <- struct{}{}
				}))
				c := r.dial(t)
				c.send("%searly word;", handshake(path))
				a := c.receive("GET")
				if a.StatusCode != 101 || a.Header.Get("Upgrade") != "websocket" || a.Header.Get("Connection") != "Upgrade" || a.Header.Get("Sec-Websocket-Accept") == "" {
					t.Fatalf("handshake: %d %v", a.StatusCode, a.Header)
				}
				for _, want := range []string{"early frame;", "echo early word;"} {
					if got, _ := c.r.ReadString(';'); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				for i := range 100 {
					c.send("%d%s;", i, repeat("x", i*200))
					if got, _ := c.r.ReadString(';'); got != fmt.Sprintf("echo %d%s;", i, repeat("x", i*200)) {
						t.Fatalf("message %d comes back as %d bytes", i, len(got))
					}
				}
				if ends == "client" {
					_ = c.Close()
					waitSignal(t, closed, "the upstream's side to be closed")
				} else {
					c.send("end;")
					if _, err := c.r.ReadByte(); err != io.EOF {
						t.Errorf("the client's side: %v", err)
					}
				}
				r.led.allEnded(t)
				admitted, settled, _, _ := r.led.counts()
				if want := map[string]int{"/v1/realtime": 1, "/unknown/socket": 0}[path]; admitted != want || settled != want {
					t.Errorf("%d admitted, %d settled", admitted, settled)
				}
				waitFor(t, "the tunnel to be forgotten", func() bool {
					return value(t, r, "pursestring_tunnels") == 0 && value(t, r, "pursestring_connections") == 0
				})
			})
		}
	}
}

// A handshake that the upstream refuses is an answer like any other, and one
// that the budget refuses never gets there.
func TestRefusedHandshake(t *testing.T) {
	t.Parallel()
	r := startProxy(t, answering(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", false))
	c := r.dial(t)
	for range 2 {
		c.send("%s", handshake("/v1/realtime"))
		if a := c.receive("GET"); a.StatusCode != 403 || a.Close {
			t.Errorf("got %d, closes: %v", a.StatusCode, a.Close)
		}
	}
	for _, s := range r.led.settlements() {
		if s.Cost != 0 || s.Accepted {
			t.Errorf("settled %+v", s)
		}
	}
	r = startProxy(t, rawUpstream(t, func(net.Conn, *bufio.Reader) { t.Error("a refused handshake went up") }))
	r.led.decide = block(budget.OverBlockPoint)
	a := r.call(t, handshake("/v1/realtime"))
	if a.StatusCode != 402 || !strings.Contains(string(a.body), "budget_exceeded") {
		t.Errorf("got %d %s", a.StatusCode, a.body)
	}
}
