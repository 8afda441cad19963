package mock

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T) (*Server, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	s := NewServer()
	go func() { _ = s.Serve(ln) }()
	return s, "http://" + ln.Addr().String()
}

// head is an answer's head; its body has been read.
type head struct {
	StatusCode int
	Header     http.Header
}

func call(t *testing.T, method, url string, wish Wish) (head, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(`{"model":"fake"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(WishHeader, wish.String())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return head{resp.StatusCode, resp.Header}, body
}

func TestWishSurvivesTheHeader(t *testing.T) {
	t.Parallel()
	for _, w := range []Wish{
		{},
		{Delay: 60 * time.Millisecond},
		{Events: 40, Interval: 250 * time.Millisecond},
		{Delay: 1, Events: 1, Interval: 2, Hold: true, ID: 99},
	} {
		if got := parseWish(w.String()); got != w {
			t.Errorf("%+v came back as %+v from %q", w, got, w.String())
		}
	}
	if got := parseWish("delay=soon frequency=3"); got != (Wish{}) {
		t.Errorf("nonsense became %+v", got)
	}
}

func TestChatAnswerIsLiteLLMs(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	resp, body := call(t, http.MethodPost, url+"/v1/chat/completions", Wish{Delay: 5 * time.Millisecond})
	if resp.StatusCode != 200 || resp.Header.Get("content-type") != "application/json" {
		t.Errorf("status %d, content type %q", resp.StatusCode, resp.Header.Get("content-type"))
	}
	var answer struct {
		Usage struct {
			TotalTokens int `json:"total_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Usage.TotalTokens != 1500 {
		t.Errorf("usage %+v, %v", answer, err)
	}
	if n := len(body); n < 600 || n > 750 {
		t.Errorf("body of %d bytes, want about 670", n)
	}
	if got := resp.Header.Get("x-litellm-response-cost"); got != CallCost {
		t.Errorf("cost %q", got)
	}
	if n := len(resp.Header); n < 40 {
		t.Errorf("%d headers, want the forty that LiteLLM sends", n)
	}
	if ns, err := strconv.ParseInt(resp.Header.Get(ServiceHeader), 10, 64); err != nil || ns < int64(5*time.Millisecond) {
		t.Errorf("service time %d ns, %v; want at least the delay", ns, err)
	}
	if r := s.Report(); r.Calls != 1 || r.Bytes != int64(len(`{"model":"fake"}`)) {
		t.Errorf("report %+v", r)
	}
}

func TestStreamEndsWithUsageAndDone(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	resp, body := call(t, http.MethodPost, url+"/v1/chat/completions", Wish{Events: 3, Interval: time.Millisecond})
	if got := resp.Header.Get("content-type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Errorf("content type %q", got)
	}
	if resp.Header.Get("x-litellm-response-cost") != "" {
		t.Error("a stream's head has a cost")
	}
	if n := bytes.Count(body, []byte(EventMark)); n != 3 {
		t.Errorf("%d stamped events, want 3", n)
	}
	for line := range bytes.Lines(body) {
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if ok && string(data) != "[DONE]" && !json.Valid(data) {
			t.Errorf("not JSON: %s", data)
		}
	}
	if !bytes.HasSuffix(body, []byte(streamUsage+streamDone)) {
		t.Errorf("ends with %q", body[max(0, len(body)-60):])
	}
}

func TestKeyInfoIsABudgetToInherit(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	_, body := call(t, http.MethodGet, url+"/key/info", Wish{})
	var answer struct {
		Info struct {
			MaxBudget float64   `json:"max_budget"`
			Duration  string    `json:"budget_duration"`
			ResetAt   time.Time `json:"budget_reset_at"`
		} `json:"info"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Info.MaxBudget != BudgetUSD || answer.Info.Duration != "30d" || !answer.Info.ResetAt.After(time.Now()) {
		t.Errorf("%+v", answer.Info)
	}
	for _, path := range []string{"/public/litellm_model_cost_map", "/model/info", "/health/readiness"} {
		if resp, body := call(t, http.MethodGet, url+path, Wish{}); resp.StatusCode != 200 || !json.Valid(body) {
			t.Errorf("%s: status %d, %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := call(t, http.MethodGet, url+"/nowhere", Wish{}); resp.StatusCode != 404 {
		t.Errorf("unknown path: status %d", resp.StatusCode)
	}
}

func TestControlReportsTheFirstSighting(t *testing.T) {
	t.Parallel()
	s := NewServer()
	control := httptest.NewServer(s)
	defer control.Close()
	s.note(7, 100)
	s.note(7, 200)
	report, err := FetchReport(t.Context(), strings.TrimPrefix(control.URL, "http://"))
	if err != nil || len(report.Gone) != 1 || report.Gone[7] != 100 {
		t.Errorf("report %+v, %v; want the first sighting", report, err)
	}
}
