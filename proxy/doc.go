// Package proxy is the data plane: it takes an agent's call, asks whether it may
// go, and passes it to LiteLLM and the answer back, byte for byte and event by
// event.
//
// The walk of one request is exchange.serve in handler.go: understand the head,
// read as much of the body as the decision needs, admit, send once, await the
// head of the answer, pass it on through the meter, settle. Whatever happens on
// the way, a hold that was taken is ended exactly once (exchange.go).
//
// fasthttp accepts, parses and writes heads. Everything that can block, be
// cancelled or be counted is here: the listener (listener.go, client.go), the
// watch for clients that leave (gone_linux.go), the connections to LiteLLM
// (upstream.go), the bodies in both directions (body.go, pump.go).
package proxy
