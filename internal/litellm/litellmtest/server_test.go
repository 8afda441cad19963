package litellmtest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
	"github.com/pursestring/pursestring/internal/litellm/litellmtest"
)

func start(t *testing.T, o litellmtest.Options) (*litellmtest.Server, *target) {
	t.Helper()
	s, err := litellmtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, newTarget(s.URL(), s.MasterKey(), 0)
}

func addKey(t *testing.T, s *litellmtest.Server, k litellmtest.Key) string {
	t.Helper()
	credential, err := s.AddKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

const (
	bodyOf42   = `{"model":"fake","max_tokens":300,"messages":[{"role":"user","content":"[[p=1200 c=300]] x"}]}`
	streamOf   = `{"model":"fake","stream":true,"messages":[{"role":"user","content":"[[%s]] x"}]}`
	cost42     = 42 * budget.Dollar / 1000
	eventually = 10 * time.Second
)

// until polls a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(eventually)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, eventually)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
			return
		}
	}
}

func TestBudgetRefusalInEveryStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 422, 429} {
		s, g := start(t, litellmtest.Options{BudgetStatus: status})
		limit := budget.Dollar / 1000
		k := addKey(t, s, litellmtest.Key{MaxBudget: &limit, Spend: limit})
		resp, raw := g.post(t, k, "/v1/chat/completions", bodyOf42)
		if r, ok := litellm.ParseRefusal(resp.StatusCode, raw); resp.StatusCode != status || !ok || r.Subject != "key" {
			t.Errorf("%d: %d %s", status, resp.StatusCode, raw)
		}
		if b := s.Bill(k); b.Calls != 0 || s.UpstreamCalls() != 0 {
			t.Errorf("%d: a refused call reached the provider: %+v", status, b)
		}
	}
}

func TestBillAndCounters(t *testing.T) {
	t.Parallel()
	s, g := start(t, litellmtest.Options{SpendLag: time.Hour})
	k := addKey(t, s, litellmtest.Key{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { g.post(t, k, "/v1/chat/completions", bodyOf42) })
	}
	wg.Wait()
	if b := s.Bill(k); b.Calls != 20 || b.Booked != 20*cost42 || b.Real != 20*cost42 {
		t.Errorf("bill %+v", b)
	}
	if s.Calls("/v1/chat/completions") != 20 || s.UpstreamCalls() != 20 || s.AllCalls() != 20 {
		t.Errorf("counted %d, %d, %d", s.Calls("/v1/chat/completions"), s.UpstreamCalls(), s.AllCalls())
	}
	if f, err := g.client.KeyInfo(t.Context(), k); err != nil || f.Limits.Spend != 0 || s.KeyInfoCalls() != 1 {
		t.Errorf("the database is ahead of its lag: %+v, %v, %d look-ups", f.Limits, err, s.KeyInfoCalls())
	}
	g.post(t, k, "/v1/chat/completions", strings.Replace(bodyOf42, `"model"`, `"no-log":true,"model"`, 1))
	if b := s.Bill(k); b.Booked != 20*cost42 || b.Real != 21*cost42 {
		t.Errorf("a hidden call: %+v", b)
	}
}

func TestReservation(t *testing.T) {
	t.Parallel()
	s, g := start(t, litellmtest.Options{Reserve: true})
	limit := budget.Dollar
	k := addKey(t, s, litellmtest.Key{MaxBudget: &limit})
	// Without max_tokens a call reserves 16384 tokens of output, $1.64: all there is.
	slow := make(chan int, 1)
	go func() {
		resp, _ := g.post(t, k, "/v1/chat/completions", `{"model":"fake","messages":[{"role":"user","content":"[[p=12 c=3 slow=0.5]] x"}]}`)
		slow <- resp.StatusCode
	}()
	until(t, "the slow call is with the provider", func() bool { return s.UpstreamCalls() == 1 })
	resp, raw := g.post(t, k, "/v1/chat/completions", bodyOf42)
	if r, ok := litellm.ParseRefusal(resp.StatusCode, raw); !ok || r.Subject != "key" {
		t.Errorf("beside a reservation: %d %s", resp.StatusCode, raw)
	}
	if status := <-slow; status != 200 {
		t.Errorf("the slow call: %d", status)
	}
	until(t, "the reservation is given back", func() bool {
		resp, _ := g.post(t, k, "/v1/chat/completions", bodyOf42)
		return resp.StatusCode == 200
	})
}

func TestCacheHit(t *testing.T) {
	t.Parallel()
	s, g := start(t, litellmtest.Options{Cache: true})
	k := addKey(t, s, litellmtest.Key{})
	g.post(t, k, "/v1/chat/completions", bodyOf42)
	resp, _ := g.post(t, k, "/v1/chat/completions", bodyOf42)
	sameCost(t, resp.Header, "0.042")
	if resp.Header.Get("x-litellm-cache-key") == "" || s.UpstreamCalls() != 1 || s.Bill(k).Booked != cost42 {
		t.Errorf("cache key %q, %d calls, %+v", resp.Header.Get("x-litellm-cache-key"), s.UpstreamCalls(), s.Bill(k))
	}
}

func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	s, g := start(t, litellmtest.Options{})
	leave := func(credential, body string, after int) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/v1/chat/completions", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+credential)
		if after == 0 {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for range 2 * after { // an event and an empty line
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	streaming := addKey(t, s, litellmtest.Key{})
	leave(streaming, fmt.Sprintf(streamOf, "p=1200 c=300 words=1000 ev=0.01"), 3)
	until(t, "the stream is billed in part", func() bool { return s.Bill(streaming).Booked > 0 })
	if b := s.Bill(streaming); b.Booked >= cost42/10 || b.Real < 12*budget.Dollar/1000 || b.Real > cost42 {
		t.Errorf("left in the stream: %+v", b)
	}
	waiting := addKey(t, s, litellmtest.Key{})
	leave(waiting, strings.Replace(bodyOf42, "]]", " slow=0.2]]", 1), 0)
	until(t, "a call that was left before its answer is billed whole", func() bool { return s.Bill(waiting).Booked == cost42 })
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s, g := start(t, litellmtest.Options{})
	k := addKey(t, s, litellmtest.Key{})
	try := func(body string) (int, []byte, error) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/v1/chat/completions", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+k)
		resp, err := (&http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return 0, nil, err
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		return resp.StatusCode, raw, err
	}
	s.Fail(litellmtest.Fault{Kind: litellmtest.Down, Times: 1})
	if status, raw, err := try(bodyOf42); status != 503 || err != nil || !bytes.Contains(raw, []byte("no_db_connection")) {
		t.Errorf("down: %d %s %v", status, raw, err)
	}
	if status, _, err := try(bodyOf42); status != 200 || err != nil {
		t.Errorf("after one time: %d %v", status, err)
	}
	s.Fail(litellmtest.Fault{Kind: litellmtest.Down, Path: "/key/"})
	if status, _, err := try(bodyOf42); status != 200 || err != nil {
		t.Errorf("a fault on another path: %d %v", status, err)
	}
	if _, err := g.client.KeyInfo(t.Context(), k); !errors.Is(err, litellm.ErrUnavailable) {
		t.Errorf("a fault on this path: %v", err)
	}
	s.Heal()
	for name, f := range map[string]litellmtest.Fault{
		"hang": {Kind: litellmtest.Hang}, "garbage": {Kind: litellmtest.Garbage}, "close": {Kind: litellmtest.CloseEarly},
		"slow": {Kind: litellmtest.Slow, Delay: time.Hour},
	} {
		s.Fail(f)
		before := s.UpstreamCalls()
		if status, _, err := try(bodyOf42); err == nil || s.UpstreamCalls() != before {
			t.Errorf("%s: %d, no error; %d calls reached the provider", name, status, s.UpstreamCalls()-before)
		}
		s.Heal()
	}
	s.Fail(litellmtest.Fault{Kind: litellmtest.CutStream, Events: 3, Times: 1})
	status, raw, err := try(fmt.Sprintf(streamOf, "p=1200 c=300 words=12"))
	if status != 200 || err == nil || len(events(raw)) != 3 {
		t.Errorf("cut: %d, %v, %d events", status, err, len(events(raw)))
	}
}

// Only an idle connection that has answered is closed, after 5 s.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	_, g := start(t, litellmtest.Options{})
	address := strings.TrimPrefix(g.url, "http://")
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	used, fresh := dial(), dial()
	fmt.Fprintf(used, "GET /health/liveliness HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(used)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	began := time.Now()
	_ = used.SetReadDeadline(began.Add(20 * time.Second))
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Fatalf("idle connection: %v", err)
	}
	if after := time.Since(began); after < 4500*time.Millisecond || after > 10*time.Second {
		t.Errorf("closed after %v, want 5 s", after)
	}
	_ = fresh.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := fresh.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		t.Error("a connection without a request was closed too")
	}
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []litellm.Webhook
	status := http.StatusInternalServerError
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		event, err := litellm.ParseWebhook(raw)
		mu.Lock()
		defer mu.Unlock()
		if err != nil || r.Header.Get("User-Agent") != "litellm/1.106.12" {
			t.Errorf("%v, %v: %s", err, r.Header, raw)
		}
		got = append(got, event)
		w.WriteHeader(status)
	}))
	t.Cleanup(receiver.Close)
	seen := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= n }
	}
	s, g := start(t, litellmtest.Options{WebhookURL: receiver.URL})
	limit := 48 * budget.Dollar / 1000
	k := addKey(t, s, litellmtest.Key{Alias: "a", MaxBudget: &limit})
	for range 2 {
		g.post(t, k, "/v1/chat/completions", bodyOf42) // the second is admitted at 87 %
	}
	until(t, "threshold_crossed", seen(1))
	resp, _ := g.post(t, k, "/v1/chat/completions", bodyOf42)
	until(t, "budget_crossed", seen(2))
	mu.Lock()
	if resp.StatusCode != 422 || got[0].Event != "threshold_crossed" || got[1].Event != "budget_crossed" || *got[1].KeyHash != budget.HashKey([]byte(k)) || *got[1].MaxBudget != limit {
		t.Errorf("%d: %+v", resp.StatusCode, got)
	}
	// The receiver failed, so each refusal sends again; once it has worked, no more.
	status = http.StatusOK
	mu.Unlock()
	until(t, "sent again", func() bool {
		g.post(t, k, "/v1/chat/completions", bodyOf42)
		return seen(3)()
	})
	mu.Lock()
	n := len(got)
	mu.Unlock()
	for range 5 {
		g.post(t, k, "/v1/chat/completions", bodyOf42)
	}
	if resp, raw := g.send(t, http.MethodGet, g.master, "/health/services?service=webhook", ""); resp.StatusCode != 200 || string(raw) != "null" {
		t.Errorf("test: %d %s", resp.StatusCode, raw)
	}
	until(t, "the test event", seen(n+1))
	mu.Lock()
	defer mu.Unlock()
	if last := got[len(got)-1]; !last.Test || len(got) > n+2 {
		t.Errorf("%d events before, %d after, the last %+v", n, len(got), last)
	}
}

func TestRealtimeSession(t *testing.T) {
	t.Parallel()
	s, g := start(t, litellmtest.Options{})
	k := addKey(t, s, litellmtest.Key{})
	conn, resp, err := websocket.Dial(t.Context(), strings.Replace(g.url, "http", "ws", 1)+"/v1/realtime?model=gpt-4o-realtime-preview",
		&websocket.DialOptions{Subprotocols: []string{"realtime", "openai-insecure-api-key." + k}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	defer conn.CloseNow()
	for _, turn := range []struct{ in, out string }{
		{"hello", "hello"},
		{`{"type":"response.create","prompt":"[[p=100 c=50]]"}`, `"input_tokens":100,"output_tokens":50`},
	} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(turn.in)); err != nil {
			t.Fatal(err)
		}
		_, out, err := conn.Read(t.Context())
		if err != nil || !strings.Contains(string(out), turn.out) {
			t.Errorf("%s: %s, %v", turn.in, out, err)
		}
	}
	if b := s.Bill(k); b.Booked != 15*budget.Dollar/10000 {
		t.Errorf("bill %+v", b)
	}
	limit := budget.Dollar
	over := addKey(t, s, litellmtest.Key{MaxBudget: &limit, Spend: limit})
	_, resp, err = websocket.Dial(t.Context(), strings.Replace(g.url, "http", "ws", 1)+"/v1/realtime?model=gpt-4o-realtime-preview",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + over}}})
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("over budget: %v", err)
	}
}

func TestOnlyLoopback(t *testing.T) {
	t.Parallel()
	if s, err := litellmtest.Start(litellmtest.Options{Addr: "0.0.0.0:0"}); err == nil {
		_ = s.Close()
		t.Error("it listens on all addresses")
	}
}
