package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
	"golang.org/x/sync/errgroup"
)

// place is where a request can carry a key.
type place struct {
	name string
	put  func(r *placed, key string)
}

// placed is a request in the making.
type placed struct {
	path   string
	fields []string
}

func header(name, prefix string) place {
	return place{name, func(r *placed, key string) { r.fields = append(r.fields, name+": "+prefix+key) }}
}

var places = []place{
	header("litellm_user_api_key", ""),
	header("x-litellm-api-key", ""),
	header("Authorization", "Bearer "),
	header("API-Key", ""),
	header("x-api-key", ""),
	header("x-goog-api-key", ""),
	header("Ocp-Apim-Subscription-Key", ""),
	{"?key=", func(r *placed, key string) { r.path += "?key=" + key }},
}

// payingRoutes are routes that read keys differently, each with a call that both
// sides price exactly.
var payingRoutes = []struct{ name, path, body string }{
	{"chat", "/v1/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"[[p=1200 c=300 words=1]]"}]}`},
	{"messages", "/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":500,"messages":[{"role":"user","content":"[[p=1200 c=300 words=1]]"}]}`},
	{"generateContent", "/v1beta/models/gemini-2.5-pro:generateContent", `{"contents":[{"role":"user","parts":[{"text":"[[p=1200 c=300 words=1]]"}]}]}`},
	{"/openai pass-through", "/openai/v1/responses", `{"model":"gpt-4o","input":"[[p=1200 c=300 words=1]]"}`},
	{"/gemini pass-through", "/gemini/v1beta/models/gemini-2.5-pro:generateContent", `{"contents":[{"role":"user","parts":[{"text":"[[p=1200 c=300 words=1]]"}]}]}`},
}

// contest is one call with two different keys in two places.
type contest struct {
	name    string
	request []byte
	keys    [2]string
	tenants [2]string
	status  string
	err     error
}

// TestWhoPays: with two different keys in every pair of places, on every kind of
// route, the tenant that Pursestring charges is the one whose key LiteLLM charges.
func TestWhoPays(t *testing.T) {
	t.Parallel()
	l := upstreams(t)
	sc := startSidecar(t, l, sidecarSettings{})
	contests := makeContests(t, l)
	// Whose key it is is known beforehand: this is about which key is read, and 280
	// first calls at once would wait for their look-ups.
	for _, c := range contests {
		for i, key := range c.keys {
			sc.call(t, http.MethodPut, "/admin/tenants/"+c.tenants[i], map[string]any{}, nil)
			sc.call(t, http.MethodPost, "/admin/tenants/"+c.tenants[i]+"/keys", map[string]any{"key": key}, nil)
		}
	}

	var group errgroup.Group
	group.SetLimit(4)
	for _, c := range contests {
		group.Go(func() error {
			var a wireAnswer
			a, c.err = sendRaw(t.Context(), hostOf(sc.url), c.request)
			c.status = a.status
			return nil
		})
	}
	_ = group.Wait() // errors are kept in the contests

	var keys []string
	for _, c := range contests {
		keys = append(keys, c.keys[:]...)
	}
	var theirs map[string]budget.Money
	eventually(t, 45*time.Second, "LiteLLM writes its spend", func() (string, bool) {
		theirs = l.spends(t, keys)
		behind := 0
		for _, c := range contests {
			if served(c) && theirs[c.keys[0]] == 0 && theirs[c.keys[1]] == 0 {
				behind++
			}
		}
		return fmt.Sprintf("%d calls that nobody has paid", behind), behind == 0
	})
	ours := map[string]budget.Money{} // by key
	for _, c := range contests {
		for i, key := range c.keys {
			ours[key] = sc.settled(t, c.tenants[i], 0)
		}
	}
	paid := 0
	for _, c := range contests {
		t.Run(c.name, func(t *testing.T) {
			if c.err != nil {
				t.Fatal(c.err)
			}
			for i, key := range c.keys {
				equalMoney(t, fmt.Sprintf("%s: what the key in place %d has paid, by us and by LiteLLM", c.status, i+1), ours[key], theirs[key], 1)
				if theirs[key] > 0 {
					paid++
				}
			}
		})
	}
	// Every pair that holds a place which the route reads must have been served.
	if paid < len(contests)/2 {
		t.Errorf("of %d calls only %d were paid: the test proves little", len(contests), paid)
	}
}

func served(c *contest) bool { return strings.HasPrefix(c.status, "HTTP/1.1 200 ") }

func makeContests(t *testing.T, l liteLLM) []*contest {
	t.Helper()
	var contests []*contest
	for _, route := range payingRoutes {
		for i := range places {
			for j := range places[:i] {
				c := &contest{name: fmt.Sprintf("%s, %s and %s", route.name, places[j].name, places[i].name)}
				r := placed{path: route.path}
				for side, p := range []place{places[j], places[i]} {
					c.tenants[side] = unique("contest")
					c.keys[side] = l.tenantKey(t, c.tenants[side])
					p.put(&r, c.keys[side])
				}
				r.fields = append(r.fields, "Content-Type: application/json")
				c.request = rawRequest("litellm.test", http.MethodPost+" "+r.path+" HTTP/1.1", r.fields, []byte(route.body))
				contests = append(contests, c)
			}
		}
	}
	return contests
}
