package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// liteLLM is the LiteLLM under a test: a real one or the fake.
type liteLLM struct {
	url    string // http://host:port
	master string
	real   bool
}

// upstreams returns what a test runs over: the real LiteLLM where the environment
// names one, else the fake.
func upstreams(t *testing.T) liteLLM {
	t.Helper()
	base, key := os.Getenv("PURSESTRING_TEST_LITELLM_URL"), os.Getenv("PURSESTRING_TEST_LITELLM_KEY")
	switch {
	case base != "" && key != "":
		return liteLLM{url: strings.TrimRight(base, "/"), master: key, real: true}
	case os.Getenv("PURSESTRING_REQUIRE_LITELLM") == "1":
		t.Fatal("PURSESTRING_REQUIRE_LITELLM is 1, but PURSESTRING_TEST_LITELLM_URL and PURSESTRING_TEST_LITELLM_KEY name no LiteLLM; see docs/litellm-testing.md")
	}
	t.Log("over the fake LiteLLM: PURSESTRING_TEST_LITELLM_URL and PURSESTRING_TEST_LITELLM_KEY are not set")
	return startFake(t)
}

// admin calls LiteLLM's own API as its master key holder and decodes the answer.
func (l liteLLM) admin(t *testing.T, method, path string, body, into any) {
	t.Helper()
	answer, status := call(t, method, l.url+path, l.master, body)
	if status != http.StatusOK {
		t.Fatalf("LiteLLM %s %s: status %d: %s", method, path, status, answer)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("LiteLLM %s %s: %v in %s", method, path, err, answer)
	}
}

// key makes a virtual key with the given fields of /key/generate; a nil map makes
// a plain one.
func (l liteLLM) key(t *testing.T, fields map[string]any) string {
	t.Helper()
	if fields == nil {
		fields = map[string]any{}
	}
	var made struct {
		Key string `json:"key"`
	}
	l.admin(t, http.MethodPost, "/key/generate", fields, &made)
	if made.Key == "" {
		t.Fatal("LiteLLM /key/generate answered without a key")
	}
	return made.Key
}

// tenantKey makes a virtual key whose metadata names the tenant.
func (l liteLLM) tenantKey(t *testing.T, tenant string) string {
	t.Helper()
	return l.key(t, map[string]any{"metadata": map[string]any{"tenant_id": tenant}})
}

// spends returns what LiteLLM's database says each key has spent. The list begins
// with the newest keys, so the first pages have them all.
func (l liteLLM) spends(t *testing.T, keys []string) map[string]budget.Money {
	t.Helper()
	missing := make(map[string]string, len(keys)) // hash → key
	for _, key := range keys {
		missing[hashOf(key)] = key
	}
	spends := make(map[string]budget.Money, len(keys))
	for page := 1; len(missing) > 0; page++ {
		var list struct {
			Keys []struct {
				Token string       `json:"token"`
				Spend budget.Money `json:"spend"`
			} `json:"keys"`
			Pages int `json:"total_pages"`
		}
		l.admin(t, http.MethodGet, fmt.Sprintf("/key/list?return_full_object=true&size=100&page=%d", page), nil, &list)
		for _, k := range list.Keys {
			if key, ok := missing[k.Token]; ok {
				spends[key] = k.Spend
				delete(missing, k.Token)
			}
		}
		if page >= list.Pages {
			break
		}
	}
	// Pages shift while other tests make keys, so a few can be passed over.
	for hash, key := range missing {
		var one struct {
			Info struct {
				Spend budget.Money `json:"spend"`
			} `json:"info"`
		}
		l.admin(t, http.MethodGet, "/key/info?key="+hash, nil, &one)
		spends[key] = one.Info.Spend
	}
	return spends
}

// hashOf is LiteLLM's token hash of a key.
func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// unique returns a name that no earlier run has used: the real LiteLLM's database
// outlives a test.
func unique(prefix string) string {
	return prefix + "-" + strings.ToLower(rand.Text()[:10])
}

// call sends one request with a bearer token and returns the whole answer. body is
// encoded as JSON; nil sends none.
func call(t *testing.T, method, target, token string, body any) ([]byte, int) {
	t.Helper()
	var payload io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatalf("encode the body of %s %s: %v", method, target, err)
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, payload)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", method, target, err)
	}
	return answer, resp.StatusCode
}

// eventually polls until done reports true. Each try returns what it has seen, for
// the message of a failure.
func eventually(t *testing.T, within time.Duration, what string, try func() (seen string, done bool)) {
	t.Helper()
	deadline := time.Now().Add(within)
	pause := 20 * time.Millisecond
	for {
		seen, done := try()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s; last seen: %s", what, within, seen)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: the test ended first; last seen: %s", what, seen)
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

// usd formats amounts to the nano-dollar, which Money.String does not.
func usd(m budget.Money) string { return fmt.Sprintf("$%s", m.AppendDecimal(nil)) }
