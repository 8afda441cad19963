package proxy

import "sync"

// buffers is a pool of byte slices of one size. What has grown is dropped, so
// that a few large requests do not keep memory for good.
type buffers struct {
	size int
	pool sync.Pool
}

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	buf := make([]byte, b.size)
	return &buf
}

// put gives back what get or bufferFor returned; it may be nil. A buffer of
// another size is left to the garbage collector.
func (b *buffers) put(p *[]byte) {
	if p == nil || cap(*p) != b.size {
		return
	}
	*p = (*p)[:b.size]
	b.pool.Put(p)
}

var (
	pool8K  = &buffers{size: 8 << 10}
	pool64K = &buffers{size: 64 << 10}
)

// bufferFor returns a buffer of at least n bytes, from a pool if n is usual.
func bufferFor(n int) *[]byte {
	switch {
	case n <= pool8K.size:
		return pool8K.get()
	case n <= pool64K.size:
		return pool64K.get()
	}
	buf := make([]byte, n)
	return &buf
}

// giveBack returns a buffer of bufferFor. It may be nil.
func giveBack(p *[]byte) {
	switch {
	case p == nil:
	case cap(*p) == pool8K.size:
		pool8K.put(p)
	default:
		pool64K.put(p)
	}
}
