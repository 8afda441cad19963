package litellmtest

import (
	"encoding/json"
	"strings"

	"github.com/coder/websocket"
)

// realtime accepts a WebSocket and echoes what it is sent; a response.create is
// answered with response.done and usage, and charged.
func (c *call) realtime() {
	var protocols []string
	for _, line := range c.r.Header.Values("Sec-WebSocket-Protocol") {
		if strings.Contains(line, "realtime") {
			protocols = []string{"realtime"}
		}
	}
	conn, err := websocket.Accept(c.w, c.r, &websocket.AcceptOptions{Subprotocols: protocols, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, data, err := conn.Read(c.s.ctx)
		if err != nil {
			return
		}
		var event struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(data, &event) == nil && event.Type == "response.create" {
			data = c.turn(data)
		}
		if err := conn.Write(c.s.ctx, kind, data); err != nil {
			return
		}
	}
}

// turn answers one turn of a session.
func (c *call) turn(data []byte) []byte {
	c.d = directivesOf(data)
	c.reached()
	c.use()
	c.book(c.c.total, c.c.total)
	t := c.t
	usage := obj("total_tokens", t.input+t.output, "input_tokens", t.input, "output_tokens", t.output,
		"input_token_details", obj("text_tokens", t.input-t.cached, "audio_tokens", 0, "cached_tokens", t.cached),
		"output_token_details", obj("text_tokens", t.output, "audio_tokens", 0))
	return compact(obj("type", "response.done", "event_id", "event_"+c.id, "response", obj("object", "realtime.response", "id", "resp_"+c.id, "status", "completed", "usage", usage)))
}
