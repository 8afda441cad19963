package proxy

// field is one header line as it was received: exact case, value without the
// blanks around it. Both alias the request's buffer.
type field struct{ name, value []byte }

// requestHead is a request's head as it was received, parsed once. Everything
// aliases the request's buffer and is valid until the handler returns.
type requestHead struct {
	method []byte
	target []byte  // the raw request target in origin form: path, and query if any
	path   []byte  // target up to the first '?'
	query  []byte  // target after the first '?'; nil when there is none
	fields []field // in order, duplicates kept
	// websocket: GET with Upgrade: websocket.
	websocket bool
}

// equalFold compares header names, which are ASCII, without regard to case.
// lower must be lower-case.
func equalFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range name {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
