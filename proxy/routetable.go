package proxy

import "bytes"

// routeRow is one line of the table.
type routeRow struct {
	on   method
	path string // [optional], {model}, {} for one segment, * for the rest
	route
}

func metered(f family, label string) route {
	return route{class: classMetered, family: f, label: label}
}

func streamed(f family, label string) route {
	r := metered(f, label)
	r.asksUsage = true
	return r
}

func costless(label string) route { return route{class: classCostless, label: label} }

func deferred(label string) route { return route{class: classDeferred, label: label} }

func anthropic(r route) route { r.dialect = dialectAnthropic; return r }

func google(r route) route { r.dialect = dialectGoogle; return r }

// routeTable is what LiteLLM 1.106 serves: LiteLLMRoutes in proxy/_types.py and
// its route decorators. The first row that matches counts, exact paths before
// patterns. What is in no row falls to Google's methods, the pass-through
// prefixes, the management and the LLM prefixes, in this order.
var routeTable = compile([]routeRow{
	// Metered, JSON. The model is in the body unless the path names it.
	{onCall, "[/v1]/chat/completions", streamed(familyChat, "chat")},
	{onCall, "/engines/{model}/chat/completions", streamed(familyChat, "chat")},
	{onCall, "/openai/deployments/{model}/chat/completions", streamed(familyChat, "chat")},
	{onCall, "/cursor/chat/completions", streamed(familyChat, "chat")},
	{onCall, "/queue/chat/completions", metered(familyChat, "chat")},
	{onCall, "[/v1]/completions", streamed(familyCompletions, "completions")},
	{onCall, "/engines/{model}/completions", streamed(familyCompletions, "completions")},
	{onCall, "/openai/deployments/{model}/completions", streamed(familyCompletions, "completions")},
	{onCall, "[/v1]/embeddings", metered(familyEmbeddings, "embeddings")},
	{onCall, "/engines/{model}/embeddings", metered(familyEmbeddings, "embeddings")},
	{onCall, "/openai/deployments/{model}/embeddings", metered(familyEmbeddings, "embeddings")},
	{onCall, "[/openai][/v1]/responses", metered(familyResponses, "responses")},
	{onCall, "[/openai][/v1]/responses/compact", metered(familyResponses, "responses")},
	{onCall, "[/v1]/rerank", metered(familyRerank, "rerank")},
	{onCall, "/v2/rerank", metered(familyRerank, "rerank")},
	{onCall, "[/v1]/moderations", metered(familyTool, "moderations")},
	{onCall, "[/v1]/images/generations", metered(familyImages, "images")},
	{onCall, "/openai/deployments/{model}/images/generations", metered(familyImages, "images")},
	{onCall, "[/v1]/audio/speech", metered(familyAudio, "speech")},
	{onCall, "[/v1]/search", metered(familyTool, "search")},
	{onCall, "[/v1]/search/{}", metered(familyTool, "search")},
	{onCall, "[/v1]/ocr", metered(familyOther, "ocr")},
	{onCall, "[/v1]/decisions", metered(familyOther, "decisions")},
	{onCall, "[/v1]/systemone", metered(familyOther, "decisions")},
	// Metered, multipart: the model is a form field.
	{onCall, "[/v1]/images/edits", metered(familyImages, "images")},
	{onCall, "/openai/deployments/{model}/images/edits", metered(familyImages, "images")},
	{onCall, "[/v1]/audio/transcriptions", metered(familyAudio, "transcriptions")},
	{onCall, "/openai/deployments/{model}/audio/transcriptions", metered(familyAudio, "transcriptions")},

	// Anthropic.
	{onCall, "[/claude_code_gateway]/v1/messages", anthropic(metered(familyMessages, "messages"))},
	{onCall, "[/claude_code_gateway]/v1/messages/count_tokens", anthropic(costless("count_tokens"))},

	// Google; models/{m}:generateContent is googleMethod's.
	{onCall, "[/v1beta]/interactions", google(metered(familyOther, "interactions"))},
	{onCall, "[/v1beta]/interactions/{}/cancel", google(costless("interactions"))},
	{onCall, "/v1beta/agents", google(metered(familyOther, "interactions"))},

	// Deferred: the cost comes later.
	{onCall, "[/v1]/batches", deferred("batches")},
	{onCall, "/{}/v1/batches", deferred("batches")},
	{onCall, "[/v1]/batches/{}/cancel", costless("batches")},
	{onCall, "[/v1]/fine_tuning/jobs", deferred("fine_tuning")},
	{onCall, "[/v1]/fine_tuning/jobs/{}/cancel", costless("fine_tuning")},
	{onCall, "[/v1]/videos", deferred("videos")},
	{onCall, "[/v1]/videos/*", deferred("videos")},
	{onCall, "/v1/evals/{}/runs", deferred("evals")},

	// Agents and tools.
	{onCall, "[/v1]/a2a/*", metered(familyOther, "a2a")},
	{onCall | onRead, "/v1/mcp/server", route{class: classManagement, label: "management"}},
	{onCall | onRead, "/v1/mcp/server/*", route{class: classManagement, label: "management"}},
	{onCall, "/mcp", metered(familyTool, "mcp")},
	{onCall, "/mcp/*", metered(familyTool, "mcp")},
	{onCall, "/mcp-rest/*", metered(familyTool, "mcp")},
	{onCall, "/v1/mcp/*", metered(familyTool, "mcp")},
	{onCall, "/toolset/{}/mcp", metered(familyTool, "mcp")},
	{onCall, "/{}/mcp", metered(familyTool, "mcp")},
	{onCall, "[/v1]/rag/ingest", metered(familyOther, "rag")},
	{onCall, "[/v1]/rag/query", metered(familyOther, "rag")},
	{onCall, "[/v1]/threads/{}/runs", metered(familyOther, "runs")},
	{onCall, "[/v1]/threads/{}/runs/*", metered(familyOther, "runs")},
	{onCall, "[/v1]/threads/runs", metered(familyOther, "runs")},
	{onCall, "[/v1]/assistants", costless("assistants")},
	{onCall, "[/v1]/assistants/{}", costless("assistants")},
	{onCall, "[/v1]/threads", costless("assistants")},
	{onCall, "[/v1]/threads/{}", costless("assistants")},
	{onCall, "[/v1]/threads/{}/messages", costless("assistants")},
	{onCall, "/lens/*", metered(familyOther, "lens")},
	{onCall, "/guardrails/apply_guardrail", metered(familyTool, "guardrails")},

	// WebSocket: one admission per connection.
	{onWebSocket, "[/openai][/v1]/realtime", metered(familyRealtime, "realtime")},
	{onWebSocket, "[/openai][/v1]/responses", metered(familyRealtime, "responses_websocket")},
	{onWebSocket, "/vertex_ai/live", google(metered(familyRealtime, "realtime"))},

	// WebRTC: audio never crosses the proxy.
	{onCall, "[/openai][/v1]/realtime/client_secrets", metered(familyRealtime, "realtime")},
	{onCall, "[/openai][/v1]/realtime/calls", metered(familyRealtime, "realtime")},
	{onCall, "[/openai][/v1]/realtime/transcription_sessions", metered(familyRealtime, "realtime")},

	// LLM routes without a cost.
	{onRead, "[/v1]/models", costless("models")},
	{onRead, "[/v1]/models/*", costless("models")},
	{onRead, "/cursor[/v1]/models", costless("models")},
	{onCall, "[/openai][/v1]/responses/input_tokens", costless("count_tokens")},
	{onCall, "[/openai][/v1]/responses/{}/cancel", costless("responses")},
	{onCall, "/utils/token_counter", costless("count_tokens")},
	{onCall, "/utils/transform_request", costless("utils")},
	{onCall, "[/v1]/files", costless("files")},
	{onCall, "[/v1]/vector_stores", costless("vector_stores")},
	{onCall, "[/v1]/vector_stores/{}/search", metered(familyTool, "vector_stores")},
	{onCall, "[/v1]/vector_stores/*", costless("vector_stores")},
	{onCall, "/v1/skills", costless("skills")},
	{onCall, "/v1/skills/*", costless("skills")},
	{onCall, "/v1/traces", costless("traces")},
	{onCall, "/v1/traces/*", costless("traces")},
	{onCall, "/v1/logs", costless("traces")},

	// Health. Two of them call models for real.
	{onCall | onRead, "/health", metered(familyOther, "health_probe")},
	{onCall | onRead, "/health/test_connection", metered(familyOther, "health_probe")},
	{onCall | onRead, "/health/*", route{class: classHealth, label: "health"}},
})

// managementPrefixes are keys, users, spend, settings and the UI. Those under
// /v1 stand here because /v1 is an LLM prefix.
var managementPrefixes = []string{
	"/key", "/user", "/team", "/budget", "/model", "/model_group", "/management", "/spend", "/global", "/config",
	"/ui", "/sso", "/login", "/organization", "/customer", "/end_user", "/project", "/tag", "/cache", "/credentials",
	"/invitation", "/jwt", "/provider", "/settings", "/routes", "/metrics", "/public", "/audit", "/guardrails",
	"/prompts", "/policies", "/get", "/v2/key", "/v2/user", "/v2/team", "/v2/model", "/v2/login", "/v2/guardrails",
	"/v1/model", "/v1/agents", "/v1/access_group", "/v1/guardrails", "/v1/tool", "/v1/memory",
}

// llmPrefixes are where an unknown POST is taken for a call that costs money.
var llmPrefixes = []string{
	"/v1", "/v1beta", "/openai", "/engines", "/chat", "/completions", "/embeddings", "/responses", "/images", "/audio",
	"/models", "/rerank", "/realtime", "/interactions", "/search", "/ocr", "/moderations", "/batches", "/fine_tuning",
	"/videos", "/threads", "/assistants", "/a2a", "/mcp", "/mcp-rest", "/rag", "/lens", "/vector_stores", "/containers",
	"/files", "/claude_code_gateway", "/queue", "/utils",
}

// provider is one of LiteLLM's pass-through prefixes.
type provider struct {
	prefix  string
	dialect dialect
	// costless: no model stands behind it.
	costless bool
}

// passThroughs are LiteLLM's mapped_pass_through_routes.
var passThroughs = []provider{
	{prefix: "/openai"},
	{prefix: "/openai_passthrough"},
	{prefix: "/anthropic", dialect: dialectAnthropic},
	{prefix: "/gemini", dialect: dialectGoogle},
	{prefix: "/vertex_ai", dialect: dialectGoogle},
	{prefix: "/vertex-ai", dialect: dialectGoogle},
	{prefix: "/bedrock"},
	{prefix: "/azure"},
	{prefix: "/azure_ai"},
	{prefix: "/cohere"},
	{prefix: "/mistral"},
	{prefix: "/vllm"},
	{prefix: "/watsonx"},
	{prefix: "/assemblyai"},
	{prefix: "/eu.assemblyai"},
	{prefix: "/cursor"},
	{prefix: "/langfuse", costless: true}, // traces
	{prefix: "/milvus", costless: true},   // vectors
	{prefix: "/backend-api/codex"},
	{prefix: "/azure_speech"},
	{prefix: "/comprehendmedical"},
	{prefix: "/transcribe"},
	{prefix: "/tinyfish"},
	{prefix: "/typesafe"},
	{prefix: "/laya"},
	{prefix: "/bespoke"},
	{prefix: "/openrouter"},
	{prefix: "/gigachat"},
	{prefix: "/nvidia_nim"},
	{prefix: "/deepgram"},
	{prefix: "/fal_ai"},
}

// passThroughOf finds the provider whose API the path is in.
func passThroughOf(path []byte) (rest []byte, p *provider, ok bool) {
	for i := range passThroughs {
		if rest, ok := cutPathPrefix(path, passThroughs[i].prefix); ok {
			return rest, &passThroughs[i], true
		}
	}
	return nil, nil, false
}

// providerCalls says by the end of a provider's path what the call is; LiteLLM
// hands these bodies through as they are. The first row that matches counts.
var providerCalls = []struct {
	end    string
	family family
}{
	{"/chat/completions", familyChat},
	{"/completions", familyCompletions},
	{"/embeddings", familyEmbeddings},
	{"/embed", familyEmbeddings},
	{"/responses", familyResponses},
	{"/messages", familyMessages},
	{":rawPredict", familyMessages},
	{":streamRawPredict", familyMessages},
	{"/images/generations", familyImages},
	{"/images/edits", familyImages},
	{"/audio/speech", familyAudio},
	{"/audio/transcriptions", familyAudio},
	{"/rerank", familyRerank},
}

// providerCostless are ends of providers' paths that cost nothing.
var providerCostless = []string{"/count_tokens", ":countTokens", "/responses/input_tokens", "/files", "/cancel"}

// route finds what a request to the provider's own API means. A read costs
// nothing there: what a provider bills is a call.
func (p *provider) route(h *requestHead, rest []byte) route {
	r := route{class: classPassThrough, dialect: p.dialect, label: "pass_through"}
	switch {
	case h.websocket:
		r.family = familyRealtime
		return r
	case p.costless || !isCall(h.method):
		return route{class: classCostless, dialect: p.dialect, label: "pass_through_costless"}
	}
	for _, end := range providerCostless {
		if hasEnd(rest, end) {
			return route{class: classCostless, dialect: p.dialect, label: "pass_through_costless"}
		}
	}
	for i := range providerCalls {
		if hasEnd(rest, providerCalls[i].end) {
			r.family = providerCalls[i].family
			break
		}
	}
	r.model = modelInPath(rest)
	if g, ok := googleCall(lastSegment(rest)); ok && g.family != familyOther {
		r.family = g.family
	}
	return r
}

// modelInPath finds the model where providers' paths name one: models/{m}:call
// (Google), model/{m}/invoke (Bedrock), deployments/{m}/… (Azure).
func modelInPath(rest []byte) []byte {
	for _, marker := range [...]string{"/models/", "/model/", "/deployments/"} {
		i := bytes.LastIndex(rest, []byte(marker))
		if i < 0 {
			continue
		}
		model := rest[i+len(marker):]
		if end := bytes.IndexAny(model, "/"); end >= 0 {
			model = model[:end]
		}
		if marker == "/models/" {
			if colon := bytes.LastIndexByte(model, ':'); colon >= 0 {
				model = model[:colon]
			}
		}
		if len(model) > 0 {
			return model
		}
	}
	return nil
}

func lastSegment(path []byte) []byte { return path[bytes.LastIndexByte(path, '/')+1:] }

func hasEnd(path []byte, end string) bool {
	return len(path) >= len(end) && string(path[len(path)-len(end):]) == end
}
