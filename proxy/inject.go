package proxy

// canInject reports whether stream_options.include_usage is absent or false, so
// that it may be set: every other value is the client's to answer for.
func (f *bodyFacts) canInject(body []byte) bool {
	if !f.whole {
		return false
	}
	if f.streamOptions.isZero() {
		return true
	}
	switch options := f.streamOptions.in(body); options[0] {
	case '{':
		return f.includeUsage.isZero() || isFalse(f.includeUsage.in(body))
	default:
		return string(options) == "null"
	}
}

func isFalse(value []byte) bool { return string(value) == "false" || string(value) == "null" }

// withUsage returns body, a whole JSON object, with stream_options.include_usage
// set to true and every other byte as it was. A body for which planner.plan says
// nothing of injectUsage comes back as it is.
func withUsage(body []byte) []byte {
	f := scanBody(body, true)
	switch {
	case !f.canInject(body):
		return body
	case f.streamOptions.isZero() && f.empty:
		return splice(body, span{f.open, f.open}, `"stream_options":{"include_usage":true}`)
	case f.streamOptions.isZero():
		return splice(body, span{f.open, f.open}, `"stream_options":{"include_usage":true},`)
	case !f.includeUsage.isZero():
		return splice(body, f.includeUsage, "true")
	}
	if options := f.streamOptions; body[options.start] == '{' {
		inside := span{options.start + 1, options.start + 1}
		if isEmptyObject(options.in(body)) {
			return splice(body, inside, `"include_usage":true`)
		}
		return splice(body, inside, `"include_usage":true,`)
	}
	return splice(body, f.streamOptions, `{"include_usage":true}`)
}

func isEmptyObject(object []byte) bool {
	for _, c := range object[1:] {
		switch c {
		case ' ', '\t', '\n', '\r':
		default:
			return c == '}'
		}
	}
	return false
}

// splice returns body with the bytes of at replaced.
func splice(body []byte, at span, with string) []byte {
	out := make([]byte, 0, len(body)-(at.end-at.start)+len(with))
	out = append(out, body[:at.start]...)
	out = append(out, with...)
	return append(out, body[at.end:]...)
}
