package proxy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestScanBody(t *testing.T) {
	t.Parallel()
	text := func(s span, body string) string { return string(s.in([]byte(body))) }
	f := func(what, body string, check func(f bodyFacts) bool) {
		t.Helper()
		if got := scanBody([]byte(body), true); !check(got) {
			t.Errorf("%s: %s gives %+v", what, body, got)
		}
	}
	model := func(want string) func(string) func(bodyFacts) bool {
		return func(body string) func(bodyFacts) bool {
			return func(f bodyFacts) bool { return f.whole && text(f.model, body) == want }
		}
	}
	for _, c := range []struct{ what, body, model string }{
		{"a plain model", `{"model":"gpt-4o","stream":true}`, `"gpt-4o"`},
		{"the last duplicate counts", `{"model":"a","x":{"model":"c"},"model":"b"}`, `"b"`},
		{"an escaped name is the same name", `{"model":"a","m\u006Fdel":"b"}`, `"b"`},
		{"a duplicate that is no string", `{"model":"a","model":null}`, ``},
		{"names in nested objects are others", `{"metadata":{"model":"a"},"messages":[{"model":"b"}]}`, ``},
		{"blanks everywhere", " { \"model\" :\t\"a\" } \r\n", `"a"`},
		{"a quote in the value", `{"model":"a\"b"}`, `"a\"b"`},
	} {
		f(c.what, c.body, model(c.model)(c.body))
	}
	f("a string true streams", `{"stream":"true"}`, func(f bodyFacts) bool { return f.stream })
	f("one does not stream", `{"stream":1}`, func(f bodyFacts) bool { return !f.stream })
	f("a later false", `{"stream":true,"stream":false}`, func(f bodyFacts) bool { return !f.stream })
	f("caps", `{"max_tokens":5,"max_completion_tokens":6.0,"max_output_tokens":7e1,"n":3,"generationConfig":{"maxOutputTokens":8,"candidateCount":2},"inferenceConfig":{"maxTokens":9}}`,
		func(f bodyFacts) bool {
			return f.maxTokens == 5 && f.maxCompletionTokens == 6 && f.maxOutputTokens == 70 && f.n == 3 &&
				f.googleMaxOutputTokens == 8 && f.candidates == 2 && f.inferenceMaxTokens == 9
		})
	f("caps that are none", `{"max_tokens":-1,"max_completion_tokens":"5","max_output_tokens":1.5,"n":1e99}`,
		func(f bodyFacts) bool {
			return f.maxTokens == 0 && f.maxCompletionTokens == 0 && f.maxOutputTokens == 0 && f.n == 0
		})
	f("a later object replaces an earlier one", `{"generationConfig":{"maxOutputTokens":8},"generationConfig":{}}`,
		func(f bodyFacts) bool { return f.googleMaxOutputTokens == 0 })
	f("and so does a null", `{"inferenceConfig":{"maxTokens":8},"inferenceConfig":null}`,
		func(f bodyFacts) bool { return f.inferenceMaxTokens == 0 })
	f("fallbacks", `{"fallbacks":["gpt-4o"]}`, func(f bodyFacts) bool { return f.fallbacks })
	f("no fallbacks", `{"fallbacks":[]}`, func(f bodyFacts) bool { return !f.fallbacks })
	f("where the object begins", `  {"a":1}`, func(f bodyFacts) bool { return f.object && f.open == 3 })
	f("an array is no object", `[{"model":"a"}]`, func(f bodyFacts) bool { return !f.object && !f.whole && f.model.isZero() })

	for what, body := range map[string]string{
		"nothing": ``, "an open string": `{"model":"a`, "a second value": `{"model":"a"} {}`, "a trailing comma": `{"a":1,}`,
		"no quotes": `{model:1}`, "NaN": `{"a":NaN}`, "a leading zero": `{"a":01}`, "a control character": "{\"a\":\"\n\"}",
		"a wrong escape": `{"a":"\x"}`, "half an escape": `{"a":"\u12"}`, "too deep": `{"a":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`,
	} {
		f(what+" is not whole", body, func(f bodyFacts) bool { return !f.whole })
	}
	if got := scanBody([]byte(`{"model":"a"}`), false); got.whole {
		t.Error("a prefix counts as whole")
	}
}

func TestScanCountsBlobsApart(t *testing.T) {
	t.Parallel()
	base64 := strings.Repeat("iVBORw0KGgoAAAANSUhEUgAA", 1000)
	f := func(body string, images, others, text int64) {
		t.Helper()
		got := scanBody([]byte(body), true)
		if got.images != images || got.otherBlobs != others || got.textBytes > text+200 || got.textBytes < text {
			t.Errorf("images %d, others %d, text %d; want %d, %d, about %d", got.images, got.otherBlobs, got.textBytes, images, others, text)
		}
	}
	f(`{"image_url":{"url":"data:image/png;base64,`+base64+`"}}`, 1, 0, 0)
	f(`{"source":{"media_type":"image/png","data":"`+base64+`"}}`, 1, 0, 0)
	f(`{"data":"data:application/pdf;base64,`+base64+`"}`, 0, 1, 0)
	f(`{"inlineData":{"data":"JVBERi0x`+base64+`"}}`, 0, 1, 0)
	f(`{"content":"`+strings.Repeat("all words are text, ", 1000)+`"}`, 0, 0, 20_000)
	f(`{"content":"data:image/png;base64,`+strings.Repeat("but not this one, ", 1000)+`"}`, 0, 0, 18_000)

	f(`{"content":"data:image/png;base64,`+base64+`"}`, 0, 0, 24_000) // read as text by the model
	f(`{"data":"`+strings.Repeat("abcd", 6000)+`"}`, 0, 0, 24_000)    // not the beginning of a file

	cut := scanBody([]byte(`{"image_url":{"url":"data:image/png;base64,`+base64), false)
	if !cut.inBlob || cut.images != 1 || cut.whole {
		t.Errorf("a prefix that ends in an image: %+v", cut)
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	body := []byte(`{"model":"gpt-4o","stream":true,"max_tokens":100,"stream_options":{"include_usage":false},"messages":[{"role":"user","content":"hello"}]}`)
	if n := testing.AllocsPerRun(100, func() { _ = scanBody(body, true) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// FuzzScanBody holds the scanner to encoding/json: what is whole to one is valid
// to the other, and the members have the same values.
func FuzzScanBody(f *testing.F) {
	for _, s := range []string{
		`{"model":"a","stream":true,"max_tokens":5}`, `{"model":"a","m\u006fdel":"b\n"}`, ` {"a":[1,2,{"b":null}],"stream":"true"} `,
		`{"stream_options":{"include_usage":false},"generationConfig":{"maxOutputTokens":3}}`, `{"a":"\ud800"}`, `{"n":1e3,"n":-0.5E+2}`, `[1]`, `{`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := scanBody(body, true)
		for cut := range min(len(body), 64) {
			if scanBody(body[:cut], false).whole {
				t.Fatal("a prefix counts as whole")
			}
		}
		trimmed := bytes.TrimLeft(body, " \t\r\n")
		valid := json.Valid(body) && len(trimmed) > 0 && trimmed[0] == '{'
		if got.whole && !valid {
			t.Fatalf("%q is whole and no JSON object", body)
		}
		if !got.whole {
			if valid && bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) < maxDepth {
				t.Fatalf("%q is a JSON object and not whole", body)
			}
			return
		}
		var want map[string]any
		if err := json.Unmarshal(body, &want); err != nil {
			return // a number beyond float64: sound JSON all the same
		}
		model, _ := want["model"].(string)
		have := ""
		if !got.model.isZero() {
			have = jsonText(got.model.in(body))
		}
		if have != strings.ToValidUTF8(model, "�") && have != model {
			t.Errorf("model %q, want %q", have, model)
		}
		if got.stream != (want["stream"] == true || want["stream"] == "true") {
			t.Errorf("stream %v, want %v", got.stream, want["stream"])
		}
		options, _ := want["stream_options"].(map[string]any)
		if _, there := options["include_usage"]; there == got.includeUsage.isZero() {
			t.Errorf("include_usage %+v, want %v", got.includeUsage, options)
		}
	})
}

// FuzzWithUsage: the result is the original plus one member.
func FuzzWithUsage(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"model":"a","stream":true}`, `{"stream_options":{}}`, `{"stream_options":{ }}`, `{"stream_options":null}`,
		`{"stream_options":{"include_usage":false,"x":[1]},"stream":true}`, `{"stream_options":{"include_usage":true}}`,
		`{"stream_options":{"include_usage":true},"stream_options":{"a":1}}`, `{"stream_options":{"include_usage":false,"include\u005fusage":false}}`,
		`{"stream_options":[],"a":1}`, `{"stream_options":{"include_usage":"no"}}`, ` { "stream_options" : { "include_usage" : false } } `,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var before map[string]any
		if json.Unmarshal(body, &before) != nil || before == nil {
			if out := withUsage(bytes.Clone(body)); !json.Valid(body) && !bytes.Equal(out, body) {
				t.Fatalf("broken JSON was changed: %q to %q", body, out)
			}
			return
		}
		out := withUsage(body)
		var after map[string]any
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatalf("%q became %q: %v", body, out, err)
		}
		facts := scanBody(body, true)
		if facts.canInject(body) {
			options, _ := before["stream_options"].(map[string]any)
			if options == nil {
				options = map[string]any{}
			}
			options["include_usage"] = true
			before["stream_options"] = options
		} else if !bytes.Equal(out, body) {
			t.Fatalf("%q was changed to %q", body, out)
		}
		want, _ := json.Marshal(before)
		have, _ := json.Marshal(after)
		if !bytes.Equal(want, have) {
			t.Errorf("%q became %q, want %s", body, out, want)
		}
	})
}

func TestWithUsageTouchesNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, body, want string }{
		{"absent", `{ "stream": true }`, `{"stream_options":{"include_usage":true}, "stream": true }`},
		{"an empty body", `{ }`, `{"stream_options":{"include_usage":true} }`},
		{"null", `{"stream_options": null}`, `{"stream_options": {"include_usage":true}}`},
		{"empty options", `{"stream_options": { }}`, `{"stream_options": {"include_usage":true }}`},
		{"other options", `{"stream_options":{"a":{"include_usage":1}}}`, `{"stream_options":{"include_usage":true,"a":{"include_usage":1}}}`},
		{"false", `{"stream_options":{"include_usage" : false , "a":1}}`, `{"stream_options":{"include_usage" : true , "a":1}}`},
		{"the last of two", `{"stream_options":{"include_usage":true},"stream_options":{"include_usage":false}}`, `{"stream_options":{"include_usage":true},"stream_options":{"include_usage":true}}`},
		{"true stays", `{"stream_options":{"include_usage":true}}`, `{"stream_options":{"include_usage":true}}`},
		{"nonsense stays", `{"stream_options":"x"}`, `{"stream_options":"x"}`},
	} {
		if got := string(withUsage([]byte(c.body))); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func BenchmarkScanBody(b *testing.B) {
	body := []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":"` + strings.Repeat("words and words ", 120) + `"}],"stream":true}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		_ = scanBody(body, true)
	}
}
