package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// Every quantile of the histogram is within 0.4 % of the same quantile of the
// sorted values, over nine powers of ten.
func TestQuantileAgainstSortedValues(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var h Hist
	var all []time.Duration
	for range 50_000 {
		d := time.Duration(math.Pow(10, 9*rng.Float64()))
		all = append(all, d)
		h.Record(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
		got := h.Quantile(q)
		if off := math.Abs(float64(got-want)) / float64(want); off > 0.004 {
			t.Errorf("quantile %v: got %v, want %v (%.2f %% off)", q, got, want, off*100)
		}
	}
	if h.Max() != all[len(all)-1] {
		t.Errorf("max: got %v, want %v", h.Max(), all[len(all)-1])
	}
	if n := h.Count(); n != 50_000 {
		t.Errorf("count: got %d", n)
	}
}

// A value and its bucket's middle are neighbours, and buckets never go back.
func TestBucketsAreMonotonic(t *testing.T) {
	t.Parallel()
	last := -1
	for exp := range maxBits {
		for _, v := range []uint64{1 << exp, 1<<exp | 1<<exp>>1, 2<<exp - 1} {
			i := index(v)
			if i < 0 || i >= buckets {
				t.Fatalf("value %d: bucket %d of %d", v, i, buckets)
			}
			if i < last {
				t.Errorf("value %d: bucket %d after %d", v, i, last)
			}
			last = i
			if off := math.Abs(float64(value(i))-float64(v)) / float64(v); off > 0.004 {
				t.Errorf("value %d: bucket's middle is %d", v, value(i))
			}
		}
	}
}

func TestEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   []time.Duration
		want time.Duration // the median
		mean time.Duration
	}{
		{"an empty histogram answers 0", nil, 0, 0},
		{"a negative duration counts as 0", []time.Duration{-5}, 0, 0},
		{"one value is every quantile", []time.Duration{7}, 7, 7},
		{"the mean is exact", []time.Duration{100, 200, 330}, 200, 210},
		{"a value beyond the range is counted, not lost", []time.Duration{1, math.MaxInt64, math.MaxInt64}, value(buckets - 1), -1},
	} {
		var h Hist
		for _, d := range c.in {
			h.Record(d)
		}
		if got := h.Quantile(0.5); got != c.want {
			t.Errorf("%s: median %v, want %v", c.name, got, c.want)
		}
		if got := h.Mean(); c.mean >= 0 && got != c.mean {
			t.Errorf("%s: mean %v, want %v", c.name, got, c.mean)
		}
		if got := h.Count(); got != uint64(len(c.in)) {
			t.Errorf("%s: count %d, want %d", c.name, got, len(c.in))
		}
	}
}

func TestConcurrentRecordLosesNothing(t *testing.T) {
	t.Parallel()
	var h Hist
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2_000 {
				h.Record(time.Duration(w*2_000 + i))
			}
		})
	}
	wg.Wait()
	if n := h.Count(); n != 16_000 {
		t.Errorf("count: got %d, want 16000", n)
	}
	if h.Max() != 15_999 {
		t.Errorf("max: got %v, want 15999ns", h.Max())
	}
}

func BenchmarkRecord(b *testing.B) {
	b.ReportAllocs()
	var h Hist
	for b.Loop() {
		h.Record(123_456)
	}
}
