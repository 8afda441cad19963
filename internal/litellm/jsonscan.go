package litellm

import "bytes"

// eachMember calls f with the name (without quotes, escapes as written) and the
// value of each member of the JSON object in b, in order, until f returns false.
// It reports false when b is no whole object. It allocates nothing: usage is
// read on every call that passes.
func eachMember(b []byte, f func(name, value []byte) bool) bool {
	return each(b, '{', '}', true, f)
}

// eachElement is eachMember for a JSON array; the name is nil.
func eachElement(b []byte, f func(name, value []byte) bool) bool {
	return each(b, '[', ']', false, f)
}

func each(b []byte, opening, closing byte, named bool, f func(name, value []byte) bool) bool {
	b = skipSpace(b)
	if len(b) == 0 || b[0] != opening {
		return false
	}
	b = skipSpace(b[1:])
	if len(b) > 0 && b[0] == closing {
		return true
	}
	for {
		var name, value []byte
		if named {
			end := stringEnd(b)
			if end < 0 {
				return false
			}
			name, b = b[1:end-1], skipSpace(b[end:])
			if len(b) == 0 || b[0] != ':' {
				return false
			}
			b = skipSpace(b[1:])
		}
		end := valueEnd(b)
		if end <= 0 {
			return false
		}
		value, b = b[:end], skipSpace(b[end:])
		if !f(name, value) {
			return true
		}
		switch {
		case len(b) > 0 && b[0] == ',':
			b = skipSpace(b[1:])
		case len(b) > 0 && b[0] == closing:
			return true
		default:
			return false
		}
	}
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// stringEnd returns the index after the closing quote of the string that b
// begins with, or -1.
func stringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return -1
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// valueEnd returns the index after the value that b begins with, or -1. Only
// what finds the end is checked; the caller checks the value it wants.
func valueEnd(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	switch b[0] {
	case '"':
		return stringEnd(b)
	case '{', '[':
		return nestedEnd(b)
	}
	if end := bytes.IndexAny(b, ",}] \n\t\r"); end >= 0 {
		return end
	}
	return len(b)
}

func nestedEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			end := stringEnd(b[i:])
			if end < 0 {
				return -1
			}
			i += end - 1
		}
	}
	return -1
}
