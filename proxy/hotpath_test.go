package proxy

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"testing"

	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// still is an Enforcer that does nothing, so that only the proxy is measured.
type still struct{ status enforce.Status }

func (s *still) Admit(context.Context, *enforce.Ask) enforce.Decision {
	return enforce.Decision{Verdict: budget.Allow, Mode: budget.Enforce, Status: s.status}
}
func (s *still) Settle(*enforce.Decision, enforce.Settlement) {}
func (s *still) Release(*enforce.Decision)                    {}
func (s *still) Renew(*enforce.Decision)                      {}
func (s *still) StatusOf(context.Context, budget.KeyHash) (enforce.Status, bool) {
	return s.status, true
}
func (s *still) UpstreamRefused(context.Context, *enforce.Ask, *enforce.Decision, budget.UpstreamRefusal) budget.Reason {
	return ""
}

const smallAnswer = "HTTP/1.1 200 OK\r\ndate: Tue, 24 Nov 2026 14:11:00 GMT\r\nserver: uvicorn\r\ncontent-length: 118\r\ncontent-type: application/json\r\n" +
	"x-litellm-call-id: 00000000-0000-4000-8000-000000000000\r\nx-litellm-model-id: abcdef\r\nx-litellm-version: 1.106.12\r\n" +
	"x-litellm-response-cost: 0.000214\r\nx-litellm-key-spend: 1.25\r\nx-litellm-response-duration-ms: 12.3\r\n\r\n" +
	`{"id":"chatcmpl-1","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":1,"n":1}}` + "\r\n"

// exchangeSmall returns a function that makes one small JSON call through a
// proxy, allocating nothing itself.
func exchangeSmall(t testing.TB, path string) func() {
	answer := []byte(smallAnswer)
	request := []byte(chat(`{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}],"max_tokens":10}`))
	request = bytes.Replace(request, []byte("/v1/chat/completions"), []byte(path), 1)
	upstream := rawUpstream(t, func(c net.Conn, _ *bufio.Reader) {
		buf := make([]byte, 64<<10)
		for n := 0; ; {
			got, err := c.Read(buf[n:])
			if err != nil {
				return
			}
			if n += got; !bytes.HasSuffix(buf[:n], []byte("}")) {
				continue
			}
			n = 0
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	s := &still{status: newRecorder().status}
	r := startProxy(t, upstream, func(o *Options) { o.Enforcer = s })
	c := r.dial(t)
	buf := make([]byte, 64<<10)
	return func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		for n := 0; !bytes.HasSuffix(buf[:n], []byte("}\r\n")); {
			got, err := c.Read(buf[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += got
		}
	}
}

func BenchmarkSmallJSON(b *testing.B) {
	for name, path := range smallRoutes {
		b.Run(name, func(b *testing.B) {
			call := exchangeSmall(b, path)
			call()
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}

var smallRoutes = map[string]string{"admitted": "/v1/chat/completions", "free": "/key/info"}

// What one small JSON call may allocate in the whole process, both ends of both
// connections included. Measured: 1 for the transport, which is fasthttp's, and
// 13 more for reading the body's plan and cost.
var mostAllocs = map[string]float64{"admitted": 16, "free": 2}

// It is not parallel: AllocsPerRun counts the whole process.
func TestSmallJSONAllocates(t *testing.T) {
	for name, path := range smallRoutes {
		call := exchangeSmall(t, path)
		for range 100 {
			call()
		}
		most := mostAllocs[name]
		if raceBuild {
			most += 20 // the race detector makes pools forget at random
		}
		if n := testing.AllocsPerRun(500, call); n > most {
			t.Errorf("a small %s JSON call allocates %v times, want at most %v", name, n, most)
		} else {
			t.Logf("a small %s JSON call allocates %v times", name, n)
		}
	}
}
