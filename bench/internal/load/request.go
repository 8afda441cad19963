package load

import (
	"fmt"

	"github.com/pursestring/pursestring/bench/internal/mock"
)

// Key is the virtual key that all calls carry; it is made up.
const Key = "sk-bench-0123456789abcdef"

// Chat is a small chat completion call with its wish, as bytes ready to send.
func Chat(wish mock.Wish) []byte {
	stream := ""
	if wish.Events > 0 {
		// Usage is asked for so that no hop has a reason to hide the last event.
		stream = `"stream":true,"stream_options":{"include_usage":true},`
	}
	body := `{"model":"` + mock.Model + `",` + stream + `"max_tokens":300,"temperature":0.2,"messages":[` +
		`{"role":"system","content":"You are a careful assistant who answers in one sentence."},` +
		`{"role":"user","content":"Which animal jumps over which other animal in the sentence that typists like, and why is it liked?"}]}`
	return append(chatHead(wish, int64(len(body))), body...)
}

// chatHead is the request head of a chat call.
func chatHead(wish mock.Wish, length int64) []byte {
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: pursebench/1\r\n"+
		"Accept: application/json\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s: %s\r\nContent-Length: %d\r\n\r\n",
		Key, mock.WishHeader, wish, length)
}
