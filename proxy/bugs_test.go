package proxy

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/pursestring/pursestring/enforce"
)

// faulty panics where it is told to, with words of the request.
type faulty struct {
	*recorder
	in string
}

func (f *faulty) Settle(d *enforce.Decision, s enforce.Settlement) {
	f.recorder.Settle(d, s)
	if f.in == "settle" {
		panic("BUG: secret-prompt")
	}
}

func (f *faulty) Renew(d *enforce.Decision) {
	if f.in == "renew" {
		panic("BUG: secret-prompt")
	}
	f.recorder.Renew(d)
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A bug ends one call, not the process: it is counted, logged without content,
// answered where that is still possible, and its hold ends.
func TestBugsAreCaught(t *testing.T) {
	t.Parallel()
	for in, c := range map[string]struct{ request, answer string }{
		"admit":  {chat(`{}`), ""},
		"settle": {chat(`{}`), jsonAnswer(200, "1", "{}")},
		"renew":  {chat(`{"stream":true}`), sseHead + sseEvent + sseEvent},
		"tunnel": {handshake("/v1/realtime"), upgraded + "x"},
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			var log syncBuffer
			f := &faulty{in: in}
			r := startProxy(t, answering(t, c.answer, false), func(o *Options) {
				f.recorder = o.Enforcer.(*recorder)
				o.Enforcer = f
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			switch in {
			case "admit":
				r.led.decide = func(*enforce.Ask) enforce.Decision { panic("BUG: secret-prompt") }
			case "tunnel":
				f.in = "renew"
			}
			cl := r.dial(t)
			cl.send("%s", c.request)
			a := cl.receive("GET")
			switch in {
			case "admit", "settle":
				if a.StatusCode != 500 || !strings.Contains(string(a.body), "internal_error") {
					t.Errorf("answered %d %s", a.StatusCode, a.body)
				}
			case "renew":
				if a.err == nil {
					t.Error("a part was passed off as the whole")
				}
			case "tunnel":
				if _, err := cl.r.ReadByte(); err == nil {
					t.Log("a byte passed before the bug") // either is right
				}
			}
			r.led.allEnded(t)
			waitFor(t, "the bug to be counted", func() bool { return value(t, r, "pursestring_panics_total") >= 1 })
			waitFor(t, "the bug to be logged", func() bool { return strings.Contains(log.String(), "bug while serving") })
			if strings.Contains(log.String(), "secret-prompt") || strings.Contains(log.String(), testKey) {
				t.Errorf("the log quotes the request: %s", log.String())
			}
		})
	}
}
