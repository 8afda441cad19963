package proxy

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

// nameIs compares a JSON string's inside, escapes as written, with an ASCII name.
func nameIs(raw []byte, name string) bool {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) == name
	}
	for len(name) > 0 {
		c, n := unescape(raw)
		if n == 0 || c != rune(name[0]) {
			return false
		}
		raw, name = raw[n:], name[1:]
	}
	return len(raw) == 0
}

// unescape reads one character of a JSON string's inside and says how many bytes
// it took; 0: none is left.
func unescape(raw []byte) (rune, int) {
	if len(raw) == 0 {
		return 0, 0
	}
	if raw[0] != '\\' {
		return utf8.DecodeRune(raw)
	}
	if len(raw) < 2 {
		return utf8.RuneError, 1
	}
	switch raw[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		if len(raw) < 6 {
			return utf8.RuneError, len(raw)
		}
		var r rune
		for _, c := range raw[2:6] {
			r = r<<4 | rune(hexValue(c))
		}
		return r, 6
	}
	return rune(raw[1]), 2
}

// wholeNumber reads a number of tokens or choices: whole, above 0, and small
// enough to be meant. Anything else says nothing and is 0, so that the call is
// judged as if it named none.
func wholeNumber(text []byte) int64 {
	const most = 1_000_000_000
	if text[0] < '0' || text[0] > '9' {
		return 0
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		if n < 1 || n > most {
			return 0
		}
		return n
	}
	f, err := strconv.ParseFloat(string(text), 64) // 100.0 and 1e3 are whole too
	if err != nil || f != math.Trunc(f) || f < 1 || f > most {
		return 0
	}
	return int64(f)
}
