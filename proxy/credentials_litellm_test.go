package proxy

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// realLiteLLM returns the address and master key of a real LiteLLM, or false
// when none is named; under PURSESTRING_REQUIRE_LITELLM that is a failure.
func realLiteLLM(t *testing.T) (base, master string, ok bool) {
	t.Helper()
	base, master = os.Getenv("PURSESTRING_TEST_LITELLM_URL"), os.Getenv("PURSESTRING_TEST_LITELLM_KEY")
	if base != "" && master != "" {
		return strings.TrimRight(base, "/"), master, true
	}
	if os.Getenv("PURSESTRING_REQUIRE_LITELLM") == "1" {
		t.Fatal("PURSESTRING_REQUIRE_LITELLM is 1, but PURSESTRING_TEST_LITELLM_URL and PURSESTRING_TEST_LITELLM_KEY are not both set")
	}
	t.Log("PURSESTRING_TEST_LITELLM_URL and PURSESTRING_TEST_LITELLM_KEY are not set: nothing was compared with a real LiteLLM")
	return "", "", false
}

// newKey makes a virtual key that lives as long as the test.
func newKey(t *testing.T, base, master string) string {
	t.Helper()
	call := func(path, body string, into any) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+master)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d", path, res.StatusCode)
		}
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	var made struct{ Key string }
	call("/key/generate", `{}`, &made)
	t.Cleanup(func() {
		var gone any
		call("/key/delete", `{"keys":["`+made.Key+`"]}`, &gone)
	})
	return made.Key
}

// send sends a head as it is, with a body, and reports whether LiteLLM refused
// the key: 401 of its own, or 403 at a WebSocket handshake.
func send(t *testing.T, base string, h *requestHead, body string) (refused bool, status int) {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\nHost: %s\r\n", h.method, h.target, u.Host)
	for _, f := range h.fields {
		fmt.Fprintf(&out, "%s: %s\r\n", f.name, f.value)
	}
	if h.websocket {
		out.WriteString("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	} else {
		fmt.Fprintf(&out, "Connection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if h.websocket {
		return res.StatusCode == http.StatusForbidden, res.StatusCode
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	// /vertex_ai says 401 for want of a Google credential too, once the key is good.
	google := bytes.Contains(text, []byte("No Vertex AI credential"))
	return res.StatusCode == http.StatusUnauthorized && !google, res.StatusCode
}

// TestCredentialsAgreeWithLiteLLM sends one good and one bad key in every pair of
// places, each way round, on every kind of route. Whether LiteLLM says 401 tells
// which of the two it read; find must name the same.
func TestCredentialsAgreeWithLiteLLM(t *testing.T) {
	t.Parallel()
	base, master, ok := realLiteLLM(t)
	if !ok {
		return
	}
	good, bad := newKey(t, base, master), "sk-no-such-key-0123456789"
	routes := []struct{ target, body string }{
		{"/v1/chat/completions", `{"model":"canned","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`},
		{"/v1/messages", `{"model":"canned","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`},
		{"/v1beta/models/canned:generateContent", `{"contents":[{"parts":[{"text":"x"}]}]}`},
		{"/openai/v1/nothing-there", `{}`},
		{"/gemini/v1beta/nothing-there", `{}`},
		{"/vertex_ai/v1/nothing-there", `{}`},
		{"/vertex_ai/v1/models/nothing-there:generateContent", `{}`},
	}
	places := []struct {
		name string
		put  func(target, key string) (string, []string)
	}{
		{"x-litellm-api-key", header("x-litellm-api-key", "")},
		{"authorization", header("Authorization", "Bearer ")},
		{"api-key", header("API-Key", "")},
		{"x-api-key", header("x-api-key", "")},
		{"x-goog-api-key", header("x-goog-api-key", "")},
		{"ocp-apim-subscription-key", header("Ocp-Apim-Subscription-Key", "")},
		{"litellm_user_api_key", header("litellm_user_api_key", "")},
		{"query", func(target, key string) (string, []string) { return target + "?key=" + key, nil }},
	}
	var heads []exchangeOf
	for _, r := range routes {
		for i, one := range places {
			for _, other := range places[i+1:] {
				for _, keys := range [][2]string{{good, bad}, {bad, good}} {
					target, fields := one.put(r.target, keys[0])
					target, more := other.put(target, keys[1])
					heads = append(heads, exchangeOf{headOf("POST", target, append(fields, more...)...), r.body})
				}
			}
		}
	}
	compare(t, base, good, heads)
}

func header(name, scheme string) func(target, key string) (string, []string) {
	return func(target, key string) (string, []string) { return target, []string{name, scheme + key} }
}

// TestCredentialFormsAgreeWithLiteLLM compares how one key may be written.
func TestCredentialFormsAgreeWithLiteLLM(t *testing.T) {
	t.Parallel()
	base, master, ok := realLiteLLM(t)
	if !ok {
		return
	}
	good, bad := newKey(t, base, master), "sk-no-such-key-0123456789"
	const chat, body = "/v1/chat/completions", `{"model":"canned","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	var all []exchangeOf
	post := func(target, body string, fields ...string) {
		all = append(all, exchangeOf{headOf("POST", target, fields...), body})
	}
	for _, value := range []string{
		"Bearer " + good, "bearer " + good, "BEARER " + good, "Bearer  " + good, good, "Basic " + good, "Bearer", "",
		"Bearer Bearer " + good, "bearer Bearer " + good, "Bearer bearer " + good,
		"AWS4-HMAC-SHA256 Credential=Bearer " + good + "/20261124/x, SignedHeaders=host",
		"AWS4-HMAC-SHA256 Credential=" + good + ",x", "AWS4-HMAC-SHA256 x",
	} {
		post(chat, body, "Authorization", value)
		post(chat, body, "Authorization", value, "x-api-key", good)
		post(chat, body, "x-litellm-api-key", value)
		post(chat, body, "x-litellm-api-key", value, "Authorization", "Bearer "+good)
		post(chat, body, "API-Key", value)
		post("/vertex_ai/v1/nothing-there", `{}`, "x-litellm-api-key", value, "Authorization", "Bearer "+bad)
		post("/vertex_ai/v1/nothing-there", `{}`, "Authorization", value)
		post("/gemini/v1beta/nothing-there", `{}`, "x-goog-api-key", value)
		post("/mcp", `{}`, "Authorization", value)
		post("/mcp", `{}`, "x-litellm-api-key", value, "Authorization", "Bearer "+bad)
		post("/openai/v1/nothing-there", `{}`, "litellm_user_api_key", value, "Authorization", "Bearer "+good)
	}
	post("/%6fpenai/v1/nothing-there", `{}`, "Authorization", "Bearer "+good, "litellm_user_api_key", bad)
	post("/%6fpenai/v1/nothing-there", `{}`, "Authorization", "Bearer "+bad, "litellm_user_api_key", good)
	post("/langfuse/api/nothing-there", `{}`, "Authorization", basic("pk:"+good))
	post("/langfuse/api/nothing-there", `{}`, "Authorization", basic("pk:"+bad))
	post("/langfuse/api/nothing-there", `{}`, "Authorization", basic("pk:"+good+":more"))
	post("/gemini/v1beta/nothing-there?key="+strings.ReplaceAll(good, "sk-", "sk%2D"), `{}`)
	post("/gemini/v1beta/nothing-there?key=", `{}`, "x-goog-api-key", good)
	post("/gemini/v1beta/nothing-there?%6bey="+bad, `{}`, "x-goog-api-key", good)
	post("/v1beta/models/canned:generateContent?key=", `{"contents":[{"parts":[{"text":"x"}]}]}`)
	compare(t, base, good, all)
}

// TestWebSocketCredentialsAgreeWithLiteLLM compares handshakes.
func TestWebSocketCredentialsAgreeWithLiteLLM(t *testing.T) {
	t.Parallel()
	base, master, ok := realLiteLLM(t)
	if !ok {
		return
	}
	good, bad := newKey(t, base, master), "sk-no-such-key-0123456789"
	places := [][2]string{
		{"Authorization", "Bearer "}, {"Authorization", "bearer "}, {"api-key", ""}, {"x-litellm-api-key", ""}, {"x-api-key", ""},
		{"Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key."}, {"litellm_user_api_key", ""},
	}
	var all []exchangeOf
	for _, target := range []string{"/v1/realtime?model=gpt-4o-realtime-preview", "/openai/v1/realtime?model=gpt-4o-realtime-preview"} {
		for i, one := range places {
			all = append(all, exchangeOf{headOf("WS", target, one[0], one[1]+good), ""})
			for _, other := range places[i+1:] {
				if one[0] == other[0] {
					continue
				}
				all = append(all,
					exchangeOf{headOf("WS", target, one[0], one[1]+good, other[0], other[1]+bad), ""},
					exchangeOf{headOf("WS", target, one[0], one[1]+bad, other[0], other[1]+good), ""})
			}
		}
	}
	compare(t, base, good, all)
}

type exchangeOf struct {
	head *requestHead
	body string
}

// compare sends all and holds find to what LiteLLM did. /vertex_ai authenticates
// twice and refuses when either key is bad, so there the first one counts too.
func compare(t *testing.T, base, good string, all []exchangeOf) {
	t.Helper()
	rules := &credentialRules{}
	var wg sync.WaitGroup
	next := make(chan exchangeOf)
	for range 4 {
		wg.Go(func() {
			for x := range next {
				found, bad := rules.find(x.head)
				want := bad == nil && string(found.key) == good
				if path := rules.path(x.head); want && !x.head.websocket && under(path, "/vertex_ai") && !has(x.head, override.header) {
					before, _ := firstOrGoogleQuery(x.head, path, general)
					want = string(before.key) == good
				}
				refused, status := send(t, base, x.head, x.body)
				if refused == want {
					t.Errorf("%s %s %s: find reads %s, good %v; LiteLLM answered %d",
						x.head.method, pathOnly(x.head), names(x.head), found.place, want, status)
				}
			}
		})
	}
	for _, x := range all {
		next <- x
	}
	close(next)
	wg.Wait()
	t.Logf("%d requests compared", len(all))
}

func pathOnly(h *requestHead) []byte { return h.path }

func names(h *requestHead) (list []string) {
	for _, f := range h.fields {
		scheme, _, _ := bytes.Cut(f.value, []byte("sk-"))
		list = append(list, string(f.name)+": "+string(scheme)+"…")
	}
	return list
}
