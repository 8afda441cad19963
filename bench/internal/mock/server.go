package mock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pursestring/pursestring/bench/internal/mono"
)

// Server is the mock upstream. NewServer fills it; Serve and Control start it.
type Server struct {
	http  fasthttp.Server
	head  *fasthttp.ResponseHeader
	calls atomic.Int64 // calls that cost money: JSON answers and streams
	bytes atomic.Int64 // of their request bodies

	mu   sync.Mutex
	gone map[int64]int64 // stream id → mono.Now when its connection was seen closed
}

// NewServer returns a mock that serves nothing yet.
func NewServer() *Server {
	s := &Server{head: chatHead(), gone: map[int64]int64{}}
	s.http = fasthttp.Server{
		Handler:                       s.handle,
		NoDefaultServerHeader:         true,
		DisableHeaderNamesNormalizing: true,
		StreamRequestBody:             true,
		DisablePreParseMultipartForm:  true,
		MaxRequestBodySize:            1 << 40,
		ReadBufferSize:                8 << 10,
		KeepHijackedConns:             true, // stream closes them
		Logger:                        quiet{},
	}
	return s
}

// quiet drops fasthttp's log: connections that end are the benchmark's trade.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Serve answers calls on ln until it is closed.
func (s *Server) Serve(ln net.Listener) error { return s.http.Serve(ln) }

func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	start := mono.Now()
	size, err := drain(ctx.RequestBodyStream())
	if err != nil {
		ctx.SetConnectionClose() // the client left during its upload
		return
	}
	if !ctx.IsPost() {
		s.answerGet(ctx)
		return
	}
	s.calls.Add(1)
	s.bytes.Add(size)
	wish := wishOf(&ctx.Request.Header)
	if wish.Events > 0 {
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(func(c net.Conn) { s.stream(c, wish) })
		return
	}
	time.Sleep(wish.Delay)
	s.head.CopyTo(&ctx.Response.Header)
	ctx.Response.Header.Set("x-litellm-call-id", callID(s.calls.Load()))
	ctx.Response.SetBodyString(chatBody)
	ctx.Response.Header.Set(ServiceHeader, strconv.FormatInt(mono.Now()-start, 10))
}

// wishOf looks for the header in any case: some hops rewrite names.
func wishOf(h *fasthttp.RequestHeader) Wish {
	for name, value := range h.All() {
		if bytes.EqualFold(name, []byte(WishHeader)) {
			return parseWish(string(value))
		}
	}
	return Wish{}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// drain reads a request body to its end and returns its size.
func drain(body io.Reader) (int64, error) {
	if body == nil {
		return 0, nil
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var size int64
	for {
		n, err := body.Read(*buf)
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}

// callID is a UUID's shape around a number.
func callID(n int64) string {
	id := []byte("00000000-0000-4000-8000-000000000000")
	const digits = "0123456789abcdef"
	for i := len(id) - 1; n > 0 && i > 23; i-- {
		id[i] = digits[n&15]
		n >>= 4
	}
	return string(id)
}

// answerGet is LiteLLM's side of what is no call: health, the key's own look-up,
// prices.
func (s *Server) answerGet(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json")
	switch string(ctx.Path()) {
	case "/health/liveliness", "/health/liveness":
		ctx.SetBodyString(`"I'm alive!"`)
	case "/health/readiness":
		ctx.SetBodyString(`{"status":"healthy","db":"connected"}`)
	case "/key/info":
		ctx.SetBodyString(keyInfo(time.Now()))
	case "/public/litellm_model_cost_map":
		ctx.SetBodyString(costMap)
	case "/model/info", "/v1/model/info":
		ctx.SetBodyString(modelInfo)
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		ctx.SetBodyString(`{"detail":"Not Found"}`)
	}
}
