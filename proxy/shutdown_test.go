package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Shutdown lets what is in flight end, and no more begin.
func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	u := newSlowUpstream(t)
	r := startProxy(t, u.url)
	idle, busy := r.dial(t), r.dial(t)
	idle.send("GET /v1/budget HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n", testKey)
	idle.receive("GET")
	busy.send("%s", chat(`{"stream":true}`))
	<-u.begun
	u.step <- sseHead + sseEvent
	a, err := http.ReadResponse(busy.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	done := make(chan error)
	go func() { done <- r.Shutdown(context.Background()) }()
	if _, err := idle.r.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection gets %v", err)
	}
	if c, err := net.Dial("tcp", r.addr); err == nil {
		_ = c.Close()
		t.Error("a new connection was accepted")
	}
	select {
	case <-done:
		t.Fatal("Shutdown did not wait for the stream")
	case <-time.After(50 * time.Millisecond):
	}
	u.step <- sseEvent + "0\r\n\r\n"
	if body, err := io.ReadAll(a.Body); err != nil || strings.Count(string(body), "data: x") != 2 {
		t.Errorf("the stream ends with %q, %v", body, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.led.allEnded(t)
}

// When the deadline passes, the rest is closed on both sides, tunnels and
// HTTP/1.0 answers too, and every hold ends.
func TestShutdownClosesTheRest(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"before the head": chat(`{}`),
		"stream":          chat(`{"stream":true}`),
		"HTTP/1.0":        strings.Replace(chat(`{"stream":true}`), "HTTP/1.1", "HTTP/1.0", 1),
		"tunnel":          handshake("/v1/realtime"),
		"upload":          "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n" + repeat("x", 100<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newSlowUpstream(t)
			r := startProxy(t, u.url)
			c := r.dial(t)
			c.send("%s", request)
			if name != "upload" {
				<-u.begun
			}
			switch name {
			case "stream", "HTTP/1.0":
				u.step <- sseHead + sseEvent
				_, _ = c.r.ReadByte()
			case "tunnel":
				u.step <- upgraded
				_, _ = c.r.ReadByte()
			}
			waitFor(t, "the call to be in flight", func() bool { admitted, _, _, _ := r.led.counts(); return admitted == 1 })
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			begun := time.Now()
			if err := r.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			if _, _, _, open := r.led.counts(); open != 0 {
				t.Errorf("%d holds are open after Shutdown", open)
			}
			if _, err := io.ReadAll(c.r); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the client's side: %v", err)
			}
			if name != "upload" {
				waitSignal(t, u.closed, "the upstream's side to be closed")
			}
		})
	}
}

// Serve after Shutdown does not begin again.
func TestServeAfterShutdown(t *testing.T) {
	t.Parallel()
	r := newRig(t, "http://127.0.0.1:1")
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := r.Serve(ln); err == nil {
		t.Error("serves after Shutdown")
	}
}
