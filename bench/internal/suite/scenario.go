package suite

import (
	"context"
	"fmt"
	"time"
)

// scenario measures one thing on each contender.
type scenario struct {
	name    string
	title   string
	columns []column
	rounds  int
	// direct: also measured without a hop.
	direct bool
	// fresh: each measurement has a process of its own, which nothing has used
	// before; otherwise all share one.
	fresh   bool
	measure func(ctx context.Context, c *contender) (sample, error)
	// targets judges Pursestring's row.
	targets func(r *ScenarioResult) []Target
}

// play runs a scenario's rounds, the contenders taking turns: A B C, A B C.
func (s *Suite) play(ctx context.Context, sc *scenario) (*ScenarioResult, error) {
	order := s.contenders
	if sc.direct {
		order = append([]string{Direct}, order...)
	}
	var rounds []map[string]sample
	failed := map[string]bool{}
	for round := range max(sc.rounds, 1) {
		samples := map[string]sample{}
		for _, name := range order {
			if failed[name] {
				continue
			}
			s.progress("%s, round %d of %d: %s", sc.name, round+1, max(sc.rounds, 1), name)
			got, err := s.measureOne(ctx, sc, name)
			if ctx.Err() != nil { // also without an error: it was cut short
				return nil, context.Cause(ctx)
			}
			if err != nil {
				// The others' numbers are worth having all the same.
				failed[name] = true
				s.failed("%s: %s: %w", sc.name, name, err)
				continue
			}
			samples[name] = got
		}
		rounds = append(rounds, samples)
	}
	result := &ScenarioResult{Name: sc.name, Title: sc.title, columns: sc.columns}
	result.Rows = summarize(order, rounds, sc.columns)
	return result, nil
}

func (s *Suite) measureOne(ctx context.Context, sc *scenario, name string) (sample, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, fmt.Errorf("%s took more than 3 minutes", sc.name))
	defer cancel()
	if !sc.fresh || name == Direct {
		return sc.measure(ctx, s.running[name])
	}
	c, err := s.arena.start(ctx, name)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	return sc.measure(ctx, c)
}
