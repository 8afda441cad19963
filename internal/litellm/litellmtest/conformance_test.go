package litellmtest_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
	"github.com/pursestring/pursestring/internal/litellm/litellmtest"
)

// target is a LiteLLM that the conformance checks run over. Both have the models
// of DefaultModels.
type target struct {
	url, master string
	client      *litellm.Client
	http        *http.Client
	lag         time.Duration // how long recorded spend may take to show
}

// TestConformance runs one body of checks over the fake and, where its address is
// given, over a real LiteLLM. With PURSESTRING_REQUIRE_LITELLM=1 the real one
// must be there.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		s, err := litellmtest.Start(litellmtest.Options{SpendLag: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		conformance(t, newTarget(s.URL(), s.MasterKey(), 5*time.Second))
	})
	url, key := os.Getenv("PURSESTRING_TEST_LITELLM_URL"), os.Getenv("PURSESTRING_TEST_LITELLM_KEY")
	switch {
	case url != "" && key != "":
		t.Run("real", func(t *testing.T) {
			t.Parallel()
			conformance(t, newTarget(url, key, 90*time.Second))
		})
	case os.Getenv("PURSESTRING_REQUIRE_LITELLM") == "1":
		t.Fatal("PURSESTRING_REQUIRE_LITELLM=1, but PURSESTRING_TEST_LITELLM_URL and PURSESTRING_TEST_LITELLM_KEY are not both set")
	default:
		t.Log("only the fake was checked: PURSESTRING_TEST_LITELLM_URL and PURSESTRING_TEST_LITELLM_KEY are not set")
	}
}

func newTarget(url, master string, lag time.Duration) *target {
	return &target{
		url: strings.TrimRight(url, "/"), master: master, lag: lag,
		client: litellm.New(litellm.Options{BaseURL: url, MasterKey: master, Timeout: 30 * time.Second}),
		http:   &http.Client{Timeout: 60 * time.Second},
	}
}

func conformance(t *testing.T, g *target) {
	for name, check := range map[string]func(*testing.T, *target){
		"keys":           keysConform,
		"key list":       keyListConforms,
		"key update":     keyUpdateConforms,
		"owners":         ownersConform,
		"prices":         pricesConform,
		"health":         healthConforms,
		"answers":        answersConform,
		"streams":        streamsConform,
		"client errors":  clientErrorsConform,
		"upstream error": upstreamErrorsConform,
		"over budget":    overBudgetConforms,
		"owners over":    ownersOverBudgetConform,
		"spend later":    spendLaterConforms,
		"hidden calls":   hiddenCallsConform,
		"realtime":       realtimeConforms,
		"pass-through":   passThroughConforms,
		"credentials":    credentialsConform,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, g)
		})
	}
}

func random() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// head is what a check needs of an answer beside its body.
type head struct {
	StatusCode int
	Header     http.Header
}

// post sends JSON with a credential.
func (g *target) post(t *testing.T, credential, path, body string) (head, []byte) {
	t.Helper()
	return g.send(t, http.MethodPost, credential, path, body)
}

// send sends JSON with a credential. On a real LiteLLM that others use too, a
// deployment can be in cooldown for seconds: then it sends again.
func (g *target) send(t *testing.T, method, credential, path, body string) (head, []byte) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		h, raw := g.sendOnce(t, method, credential, path, body)
		if h.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(raw), "cooldown") || time.Now().After(deadline) {
			return h, raw
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-t.Context().Done():
			return h, raw
		}
	}
}

func (g *target) sendOnce(t *testing.T, method, credential, path, body string) (head, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, g.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return head{resp.StatusCode, resp.Header}, raw
}

// key makes a key of one's own, with more members of the body, and deletes it at
// the end.
func (g *target) key(t *testing.T, more string) string {
	t.Helper()
	credential := "sk-test-" + random()
	resp, raw := g.post(t, g.master, "/key/generate", `{"key":"`+credential+`"`+more+`}`)
	var a struct {
		Key   string `json:"key"`
		Token string `json:"token_id"`
	}
	if err := json.Unmarshal(raw, &a); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("generate: %d %s", resp.StatusCode, raw)
	}
	if want := budget.HashKey([]byte(credential)).String(); a.Key != credential || a.Token != want {
		t.Fatalf("generate answered key %q, token %q; want token %q", a.Key, a.Token, want)
	}
	t.Cleanup(func() { g.post(t, g.master, "/key/delete", `{"keys":["`+a.Token+`"]}`) })
	return credential
}
