// Package hist counts durations in logarithmic buckets.
package hist

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	subBits = 8 // 256 buckets for each power of two: at most 0.4 % wide
	sub     = 1 << subBits
	maxBits = 41 // durations from 2^41 ns, 36 minutes, on share the last bucket
	buckets = (maxBits - subBits + 1) * sub
)

// Hist is a histogram of durations from 1 ns to about 36 minutes. Its quantiles
// are exact to 0.4 %, its memory is constant. It is safe for concurrent use; the
// zero value is empty and ready. It must not be copied.
type Hist struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64
	peak   atomic.Int64
}

// Record counts one duration. A negative one counts as zero.
func (h *Hist) Record(d time.Duration) {
	ns := max(int64(d), 0)
	h.counts[index(uint64(ns))].Add(1)
	h.sum.Add(ns)
	for {
		old := h.peak.Load()
		if ns <= old || h.peak.CompareAndSwap(old, ns) {
			return
		}
	}
}

// index is the bucket of a value: below 256 the value itself, above it the
// power of two and the eight bits after the leading one.
func index(v uint64) int {
	if v < sub {
		return int(v)
	}
	length := min(bits.Len64(v), maxBits)
	if length == maxBits {
		v = min(v, 1<<maxBits-1)
	}
	shift := length - subBits - 1
	return (shift+1)<<subBits + int(v>>shift)&(sub-1)
}

// value is the middle of a bucket.
func value(i int) time.Duration {
	if i < sub {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	low := uint64(sub|i&(sub-1)) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}

// Count returns how many durations were recorded.
func (h *Hist) Count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Quantile returns the smallest recorded duration, to 0.4 %, that at least a
// share q of all recorded ones do not exceed. q is clamped to 0–1. An empty
// histogram answers 0.
func (h *Hist) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	q = min(max(q, 0), 1)
	rank := max(uint64(math.Ceil(q*float64(total))), 1)
	var seen uint64
	for i := range h.counts {
		seen += h.counts[i].Load()
		if seen >= rank {
			return min(value(i), h.Max())
		}
	}
	return h.Max()
}

// Mean returns the exact mean; 0 when empty.
func (h *Hist) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return time.Duration(h.sum.Load() / int64(n))
}

// Max returns the largest recorded duration, exactly.
func (h *Hist) Max() time.Duration { return time.Duration(h.peak.Load()) }
