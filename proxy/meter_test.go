package proxy

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/internal/litellm"
)

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "answers", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// through sends body through a meter in chunks of n bytes.
func through(m *meter, body []byte, n int) []byte {
	var out []byte
	for rest := body; len(rest) > 0; {
		chunk := bytes.Clone(rest[:min(n, len(rest))])
		rest = rest[len(chunk):]
		out = append(out, m.pass(chunk)...)
	}
	return append(out, m.rest()...)
}

const (
	eventStream = "text/event-stream; charset=utf-8"
	jsonType    = "application/json"
)

func headFor(body []byte) answerHead {
	h := answerHead{status: 200, contentType: []byte(jsonType)}
	if bytes.HasPrefix(body, []byte("data:")) || bytes.HasPrefix(body, []byte("event:")) {
		h.contentType = []byte(eventStream)
	}
	return h
}

// TestMeterOnRecordings: what LiteLLM billed is what we settle, whether the cost
// comes from its figure or from usage.
func TestMeterOnRecordings(t *testing.T) {
	t.Parallel()
	const (
		chat      = "/v1/chat/completions"
		messages  = "/v1/messages"
		generate  = "/v1beta/models/gemini-2.5-pro:generateContent"
		responses = "/v1/responses"
	)
	for _, c := range []struct {
		file, target, model string
		cost                float64
		from                budget.Provenance
	}{
		{"chat-json", chat, "fake", 0.042, budget.FromUsage},
		{"chat-stream-include-usage", chat, "gpt-4o", 0.006, budget.FromUsageCost},
		{"chat-stream-cached", chat, "gpt-4o", 0.005615, budget.FromUsageCost},
		{"chat-stream-tools", chat, "gpt-4o", 0.000375, budget.FromUsageCost},
		{"completions-stream", "/v1/completions", "gpt-3.5-turbo-instruct", 0.0024, budget.FromUsageCost},
		{"embeddings", "/v1/embeddings", "text-embedding-3-small", 3e-05, budget.FromUsage},
		{"bypass-comma-models", chat, "fake,gpt-4o", 0.048, budget.FromUsage},
		{"messages-json", messages, "claude-sonnet-4-5", 0.007254, budget.FromUsage},
		{"messages-json-1h-cache", messages, "claude-sonnet-4-5", 0.013398, budget.FromUsage},
		{"messages-stream", messages, "claude-sonnet-4-5", 0.007254, budget.FromUsageCost},
		{"messages-stream-cost-off", messages, "claude-sonnet-4-5", 0.007254, budget.FromUsage},
		{"messages-stream-oldusage", messages, "claude-sonnet-4-5", 0.007254, budget.FromUsage},
		{"generatecontent-json", generate, "gemini-2.5-pro", 0.0103475, budget.FromUsage},
		{"generatecontent-stream-sse", generate, "gemini-2.5-pro", 0.0103475, budget.FromUsage},
		{"responses-json", responses, "gpt-4o", 0.005615, budget.FromUsage},
		{"responses-stream", responses, "gpt-4o", 0.005615, budget.FromUsageCost},
		{"pass-openai-chat-json", "/openai/v1/chat/completions", "gpt-4o", 0.005615, budget.FromUsage},
		{"pass-openai-chat-stream", "/openai/v1/chat/completions", "gpt-4o", 0.006, budget.FromUsageCost},
		{"pass-anthropic-json", "/anthropic/v1/messages", "claude-sonnet-4-5", 0.007254, budget.FromUsage},
		{"pass-anthropic-stream", "/anthropic/v1/messages", "claude-sonnet-4-5", 0.007254, budget.FromUsageCost},
		{"pass-gemini-stream", "/gemini/v1beta/models/gemini-2.5-pro:streamGenerateContent", "gemini-2.5-pro", 0.0103475, budget.FromUsage},
	} {
		body := recorded(t, c.file)
		prices := testPrices()
		for _, n := range []int{1, 7, 64, len(body)} {
			var m meter
			p := plan{model: c.model, estimate: budget.Estimate{Mean: dollar(99), Worst: dollar(99)}}
			m.start(classify(headOf("POST", c.target)), &p, headFor(body), prices)
			if out := through(&m, body, n); !bytes.Equal(out, body) {
				t.Errorf("%s in chunks of %d was changed", c.file, n)
			}
			got := m.settlement(endedComplete)
			if again := m.settlement(endedComplete); again != got {
				t.Errorf("%s: asked twice, %+v and %+v", c.file, got, again)
			}
			if got.Cost != dollar(c.cost) || got.Provenance != c.from || !got.Accepted {
				t.Errorf("%s in chunks of %d: %s from %s, want %v from %s", c.file, n, got.Cost.AppendDecimal(nil), got.Provenance, c.cost, c.from)
			}
			if m.unmetered {
				t.Errorf("%s is unmetered", c.file)
			}
		}
	}
}

func TestMeterRules(t *testing.T) {
	t.Parallel()
	mean := budget.Estimate{Mean: dollar(0.02), Worst: dollar(1)}
	usage := `{"usage":{"prompt_tokens":1200,"completion_tokens":300}}`
	for _, c := range []struct {
		what string
		head answerHead
		plan plan
		body string
		cost float64
		from budget.Provenance
	}{
		{"never answered", answerHead{}, plan{estimate: mean, inputMean: dollar(0.01)}, "", 0.02, budget.FromEstimate},
		{"a cache hit costs nothing, whatever the header says", answerHead{status: 200, cacheKey: true, cost: []byte("0.042"), contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, usage, 0, budget.FromCacheHit},
		{"the header on JSON", answerHead{status: 200, cost: []byte("2.85e-05"), contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, usage, 2.85e-05, budget.FromHeader},
		{"a header of 0 says nothing", answerHead{status: 200, cost: []byte("0.0"), contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, usage, 0.042, budget.FromUsage},
		{"NaN is no cost", answerHead{status: 200, cost: []byte("NaN"), contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, usage, 0.042, budget.FromUsage},
		{"infinity is no cost", answerHead{status: 200, cost: []byte("Inf"), contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, usage, 0.042, budget.FromUsage},
		{"a negative cost is none", answerHead{status: 200, cost: []byte("-1"), contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, usage, 0.042, budget.FromUsage},
		{"an error without anything", answerHead{status: 500, cost: []byte("0"), contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, `{"error":{"message":"x"}}`, 0, budget.FromError},
		{"an error that cost something", answerHead{status: 500, cost: []byte("0.01"), contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, `{}`, 0.01, budget.FromHeader},
		{"an error with usage", answerHead{status: 400, contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, usage, 0.042, budget.FromUsage},
		{"a redirect", answerHead{status: 307}, plan{estimate: mean}, "", 0, budget.FromError},
		{"200 without usage is at least the mean", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, `{"choices":[{"message":{"content":"hi"}}]}`, 0.02, budget.FromEstimate},
		{"and more when more flowed", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean, inputMean: dollar(0.01), outputPrice: 100e-6}, `{"choices":[{"message":{"content":"` + strings.Repeat("abcd", 1000) + `"}}]}`, 0.11, budget.FromEstimate},
		{"usage of zeros is none", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, `{"usage":{"prompt_tokens":0,"completion_tokens":0}}`, 0.02, budget.FromEstimate},
		{"compressed: only the header or the mean", answerHead{status: 200, contentType: []byte(jsonType), contentEncoding: []byte("gzip")}, plan{model: "fake", estimate: mean}, usage, 0.02, budget.FromEstimate},
		{"compressed with a header", answerHead{status: 200, cost: []byte("0.5"), contentType: []byte(jsonType), contentEncoding: []byte("gzip")}, plan{model: "fake", estimate: mean}, usage, 0.5, budget.FromHeader},
		{"a free model", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "free", free: true}, usage, 0, budget.FromUsage},
		{"a free model without usage", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "free", free: true}, `{}`, 0, budget.FromEstimate},
		{"a free model that cost something", answerHead{status: 200, cost: []byte("0.1"), contentType: []byte(jsonType)}, plan{model: "free", free: true}, usage, 0.1, budget.FromHeader},
		{"no price for the model asked, but for the one that answered", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "alias", estimate: mean}, `{"model":"fake",` + usage[1:], 0.042, budget.FromUsage},
		{"no price at all: usage on the dearest", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "unpriced", unpriced: true, estimate: mean}, usage, 0.042, budget.FromEstimate},
		{"no price, and allowed", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "unpriced", unpriced: true}, usage, 0, budget.FromEstimate},
		{"usage.cost of a provider", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, `{"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":0.7}}`, 0.7, budget.FromUsageCost},
		{"negative counts are garbage", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, `{"usage":{"prompt_tokens":-5,"completion_tokens":1}}`, 0.02, budget.FromEstimate},
		{"broken off behind the usage", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, usage[:len(usage)-1] + `,"service_tier":"de`, 0.042, budget.FromUsage},
		{"broken off before it", answerHead{status: 200, contentType: []byte(jsonType)}, plan{model: "fake", estimate: mean}, `{"choices":[],"usage":{"prompt_to`, 0.02, budget.FromEstimate},
		{"sound", answerHead{status: 200, contentType: []byte("audio/mpeg")}, plan{estimate: mean}, "\x00\x01", 0.02, budget.FromEstimate},
		{"a socket", answerHead{status: 101}, plan{estimate: mean}, "", 0.02, budget.FromEstimate},
	} {
		var m meter
		m.start(chatRoute, &c.plan, c.head, testPrices())
		if out := through(&m, []byte(c.body), 16); string(out) != c.body {
			t.Errorf("%s: the body was changed", c.what)
		}
		if got := m.settlement(endedComplete); got.Cost != dollar(c.cost) || got.Provenance != c.from {
			t.Errorf("%s: %s from %s, want %v from %s", c.what, got.Cost.AppendDecimal(nil), got.Provenance, c.cost, c.from)
		}
	}
}

func TestMeterOnCutStreams(t *testing.T) {
	t.Parallel()
	cut := func(file, target string, p plan, at int) budget.Money {
		t.Helper()
		body := recorded(t, file)
		var m meter
		m.start(classify(headOf("POST", target)), &p, headFor(body), testPrices())
		through(&m, body[:at], 50)
		got := m.settlement(endedUpstreamCut)
		if got.Provenance != budget.FromEstimate {
			t.Errorf("%s: from %s", file, got.Provenance)
		}
		return got.Cost
	}
	whole := func(file string) int { return len(recorded(t, file)) }
	// "The quick brown fox " is 20 bytes, 5 tokens of $100 per million.
	if got := cut("upstream-cut-chat-stream", "/v1/chat/completions", plan{model: "fake", inputMean: dollar(0.01), outputPrice: 100e-6}, whole("upstream-cut-chat-stream")); got != dollar(0.0105) {
		t.Errorf("chat: %s", got.AppendDecimal(nil))
	}
	// message_start says 86 tokens in at $3; "The quick brown " is 4 tokens at $15.
	if got := cut("upstream-cut-messages-stream", "/v1/messages", plan{model: "claude-sonnet-4-5", inputMean: dollar(5), outputPrice: 15e-6}, whole("upstream-cut-messages-stream")); got != dollar(86*3e-6+4*15e-6) {
		t.Errorf("messages: %s", got.AppendDecimal(nil))
	}
	if got := cut("messages-stream", "/v1/messages", plan{model: "claude-sonnet-4-5", estimate: budget.Estimate{Mean: dollar(1)}}, 700); got != dollar(1) {
		t.Errorf("at least the mean: %s", got.AppendDecimal(nil))
	}
	// Gemini repeats its running usage: 50 + 700 out so far.
	if got := cut("generatecontent-stream-sse", "/v1beta/models/gemini-2.5-pro:streamGenerateContent", plan{model: "gemini-2.5-pro", outputPrice: 10e-6}, 900); got != dollar(86*1.25e-6+1920*0.125e-6+750*10e-6) {
		t.Errorf("gemini: %s", got.AppendDecimal(nil))
	}
}

// TestMeterHidesTheUsageChunk: what the client gets is what it would have got
// without the injection.
func TestMeterHidesTheUsageChunk(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"chat-stream-include-usage", "chat-stream-tools", "completions-stream", "pass-openai-chat-stream"} {
		body := recorded(t, file)
		for _, crlf := range []bool{false, true} {
			if crlf {
				body = bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
			}
			want := withoutUsageChunk(t, body)
			for n := 1; n <= len(body); n += 1 + n/3 {
				var m meter
				m.start(chatRoute, &plan{model: "gpt-4o", injectUsage: true}, headFor(body), testPrices())
				if got := through(&m, body, n); !bytes.Equal(got, want) {
					t.Fatalf("%s in chunks of %d:\n%s\nwant\n%s", file, n, got, want)
				}
				if got := m.settlement(endedComplete); got.Provenance != budget.FromUsageCost {
					t.Fatalf("%s: the hidden chunk was not metered: %+v", file, got)
				}
			}
		}
	}
}

func withoutUsageChunk(t *testing.T, body []byte) []byte {
	t.Helper()
	end := "\n\n"
	if bytes.Contains(body, []byte("\r\n")) {
		end = "\r\n\r\n"
	}
	var out []byte
	events := bytes.SplitAfter(body, []byte(end))
	hidden := 0
	for _, event := range events {
		if hasUsage(event) {
			hidden++
			continue
		}
		out = append(out, event...)
	}
	if hidden != 1 {
		t.Fatalf("%d usage chunks", hidden)
	}
	return out
}

func TestMeterHidesNothingElse(t *testing.T) {
	t.Parallel()
	for what, body := range map[string]string{
		"usage beside content":            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n",
		"usage beside a finish reason":    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\n",
		"usage beside text":               "data: {\"choices\":[{\"index\":0,\"text\":\"x\"}],\"usage\":{\"prompt_tokens\":1}}\n\n",
		"usage beside a tool call":        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}],\"usage\":{\"prompt_tokens\":1}}\n\n",
		"no choices at all":               "data: {\"object\":\"error\",\"usage\":{\"prompt_tokens\":1}}\n\n",
		"null usage":                      "data: {\"choices\":[],\"usage\":null}\n\n",
		"broken JSON":                     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}\n\n",
		"comments and pings":              ": ping\n\n: ping\n\ndata: [DONE]\n\n",
		"an unfinished line":              "data: {\"choices\":[{\"delta\":{\"content\":\"x\"",
		"no stream of events at all":      "<html>\n\n\n</html>",
		"a carriage return at the end":    "data: [DONE]\r",
		"usage in the text of the answer": "data: {\"choices\":[{\"delta\":{\"content\":\"{\\\"choices\\\":[],\\\"usage\\\":{\\\"prompt_tokens\\\":1}}\"}}]}\n\n",
	} {
		for n := range len(body) {
			var m meter
			m.start(chatRoute, &plan{injectUsage: true}, answerHead{status: 200, contentType: []byte(eventStream)}, testPrices())
			if got := through(&m, []byte(body), n+1); string(got) != body {
				t.Fatalf("%s in chunks of %d: %q", what, n+1, got)
			}
		}
	}
}

func TestMeterOnLongLines(t *testing.T) {
	t.Parallel()
	long := "data: {\"x\":\"" + strings.Repeat("y", mostLine+10) + "\"}\n\n"
	usage := "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1200,\"completion_tokens\":300}}\n\n"
	for _, n := range []int{1 << 10, 1 << 16, 1 << 20} {
		for _, hide := range []bool{false, true} {
			var m meter
			m.start(chatRoute, &plan{model: "fake", injectUsage: hide}, answerHead{status: 200, contentType: []byte(eventStream)}, testPrices())
			want := long + usage
			if hide {
				want = long
			}
			if got := through(&m, []byte(long+usage), n); string(got) != want {
				t.Errorf("chunks of %d, hiding %v: the stream was changed", n, hide)
			}
			if got := m.settlement(endedComplete); got.Cost != dollar(0.042) || !m.unmetered {
				t.Errorf("chunks of %d: %+v, unmetered %v", n, got, m.unmetered)
			}
			if cap(m.lines.buffer) > 4*mostLine {
				t.Errorf("a buffer of %d bytes", cap(m.lines.buffer))
			}
		}
	}
}

func TestMeterOnLongJSON(t *testing.T) {
	t.Parallel()
	body := `{"data":[{"b64_json":"` + strings.Repeat("iVBORw0K", 400_000) + `"}],"usage":{"input_tokens":1200,"output_tokens":300}}`
	for _, n := range []int{1 << 10, 1 << 16, 1<<20 + 1} {
		var m meter
		m.start(classify(headOf("POST", "/v1/images/generations")), &plan{model: "fake"}, answerHead{status: 200, contentType: []byte(jsonType)}, testPrices())
		through(&m, []byte(body), n)
		if got := m.settlement(endedComplete); got.Cost != dollar(0.042) || got.Provenance != budget.FromUsage {
			t.Errorf("chunks of %d: %+v", n, got)
		}
		if cap(m.body.kept) > 8*bodyTail {
			t.Errorf("chunks of %d: a buffer of %d bytes is left", n, cap(m.body.kept))
		}
	}
}

func TestMeterIsReusable(t *testing.T) {
	t.Parallel()
	var m meter
	for range 3 {
		for _, file := range []string{"chat-stream-include-usage", "messages-stream-oldusage", "generatecontent-stream-sse", "chat-json", "upstream-500"} {
			body := recorded(t, file)
			m.start(chatRoute, &plan{model: "fake", injectUsage: true}, headFor(body), testPrices())
			through(&m, body, 100)
			m.settlement(endedComplete)
		}
	}
	m.start(chatRoute, &plan{}, answerHead{status: 200, contentType: []byte(eventStream)}, nil)
	if got := m.settlement(endedClientGone); got.Cost != 0 || got.Provenance != budget.FromEstimate {
		t.Errorf("something of an earlier answer is left: %+v", got)
	}
}

func FuzzMeter(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"cost\":1}}\n\ndata: [DONE]\n\n"), 3, true, true)
	f.Add([]byte("event: x\r\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\r\n\r\n"), 5, true, true)
	f.Add([]byte(`[{"usage":{"prompt_tokens":1}},{"usageMetadata":{}}]`), 9, false, false)
	prices := testPrices()
	f.Fuzz(func(t *testing.T, body []byte, n int, events, hide bool) {
		head := answerHead{status: 200, contentType: []byte(jsonType)}
		if events {
			head.contentType = []byte(eventStream)
		}
		n = 1 + max(0, n)%64
		run := func(n int, hide bool, fam family) (budget.Money, []byte) {
			var m meter
			r := chatRoute
			r.family = fam
			m.start(r, &plan{model: "fake", injectUsage: hide}, head, prices)
			out := through(&m, body, n)
			return m.settlement(endedComplete).Cost, out
		}
		for _, fam := range []family{familyChat, familyMessages, familyGenerateContent, familyResponses} {
			cost, out := run(n, hide, fam)
			whole, outWhole := run(max(1, len(body)), hide, fam)
			if cost < 0 || cost != whole || !bytes.Equal(out, outWhole) {
				t.Fatalf("chunks of %d: %v %q; at once: %v %q", n, cost, out, whole, outWhole)
			}
			if !hide && !bytes.Equal(out, body) {
				t.Fatalf("%q became %q", body, out)
			}
			if len(out) > len(body) {
				t.Fatalf("%q grew to %q", body, out)
			}
		}
	})
}

// stream5000 is a stream of 5,000 events with usage at its end, in the chunks in
// which a pump reads them.
func stream5000(t testing.TB) (chunks [][]byte, size int64) {
	events := bytes.SplitAfter(recorded(t, "chat-stream-include-usage"), []byte("\n\n"))
	var all []byte
	for range 5000 {
		all = append(all, events[2]...)
	}
	for _, e := range events[len(events)-4:] {
		all = append(all, e...)
	}
	for rest := all; len(rest) > 0; {
		n := min(8<<10, len(rest))
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	return chunks, int64(len(all))
}

func benchmarkStream(b *testing.B, pass func(m *meter, chunk []byte) []byte, hide bool) {
	chunks, size := stream5000(b)
	prices := testPrices()
	var m meter
	sink := make([]byte, 16<<10)
	head := answerHead{status: 200, contentType: []byte(eventStream)}
	p := plan{model: "gpt-4o", injectUsage: hide}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		m.start(chatRoute, &p, head, prices)
		for _, c := range chunks {
			copy(sink, pass(&m, c))
		}
		copy(sink, m.rest())
		_ = m.settlement(endedComplete)
	}
}

func BenchmarkStreamCopied(b *testing.B) {
	benchmarkStream(b, func(_ *meter, c []byte) []byte { return c }, false)
}
func BenchmarkStreamMetered(b *testing.B) { benchmarkStream(b, (*meter).pass, false) }
func BenchmarkStreamHiding(b *testing.B)  { benchmarkStream(b, (*meter).pass, true) }

func TestPassDoesNotAllocate(t *testing.T) {
	chunk := []byte("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"The \"}}]}\n\ndata: {\"choi")
	end := []byte("ces\":[]}\n\n")
	for _, hide := range []bool{false, true} {
		var m meter
		m.start(chatRoute, &plan{injectUsage: hide}, answerHead{status: 200, contentType: []byte(eventStream)}, (*litellm.Prices)(nil))
		m.pass(chunk)
		m.lines.reset(hide)
		if n := testing.AllocsPerRun(100, func() {
			m.pass(chunk)
			m.pass(end)
		}); n != 0 {
			t.Errorf("hiding %v: %v allocations a chunk, want none", hide, n)
		}
	}
}

// TestPreambleIsOnlyAShortcut: content is counted as if each event were searched.
func TestPreambleIsOnlyAShortcut(t *testing.T) {
	t.Parallel()
	for file, target := range map[string]string{
		"chat-stream": "/v1/chat/completions", "chat-stream-tools": "/v1/chat/completions", "pass-openai-chat-stream": "/openai/v1/chat/completions",
		"completions-stream": "/v1/completions", "responses-stream": "/v1/responses", "messages-stream": "/v1/messages",
		"generatecontent-stream-sse": "/v1beta/models/g:streamGenerateContent",
	} {
		body, r := recorded(t, file), classify(headOf("POST", target))
		var want int64
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			if bytes.HasPrefix(line, []byte("data:")) {
				n, _ := contentIn(r.family, line)
				want += n
			}
		}
		var m meter
		m.start(r, &plan{}, headFor(body), nil)
		through(&m, body, 100)
		if m.found.contentBytes != want || want < 15 {
			t.Errorf("%s: %d bytes of content, want %d", file, m.found.contentBytes, want)
		}
	}
}
