// Package hop has the two proxies that Pursestring is measured against: the
// least that a Go proxy can do with fasthttp, and net/http's own.
//
// Neither decides anything, counts anything or keeps anything from a caller:
// they are yardsticks, not rivals.
package hop

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

// maxConns is above what any scenario opens.
const maxConns = 1 << 16

// ServeFast is the bare fasthttp hop: the plain recipe, a streaming HostClient
// that is handed the server's own request and response. It serves until ln is
// closed.
func ServeFast(ln net.Listener, upstream string) error {
	client := &fasthttp.HostClient{
		Addr:                          upstream,
		MaxConns:                      maxConns,
		StreamResponseBody:            true,
		MaxIdemponentCallAttempts:     1,
		ConnPoolStrategy:              fasthttp.LIFO,
		NoDefaultUserAgentHeader:      true,
		DisableHeaderNamesNormalizing: true,
		DisablePathNormalizing:        true,
	}
	server := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
				ctx.Error("upstream: "+err.Error(), fasthttp.StatusBadGateway)
			}
		},
		NoDefaultServerHeader:         true,
		NoDefaultDate:                 true,
		NoDefaultContentType:          true,
		DisableHeaderNamesNormalizing: true,
		StreamRequestBody:             true,
		DisablePreParseMultipartForm:  true,
		MaxRequestBodySize:            1 << 40,
		Logger:                        log.New(io.Discard, "", 0),
	}
	return server.Serve(ln)
}

// ServeStd is net/http's ReverseProxy with a connection pool that is large
// enough; otherwise as it comes. It serves until ln is closed.
func ServeStd(ln net.Listener, upstream string) error {
	target := &url.URL{Scheme: "http", Host: upstream}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			MaxIdleConns:        maxConns,
			MaxIdleConnsPerHost: maxConns,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without it the server closes the request's body when the answer begins,
		// and where the transport has not yet seen that body's end, it takes this
		// for a failed write and cuts the answer off: one stream in a hundred.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	server := &http.Server{Handler: handler, ErrorLog: proxy.ErrorLog, ReadHeaderTimeout: 15 * time.Second}
	return server.Serve(ln)
}
