package suite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pursestring/pursestring/bench/internal/load"
	"github.com/pursestring/pursestring/bench/internal/mock"
)

// streams: what a hop adds to a stream's first byte and to each event.
func (s *Suite) streams() *scenario {
	t := s.tier
	return &scenario{
		name: "streams",
		title: fmt.Sprintf("%d streams at once, an event every %v, opened at %.0f/s; added to going without a hop; %d rounds of %d events a stream, medians",
			t.Streams, t.StreamInterval, t.StreamsOpening, t.StreamRounds, t.StreamEvents),
		rounds: t.StreamRounds,
		direct: true,
		columns: []column{
			{key: "first_p50_us", title: "first byte p50 µs", added: Direct},
			{key: "first_p99_us", title: "p99 µs", added: Direct},
			{key: "event_p50_us", title: "event p50 µs", added: Direct},
			{key: "event_p99_us", title: "p99 µs", added: Direct},
			{key: "cpu_us", title: "CPU µs/event", digits: 1, ratio: true},
		},
		measure: func(ctx context.Context, c *contender) (sample, error) {
			before, err := c.usage()
			if err != nil {
				return nil, err
			}
			set, err := load.OpenStreams(ctx, c.addr, load.StreamOptions{
				Count: t.Streams, PerSecond: t.StreamsOpening,
				Wish: mock.Wish{Events: t.StreamEvents, Interval: t.StreamInterval},
			})
			if err != nil {
				return nil, err
			}
			set.Wait(ctx)
			after, err := c.usage()
			if err != nil {
				return nil, err
			}
			if n := set.Completed.Load(); n != int64(t.Streams) {
				return nil, fmt.Errorf("%d of %d streams came to their end: %w", n, t.Streams, set.FirstError())
			}
			out := sample{
				"first_p50_us": micro(set.First.Quantile(0.5)),
				"first_p99_us": micro(set.First.Quantile(0.99)),
				"event_p50_us": micro(set.Event.Quantile(0.5)),
				"event_p99_us": micro(set.Event.Quantile(0.99)),
			}
			if c.child != nil {
				out["cpu_us"] = micro(after.CPU-before.CPU) / float64(set.Events.Load())
			}
			return out, nil
		},
		targets: func(r *ScenarioResult) []Target {
			own := r.own()
			at := fmt.Sprintf(" at %d streams, p99", t.Streams)
			return []Target{
				atMost("first byte"+at, own.Added, "first_p99_us", 1000, "%+.0f µs"),
				atMost("each SSE event"+at, own.Added, "event_p99_us", 1000, "%+.0f µs"),
			}
		},
	}
}

// memory: what an open stream takes.
func (s *Suite) memory() *scenario {
	t := s.tier
	count := t.MemoryStreams
	// A hop has two files for each stream, and some of its own.
	if room := (int(s.arena.files) - 200) / 2; room < count {
		count = room
		s.note("%d open files allow %d streams, not %d: memory is measured at that", s.arena.files, count, t.MemoryStreams)
	}
	return &scenario{
		name:  "memory",
		title: fmt.Sprintf("Memory with %d open streams, an event every 2 s on each; resident, a fresh process each", count),
		fresh: true,
		columns: []column{
			{key: "kib", title: "KiB/stream, all told", digits: 1, ratio: true},
			{key: "grown_kib", title: "grown KiB/stream", digits: 1, ratio: true},
			{key: "idle_mib", title: "idle MiB", digits: 1},
			{key: "rss_mib", title: "open MiB", digits: 1},
			{key: "peak_mib", title: "peak MiB", digits: 1},
		},
		measure: func(ctx context.Context, c *contender) (sample, error) {
			idle, err := c.usage()
			if err != nil {
				return nil, err
			}
			set, err := load.OpenStreams(ctx, c.addr, load.StreamOptions{
				Count: count, PerSecond: 1500, Wish: mock.Wish{Events: math.MaxInt32, Interval: 2 * time.Second},
			})
			if err != nil {
				return nil, err
			}
			defer set.Leave()
			wait(ctx, t.MemoryHold)
			open, err := c.usage()
			if err != nil {
				return nil, err
			}
			if n, errs := set.Opened.Load(), set.Errors.Load(); n != int64(count) || errs > 0 {
				return nil, fmt.Errorf("%d of %d streams opened, %d broke off: %w", n, count, errs, set.FirstError())
			}
			return sample{
				"kib":       float64(open.RSS) / 1024 / float64(count),
				"grown_kib": float64(open.RSS-idle.RSS) / 1024 / float64(count),
				"idle_mib":  float64(idle.RSS) / (1 << 20),
				"rss_mib":   float64(open.RSS) / (1 << 20),
				"peak_mib":  float64(open.PeakRSS) / (1 << 20),
			}, nil
		},
		targets: func(r *ScenarioResult) []Target {
			what, key := fmt.Sprintf("memory at %d open streams, each, all told", count), "kib"
			if count < 5000 { // the process itself would be most of it
				what, key = fmt.Sprintf("memory at %d open streams, each, without the process itself", count), "grown_kib"
			}
			return []Target{atMost(what, r.own().Values, key, 48, "%.1f KiB")}
		},
	}
}

// gone: how soon the upstream learns that a client has left a stream.
func (s *Suite) gone() *scenario {
	t := s.tier
	return &scenario{
		name: "gone",
		title: fmt.Sprintf("Client leaves %d begun streams → upstream closed, ms; half by FIN, half by RST; %d = not within it",
			t.GoneStreams, t.GoneLimit.Milliseconds()),
		fresh:  true,
		direct: true,
		columns: []column{
			{key: "silent_p50_ms", title: "silent stream p50", digits: 2},
			{key: "silent_p99_ms", title: "p99", digits: 2},
			{key: "silent_missed", title: "missed"},
			{key: "flowing_p50_ms", title: "event each 50 ms p50", digits: 2},
			{key: "flowing_p99_ms", title: "p99", digits: 2},
			{key: "flowing_missed", title: "missed"},
		},
		measure: func(ctx context.Context, c *contender) (sample, error) {
			out := sample{}
			for kind, wish := range map[string]mock.Wish{
				"silent":  {Events: 1, Hold: true},
				"flowing": {Events: math.MaxInt32, Interval: 50 * time.Millisecond},
			} {
				if err := s.measureGone(ctx, c, kind, wish, out); err != nil {
					return nil, err
				}
			}
			return out, nil
		},
		targets: func(r *ScenarioResult) []Target {
			own := r.own().Values
			return []Target{
				atMost("client gone from a silent stream → upstream closed, p99", own, "silent_p99_ms", 100, "%.1f ms"),
				atMost("client gone from a flowing stream → upstream closed, p99", own, "flowing_p99_ms", 100, "%.1f ms"),
			}
		},
	}
}

func (s *Suite) measureGone(ctx context.Context, c *contender, kind string, wish mock.Wish, out sample) error {
	// Ids are used once: a hop that notices late must not be heard in the next
	// measurement.
	s.streamID += int64(s.tier.GoneStreams)
	wish.ID = s.streamID
	set, err := load.OpenStreams(ctx, c.addr, load.StreamOptions{Count: s.tier.GoneStreams, PerSecond: 500, Wish: wish})
	if err != nil {
		return err
	}
	if n := set.Opened.Load(); n != int64(s.tier.GoneStreams) {
		set.Leave()
		return fmt.Errorf("%d of %d streams opened: %w", n, s.tier.GoneStreams, set.FirstError())
	}
	closed := set.Leave()
	seen, err := s.awaitGone(ctx, closed)
	if err != nil {
		return err
	}
	var took []float64
	for id, at := range closed {
		d := s.tier.GoneLimit
		if end, ok := seen[id]; ok {
			d = min(d, time.Duration(end-at))
		}
		took = append(took, milli(d))
	}
	slices.Sort(took)
	out[kind+"_p50_ms"] = took[len(took)/2]
	out[kind+"_p99_ms"] = took[len(took)*99/100]
	out[kind+"_missed"] = float64(len(closed) - len(seen))
	return nil
}

// awaitGone returns what the upstream has seen of the closed streams, at the
// latest after the limit.
func (s *Suite) awaitGone(ctx context.Context, closed map[int64]int64) (map[int64]int64, error) {
	deadline := time.Now().Add(s.tier.GoneLimit)
	for {
		report, err := mock.FetchReport(ctx, s.arena.control)
		if err != nil {
			return nil, err
		}
		seen := map[int64]int64{}
		for id := range closed {
			if at, ok := report.Gone[id]; ok {
				seen[id] = at
			}
		}
		if len(seen) == len(closed) || time.Now().After(deadline) {
			return seen, nil
		}
		wait(ctx, 20*time.Millisecond)
	}
}

// uploads: whether memory grows with the bodies that pass.
func (s *Suite) uploads() *scenario {
	t := s.tier
	small, large := t.UploadSmall>>20, t.UploadLarge>>20
	return &scenario{
		name: "uploads",
		title: fmt.Sprintf("%d uploads at once, of %d MiB and then of %d MiB each; peak resident, a fresh process each",
			t.Uploads, small, large),
		fresh: true,
		columns: []column{
			{key: "idle_mib", title: "idle MiB", digits: 1},
			{key: "small_mib", title: fmt.Sprintf("peak MiB at %d", small), digits: 1},
			{key: "large_mib", title: fmt.Sprintf("peak MiB at %d", large), digits: 1},
			{key: "grown_mib", title: "grown between", digits: 1},
			{key: "mib_s", title: "MiB/s", ratio: true},
			{key: "cpu_ms", title: "CPU ms/100 MiB", digits: 1, ratio: true},
		},
		measure: func(ctx context.Context, c *contender) (sample, error) {
			idle, err := c.usage()
			if err != nil {
				return nil, err
			}
			if _, err := uploadOnce(ctx, c, t.Uploads, t.UploadSmall); err != nil {
				return nil, err
			}
			first, err := c.usage()
			if err != nil {
				return nil, err
			}
			r, err := uploadOnce(ctx, c, t.Uploads, t.UploadLarge)
			if err != nil {
				return nil, err
			}
			second, err := c.usage()
			if err != nil {
				return nil, err
			}
			sent := float64(t.Uploads) * float64(large)
			return sample{
				"idle_mib":  float64(idle.RSS) / (1 << 20),
				"small_mib": float64(first.PeakRSS) / (1 << 20),
				"large_mib": float64(second.PeakRSS) / (1 << 20),
				"grown_mib": float64(second.PeakRSS-first.PeakRSS) / (1 << 20),
				"mib_s":     sent / r.Elapsed.Seconds(),
				"cpu_ms":    milli(second.CPU-first.CPU) / sent * 100,
			}, nil
		},
		targets: func(r *ScenarioResult) []Target {
			// Ten times the bytes, and the heap may be caught at another point of its
			// collector's cycle.
			return []Target{atMost(fmt.Sprintf("memory from %d × %d MiB to %d × %d MiB", t.Uploads, small, t.Uploads, large),
				r.own().Values, "grown_mib", 16, "%.1f MiB more")}
		},
	}
}

func uploadOnce(ctx context.Context, c *contender, count int, size int64) (*load.Result, error) {
	r := load.Uploads(ctx, c.addr, count, size)
	if r.Errors.Load() > 0 {
		return nil, fmt.Errorf("%d of %d uploads failed: %w", r.Errors.Load(), count, r.FirstError())
	}
	return r, nil
}

// wait waits for d or for ctx's end.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
