package mock

import (
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// CallCost is what each JSON answer's x-litellm-response-cost says, in dollars.
const CallCost = "0.042"

// Model is the only model that the mock has prices for.
const Model = "fake"

// chatBody is a chat completion of the size and shape that LiteLLM 1.106 gives.
const chatBody = `{"id":"chatcmpl-160000009mockmockmock","created":1764000000,"model":"fake","object":"chat.completion",` +
	`"system_fingerprint":"fp_44709d6fcb","choices":[{"finish_reason":"stop","index":0,"message":{"content":` +
	`"The quick brown fox jumps over the lazy dog while the band ","role":"assistant","provider_specific_fields":` +
	`{"refusal":null},"annotations":[]},"provider_specific_fields":{}}],"usage":{"completion_tokens":300,` +
	`"prompt_tokens":1200,"total_tokens":1500,"completion_tokens_details":{"accepted_prediction_tokens":0,` +
	`"audio_tokens":0,"reasoning_tokens":0,"rejected_prediction_tokens":0},"prompt_tokens_details":` +
	`{"audio_tokens":0,"cached_tokens":0}},"service_tier":"default"}`

// commonHeaders are those that LiteLLM 1.106 sends on JSON and on streams; a
// hop has to carry all of them.
const commonHeaders = `x-litellm-model-id: 2f8b14715e1b2c17539c5451a97d5b65aace24293418a118ede69257f9e9f796
x-litellm-model-name: openai/fake
x-litellm-model-api-base: http://127.0.0.1:9920/v1
x-litellm-version: 1.106.12
x-litellm-response-cost-discount-amount: 0.0
x-litellm-response-cost-margin-amount: 0.0
x-litellm-response-cost-margin-percent: 0.0
x-litellm-response-cost-tool-usage: 0.0
x-litellm-key-spend: 0.042
x-litellm-response-duration-ms: 262.67480850219727
x-litellm-overhead-duration-ms: 79.5987
x-litellm-callback-duration-ms: 0.0
x-ratelimit-limit-requests: 10000
x-ratelimit-remaining-requests: 9999
x-ratelimit-limit-tokens: 2000000
x-ratelimit-remaining-tokens: 1999000
llm_provider-openai-organization: mock-org
llm_provider-openai-processing-ms: 41
llm_provider-openai-version: 2020-10-01
llm_provider-x-request-id: req_0f1e2d3c4b5a
llm_provider-x-ratelimit-limit-requests: 10000
llm_provider-x-ratelimit-remaining-requests: 9999
llm_provider-x-ratelimit-limit-tokens: 2000000
llm_provider-x-ratelimit-remaining-tokens: 1999000
llm_provider-date: Tue, 24 Nov 2026 14:02:22 GMT
llm_provider-server: Python/3.11 aiohttp/3.14.5
llm_provider-request-id: req_0f1e2d3c4b5a
request-id: req_0f1e2d3c4b5a
x-litellm-model-group: fake
x-litellm-attempted-retries: 0
x-litellm-attempted-fallbacks: 0
vary: Origin
x-frame-options: DENY
content-security-policy: frame-ancestors 'none'
x-content-type-options: nosniff
`

// jsonHeaders are those of a JSON answer alone: streams carry no cost.
const jsonHeaders = `x-litellm-response-cost: ` + CallCost + `
x-litellm-response-cost-original: ` + CallCost + `
x-litellm-response-cost-input: 0.012
x-litellm-response-cost-output: 0.030000000000000002
llm_provider-content-type: application/json; charset=utf-8
llm_provider-content-length: 676
`

// chatHead is copied into each answer: setting forty headers one by one would
// cost more than the rest of the mock.
func chatHead() *fasthttp.ResponseHeader {
	h := &fasthttp.ResponseHeader{}
	h.DisableNormalizing()
	h.SetContentType("application/json")
	for line := range strings.Lines(commonHeaders + jsonHeaders) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		h.Set(name, value)
	}
	return h
}

// streamHead is the raw head of a stream. The connection is not used again: its
// only reader has been the one that watches for the client's leaving.
var streamHead = "HTTP/1.1 200 OK\r\n" + strings.ReplaceAll(commonHeaders, "\n", "\r\n") +
	"x-litellm-call-id: 5865af7b-f233-4cee-9e37-a8c8ed253135\r\n" +
	"cache-control: no-cache\r\nx-accel-buffering: no\r\n" +
	"content-type: text/event-stream; charset=utf-8\r\n" +
	"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"

// EventMark precedes, in an event's data, the mono.Now at which it was written.
const EventMark = `"mock_ns":`

const (
	eventStart = `data: {"id":"chatcmpl-160000022mockmockmock","created":1795528943,"model":"fake",` +
		`"object":"chat.completion.chunk","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,` +
		`"delta":{"content":"quick "}}],"service_tier":"default",` + EventMark
	eventEnd = "}\n\n"

	streamUsage = `data: {"id":"chatcmpl-160000022mockmockmock","created":1795528943,"model":"fake",` +
		`"object":"chat.completion.chunk","choices":[{"index":0,"delta":{}}],"usage":{"completion_tokens":300,` +
		`"prompt_tokens":1200,"total_tokens":1500,"cost":` + CallCost + "}}\n\n"
	streamDone = "data: [DONE]\n\n"
)

// keyInfo is what a key reads of itself: a budget that no benchmark reaches, so
// that each call is checked against it and none is refused.
func keyInfo(now time.Time) string {
	reset := now.Add(20 * 24 * time.Hour).UTC().Format("2006-01-02T15:04:05-07:00")
	return fmt.Sprintf(`{"key":"bench","info":{"key_name":"sk-...ench","key_alias":"bench","spend":0.0,"total_spend":0.0,`+
		`"expires":null,"models":[],"aliases":{},"config":{},"user_id":null,"team_id":null,"metadata":{"tenant_id":"bench"},`+
		`"blocked":null,"max_budget":%d.0,"budget_duration":"30d","budget_reset_at":%q,"budget_id":null,`+
		`"budget_limits":null,"litellm_budget_table":null,"status":"active"}}`, BudgetUSD, reset)
}

// BudgetUSD is the bench tenant's max_budget.
const BudgetUSD = 1_000_000_000

// modelPrice is Model's price in LiteLLM's own field names.
const modelPrice = `{"input_cost_per_token":1e-05,"output_cost_per_token":1e-04,"max_output_tokens":4096,` +
	`"litellm_provider":"openai","mode":"chat"}`

const (
	costMap   = `{"` + Model + `":` + modelPrice + `}`
	modelInfo = `{"data":[{"model_name":"` + Model + `","litellm_params":{"model":"openai/` + Model + `"},"model_info":` + modelPrice + `}]}`
)
