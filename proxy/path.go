package proxy

import "bytes"

// cleanPath returns the path as LiteLLM routes it, and stricter: percent-decoded
// once, runs of slashes collapsed, one trailing slash dropped. It returns path
// itself when there is nothing to clean.
func cleanPath(path []byte) []byte {
	if bytes.IndexByte(path, '%') >= 0 {
		path = percentDecode(path, false)
	}
	if bytes.Contains(path, doubleSlash) {
		out := make([]byte, 0, len(path))
		for i, c := range path {
			if c != '/' || i == 0 || path[i-1] != '/' {
				out = append(out, c)
			}
		}
		path = out
	}
	if len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}

var doubleSlash = []byte("//")

// percentDecode decodes once what is well-formed and leaves the rest, as
// uvicorn does with paths and Python's parse_qsl with queries, where a plus
// stands for a blank.
func percentDecode(b []byte, query bool) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '%' && i+2 < len(b) && isHex(b[i+1]) && isHex(b[i+2]):
			out = append(out, hexValue(b[i+1])<<4|hexValue(b[i+2]))
			i += 2
		case b[i] == '+' && query:
			out = append(out, ' ')
		default:
			out = append(out, b[i])
		}
	}
	return out
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
