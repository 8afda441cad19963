package proxy

// How much of a JSON answer is kept to look for usage in: all of a middling one,
// the end of a long one, where OpenAI and Google put it.
const (
	mostBody = 1 << 20
	bodyTail = 64 << 10
)

// bodyBuffer keeps a JSON answer, or its end.
type bodyBuffer struct {
	kept []byte
	cut  bool // only the end is kept
}

func (b *bodyBuffer) reset() { *b = bodyBuffer{kept: reusable(b.kept)} }

func (b *bodyBuffer) add(chunk []byte) {
	switch {
	case !b.cut && len(b.kept)+len(chunk) <= mostBody:
		b.kept = append(b.kept, chunk...)
		return
	case !b.cut:
		b.cut = true
		b.kept = append([]byte(nil), lastBytes(b.kept, bodyTail)...) // lets go of the rest
	}
	chunk = lastBytes(chunk, bodyTail)
	if len(b.kept)+len(chunk) > 2*bodyTail {
		b.kept = b.kept[:copy(b.kept, lastBytes(b.kept, bodyTail-len(chunk)))]
	}
	b.kept = append(b.kept, chunk...)
}

// bytes returns what is kept: the whole answer, or at most its last 64 KiB.
func (b *bodyBuffer) bytes() []byte {
	if b.cut {
		return lastBytes(b.kept, bodyTail)
	}
	return b.kept
}

func lastBytes(b []byte, n int) []byte { return b[max(0, len(b)-max(n, 0)):] }
