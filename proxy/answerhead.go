package proxy

import (
	"bytes"
	"slices"

	"github.com/valyala/fasthttp"
)

// answerFacts is what counts in an answer's head.
type answerFacts struct {
	answerHead
	json    bool
	streams bool // events, as opposed to a document that comes in chunks
}

// read takes an upstream's head: it notes what counts and removes what was meant
// for the hop to us.
func (f *answerFacts) read(h *fasthttp.ResponseHeader) {
	*f = answerFacts{answerHead: answerHead{
		status: h.StatusCode(), contentType: h.ContentType(), contentEncoding: h.ContentEncoding(),
	}}
	media, _, _ := bytes.Cut(f.contentType, []byte(";"))
	media = trimBlanks(media)
	f.json = equalFold(media, "application/json")
	f.streams = equalFold(media, "text/event-stream") || equalFold(media, "application/vnd.amazon.eventstream") ||
		equalFold(media, "application/x-ndjson")
	var drop hopNames
	for name, value := range h.All() {
		f.see(name, value, &drop)
	}
	drop.remove(h)
	h.ResetConnectionClose()
	h.SetProtocol(nil) // HTTP/1.1, whatever the upstream speaks
}

func (f *answerFacts) see(name, value []byte, drop *hopNames) {
	switch len(name) {
	case 2:
		drop.addIf(equalFold(name, "te"), name)
	case 7:
		drop.addIf(equalFold(name, "upgrade") || equalFold(name, "trailer"), name)
	case 10:
		if equalFold(name, "connection") {
			drop.addIf(true, name)
			drop.addTokens(value)
			return
		}
		drop.addIf(equalFold(name, "keep-alive"), name)
	case 16:
		drop.addIf(equalFold(name, "proxy-connection"), name)
	case 19:
		f.cacheKey = f.cacheKey || equalFold(name, "x-litellm-cache-key")
	case 23:
		if f.cost == nil && equalFold(name, "x-litellm-response-cost") {
			f.cost = value
		}
	}
}

// hopNames are lines to remove. Most heads have none.
type hopNames struct{ names []string }

func (d *hopNames) addIf(hop bool, name []byte) {
	if hop {
		d.names = append(d.names, string(name))
	}
}

// addTokens adds what a Connection line names.
func (d *hopNames) addTokens(list []byte) {
	for len(list) > 0 {
		var token []byte
		token, list = nextToken(list)
		framing := equalFold(token, "content-length") || equalFold(token, "transfer-encoding") || equalFold(token, "content-type")
		if len(token) > 0 && !equalFold(token, "close") && !framing {
			d.names = append(d.names, string(token))
		}
	}
}

// remove takes the lines out, in whatever case they were written. fasthttp's Del
// would put the last line in the place of the one that goes and so turn
// duplicates round; therefore all go, and what stays is written anew.
func (d *hopNames) remove(h *fasthttp.ResponseHeader) {
	if len(d.names) == 0 {
		return
	}
	var kept []field
	for name, value := range h.All() {
		if !writtenApart(name) {
			kept = append(kept, field{bytes.Clone(name), bytes.Clone(value)})
		}
	}
	for _, f := range kept {
		h.DelBytes(f.name)
	}
	h.Del("Trailer")
	if d.has([]byte("transfer-encoding")) {
		h.Del("Transfer-Encoding")
	}
	for _, f := range kept {
		if !d.has(f.name) {
			h.AddBytesKV(f.name, f.value)
		}
	}
}

func (d *hopNames) has(name []byte) bool {
	return slices.ContainsFunc(d.names, func(n string) bool { return sameName([]byte(n), name) })
}

// writtenApart reports the lines that fasthttp keeps apart from the others, or
// does not let anyone set.
func writtenApart(name []byte) bool {
	for _, own := range [...]string{"content-length", "content-type", "content-encoding", "date", "server", "set-cookie", "trailer", "transfer-encoding"} {
		if equalFold(name, own) {
			return true
		}
	}
	return false
}
