package proxy

import "bytes"

// contentNames are the members that hold what a model said, by family.
var contentNames = [...][]string{
	familyChat:            {`"content"`, `"arguments"`, `"reasoning_content"`},
	familyCompletions:     {`"text"`},
	familyResponses:       {`"delta"`},
	familyMessages:        {`"text"`, `"partial_json"`, `"thinking"`},
	familyGenerateContent: {`"text"`},
	familyTool:            nil,
}

// contentIn counts the bytes of what a model said in one event or answer. first
// is the index of the quote before the first of them; -1: there is none.
func contentIn(f family, data []byte) (n int64, first int) {
	first = -1
	if int(f) >= len(contentNames) {
		return 0, first
	}
	for _, name := range contentNames[f] {
		for at := 0; ; {
			i := bytes.Index(data[at:], []byte(name))
			if i < 0 {
				break
			}
			at = skipBlanks(data, at+i+len(name))
			if at == len(data) || data[at] != ':' {
				continue
			}
			at = skipBlanks(data, at+1)
			if at == len(data) || data[at] != '"' {
				continue
			}
			if first < 0 || at < first {
				first = at
			}
			said := stringLength(data[at:])
			n += int64(said)
			at += said + 1
		}
	}
	return n, first
}

func skipBlanks(b []byte, at int) int {
	for at < len(b) && b[at] == ' ' {
		at++
	}
	return at
}

// stringLength returns the number of bytes within the string that b begins with,
// also when its end is missing.
func stringLength(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i - 1
		}
	}
	return len(b) - 1
}
