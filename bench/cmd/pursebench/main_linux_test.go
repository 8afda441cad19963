package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pursestring/pursestring/bench/internal/suite"
)

// The benchmark starts its own executable again for each of its processes: in a
// test, that is the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "role-") {
		main()
		return
	}
	os.Exit(m.Run())
}

// tiny is a tier that shows that everything works, and nothing else.
func tiny() suite.Tier {
	t := suite.Short
	t.Name = "tiny"
	t.SaturationRounds, t.SaturationLength, t.SaturationClients = 1, 100*time.Millisecond, 4
	t.SteadyRounds, t.SteadyLength, t.SteadyRate = 1, 100*time.Millisecond, 200
	t.LatencyRounds, t.LatencyLength, t.LatencyRate, t.LatencyDelay = 1, 200*time.Millisecond, 100, 5*time.Millisecond
	t.Streams, t.StreamEvents, t.StreamInterval = 10, 3, 10*time.Millisecond
	t.MemoryStreams, t.MemoryHold = 20, 10*time.Millisecond
	t.GoneStreams, t.GoneLimit = 6, 200*time.Millisecond
	t.Uploads, t.UploadSmall, t.UploadLarge = 2, 1<<20, 2<<20
	return t
}

// Every scenario runs from start to end on the two yardsticks, with their
// processes started and ended.
func TestAllScenariosOnTheYardsticks(t *testing.T) {
	report, err := suite.Run(t.Context(), suite.Options{
		Tier: tiny(), Contenders: []string{suite.Bare, suite.Std}, Progress: io.Discard,
	})
	if err != nil {
		t.Fatalf("%v\nnotes: %s", err, strings.Join(report.Notes, "\n"))
	}
	want := map[string][]string{ // scenario → numbers that cannot be zero
		"saturation": {"rps", "p50_us"},
		"steady":     {"rps", "p50_us"},
		"latency":    {"rps", "total_p50_us"},
		"streams":    {"first_p50_us", "event_p50_us"},
		"memory":     {"kib", "idle_mib", "rss_mib"},
		"gone":       {"silent_p99_ms", "flowing_p99_ms"},
		"uploads":    {"large_mib", "mib_s"},
	}
	if len(report.Scenarios) != len(want) {
		t.Errorf("%d scenarios, want %d", len(report.Scenarios), len(want))
	}
	for _, s := range report.Scenarios {
		seen := map[string]bool{}
		for _, row := range s.Rows {
			seen[row.Contender] = true
			for _, key := range want[s.Name] {
				if row.Values[key] <= 0 {
					t.Errorf("%s, %s: %s is %v", s.Name, row.Contender, key, row.Values[key])
				}
			}
		}
		if !seen[suite.Bare] || !seen[suite.Std] {
			t.Errorf("%s has rows of %v only", s.Name, seen)
		}
	}
	if len(report.Targets) != 0 {
		t.Errorf("targets without Pursestring: %v", report.Targets)
	}
}

// An interrupted run ends soon, with its reason, and returns what it has.
func TestInterruptEndsTheRun(t *testing.T) {
	reason := errors.New("someone pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	tier := tiny()
	tier.SaturationLength, tier.SaturationRounds = time.Minute, 100
	progress := writerFunc(func(p []byte) (int, error) {
		if strings.HasPrefix(string(p), "saturation") {
			time.AfterFunc(50*time.Millisecond, func() { cancel(reason) })
		}
		return len(p), nil
	})
	start := time.Now()
	report, err := suite.Run(ctx, suite.Options{Tier: tier, Progress: progress})
	if !errors.Is(err, reason) || report == nil {
		t.Errorf("error %v, report %v", err, report)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestParse(t *testing.T) {
	t.Parallel()
	set, err := parse([]string{"-short", "-strict", "-contenders", "nginx, net/http", "-only", "gone"})
	if err != nil {
		t.Fatal(err)
	}
	if set.options.Tier.Name != "short" || !set.strict || len(set.options.Contenders) != 2 || set.options.Only[0] != "gone" {
		t.Errorf("%+v", set)
	}
	if filepath.Base(filepath.Dir(set.out)) != "results" || !strings.HasSuffix(set.out, "-short.json") {
		t.Errorf("report goes to %q", set.out)
	}
	if set, err = parse([]string{"-out", "-"}); err != nil || set.out != "" || set.options.Tier.Name != "full" {
		t.Errorf("%+v, %v", set, err)
	}
	for _, args := range [][]string{{"-only", "speed"}, {"-contenders", "apache"}, {"extra"}, {"-nope"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
