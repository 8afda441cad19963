package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pursestring/pursestring/bench/internal/load"
	"github.com/pursestring/pursestring/bench/internal/mock"
)

// saturation: as many small JSON calls as go, and what one costs then.
func (s *Suite) saturation() *scenario {
	t := s.tier
	return &scenario{
		name: "saturation",
		title: fmt.Sprintf("CPU per call at saturation: small JSON, %d connections, upstream at once; %d rounds of %v, medians",
			t.SaturationClients, t.SaturationRounds, t.SaturationLength),
		rounds: t.SaturationRounds,
		columns: []column{
			{key: "cpu_us", title: "CPU µs/call", digits: 1, ratio: true},
			{key: "rps", title: "calls/s", ratio: true},
			{key: "p50_us", title: "p50 µs"},
			{key: "p99_us", title: "p99 µs"},
			{key: "errors", title: "errors"},
		},
		measure: func(ctx context.Context, c *contender) (sample, error) {
			return measureCPU(c, func() (*load.Result, error) {
				return load.Closed(ctx, c.addr, load.Chat(mock.Wish{}), t.SaturationClients, t.SaturationLength), nil
			})
		},
		targets: func(r *ScenarioResult) []Target { return cpuTargets(r, "at saturation") },
	}
}

// steady: what a call costs when the machine has time, and each brings its own
// wake-ups.
func (s *Suite) steady() *scenario {
	t := s.tier
	return &scenario{
		name: "steady",
		title: fmt.Sprintf("CPU per call at %.0f calls/s: small JSON, open loop, upstream at once; %d rounds of %v, medians",
			t.SteadyRate, t.SteadyRounds, t.SteadyLength),
		rounds: t.SteadyRounds,
		columns: []column{
			{key: "cpu_us", title: "CPU µs/call", digits: 1, ratio: true},
			{key: "rps", title: "calls/s"},
			{key: "p50_us", title: "p50 µs"},
			{key: "p99_us", title: "p99 µs"},
			{key: "errors", title: "errors"},
		},
		measure: func(ctx context.Context, c *contender) (sample, error) {
			return measureCPU(c, func() (*load.Result, error) {
				return load.Open(ctx, c.addr, load.Chat(mock.Wish{}),
					load.OpenOptions{Rate: t.SteadyRate, Length: t.SteadyLength, Conns: 16, MaxConns: 512})
			})
		},
		targets: func(r *ScenarioResult) []Target { return cpuTargets(r, fmt.Sprintf("at %.0f calls/s", t.SteadyRate)) },
	}
}

// measureCPU runs calls on a contender and divides what it used by them.
func measureCPU(c *contender, run func() (*load.Result, error)) (sample, error) {
	before, err := c.usage()
	if err != nil {
		return nil, err
	}
	r, err := run()
	if err != nil {
		return nil, err
	}
	after, err := c.usage()
	if err != nil {
		return nil, err
	}
	if err := c.accept(r); err != nil {
		return nil, err
	}
	out := sample{
		"rps":    r.Rate(),
		"p50_us": micro(r.Total.Quantile(0.5)),
		"p99_us": micro(r.Total.Quantile(0.99)),
		"errors": float64(r.Errors.Load()),
	}
	if c.child != nil {
		out["cpu_us"] = micro(after.CPU-before.CPU) / float64(r.Calls.Load())
	}
	return out, nil
}

// accept counts a run for the books; one in which calls failed by the dozen
// measures nothing.
func (c *contender) accept(r *load.Result) error {
	c.count(r)
	if calls, errs := r.Calls.Load(), r.Errors.Load(); calls == 0 || errs > calls/100 {
		return errors.Join(fmt.Errorf("%d of %d calls failed", errs, calls+errs), r.FirstError())
	}
	return nil
}

func cpuTargets(r *ScenarioResult, when string) []Target {
	return []Target{atMost("CPU per small JSON call "+when, r.own().Ratios, "cpu_us", 1.5, "%.2f × the bare hop")}
}

// latency: what a hop adds to a call at a fixed rate.
func (s *Suite) latency(rate float64) *scenario {
	t := s.tier
	request := load.Chat(mock.Wish{Delay: t.LatencyDelay})
	return &scenario{
		name: "latency",
		title: fmt.Sprintf("Latency at %.0f calls/s, open loop, upstream %v; time from when a call was due, less the upstream's own; %d rounds of %v, medians",
			rate, t.LatencyDelay, t.LatencyRounds, t.LatencyLength),
		rounds: t.LatencyRounds,
		direct: true,
		columns: []column{
			{key: "p50_us", title: "p50 µs", ratio: true, added: Bare},
			{key: "p99_us", title: "p99 µs", ratio: true, added: Bare},
			{key: "total_p50_us", title: "p50 µs with upstream"},
			{key: "late_p99_us", title: "generator late p99 µs"},
			{key: "rps", title: "calls/s"},
			{key: "errors", title: "errors"},
		},
		measure: func(ctx context.Context, c *contender) (sample, error) {
			r, err := load.Open(ctx, c.addr, request, s.openAt(rate, t.LatencyLength))
			if err != nil {
				return nil, err
			}
			if err := c.accept(r); err != nil {
				return nil, err
			}
			return sample{
				"p50_us":       micro(r.Hop.Quantile(0.5)),
				"p99_us":       micro(r.Hop.Quantile(0.99)),
				"total_p50_us": micro(r.Total.Quantile(0.5)),
				"late_p99_us":  micro(r.Late.Quantile(0.99)),
				"rps":          r.Rate(),
				"errors":       float64(r.Errors.Load()),
			}, nil
		},
		targets: func(r *ScenarioResult) []Target {
			own := r.own()
			what := fmt.Sprintf("latency at %.0f calls/s, %v upstream, ", rate, t.LatencyDelay)
			targets := []Target{
				atMost(what+"p50", own.Added, "p50_us", 25, "%+.0f µs over the bare hop"),
				atMost(what+"p99", own.Ratios, "p99_us", 1.2, "%.2f × the bare hop"),
			}
			for i := range targets {
				targets[i].Doubtful = doubtful(r)
			}
			return targets
		},
	}
}

// doubtful reports whether the generator was so late that what it measured is
// more its own lateness than the hop's.
func doubtful(r *ScenarioResult) bool {
	for _, row := range r.Rows {
		if row.Values["late_p99_us"] > row.Values["p99_us"]/4 && (row.Contender == Bare || row.Contender == Pursestring) {
			return true
		}
	}
	return false
}

// openAt is an open loop with connections enough for the calls in flight.
func (s *Suite) openAt(rate float64, length time.Duration) load.OpenOptions {
	inFlight := max(16, int(rate*(s.tier.LatencyDelay+10*time.Millisecond).Seconds()))
	return load.OpenOptions{Rate: rate, Length: length, Conns: inFlight, MaxConns: 4 * inFlight}
}

// latencyRate is the highest of the wanted rate and its halves, down to an
// eighth, at which the generator is in time on the bare hop: beyond it, what
// would be measured is the generator.
func (s *Suite) latencyRate(ctx context.Context) (float64, error) {
	rate := s.tier.LatencyRate
	for ; rate > s.tier.LatencyRate/8; rate /= 2 {
		for range 2 { // a busy moment is not yet a slow machine
			s.progress("latency: can this machine do %.0f calls/s?", rate)
			can, err := s.canDo(ctx, rate)
			if can || err != nil {
				return rate, err
			}
		}
		s.note("latency: this machine cannot do %.0f calls/s now, with generator, hop and upstream beside each other: measured at %.0f", rate, rate/2)
	}
	return rate, nil
}

func (s *Suite) canDo(ctx context.Context, rate float64) (bool, error) {
	bare := s.running[Bare]
	length := min(s.tier.LatencyLength, 2*time.Second)
	r, err := load.Open(ctx, bare.addr, load.Chat(mock.Wish{Delay: s.tier.LatencyDelay}), s.openAt(rate, length))
	if err != nil {
		return false, err
	}
	bare.count(r)
	return r.Late.Quantile(0.99) < 10*time.Millisecond && r.Hop.Quantile(0.5) < 10*time.Millisecond && r.Errors.Load() == 0,
		context.Cause(ctx)
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
