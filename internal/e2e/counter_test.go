package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// witness stands between Pursestring and its LiteLLM, counts the calls that cost
// money, and sees when they are abandoned.
type witness struct {
	url       string
	posts     atomic.Int64
	abandoned atomic.Int64
}

func startWitness(t *testing.T, l liteLLM) *witness {
	t.Helper()
	target, err := url.Parse(l.url)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
		// Whoever left is counted below; a log line each would only be noise.
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.posts.Add(1)
		}
		// Read whole before it goes on: net/http's server takes a body away from who
		// is still reading it when the answer begins, and the call would break.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.abandoned.Add(1)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		defer func() {
			if r.Context().Err() != nil {
				w.abandoned.Add(1)
			}
		}()
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}
