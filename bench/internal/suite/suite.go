package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/pursestring/pursestring/bench/internal/proc"
)

// Options are what a run is to do.
type Options struct {
	Tier Tier
	// Root is the module's folder, where ./cmd/pursestring is built.
	Root string
	// Contenders to measure, of Names; the bare hop is always one of them.
	Contenders []string
	// Only names the scenarios to play; empty: all.
	Only []string
	// Progress gets a line for each step.
	Progress io.Writer
}

// Suite is one run.
type Suite struct {
	tier       Tier
	arena      *arena
	contenders []string
	running    map[string]*contender
	report     *Report
	out        io.Writer
	streamID   int64 // the last one used
	failures   []error
}

// scenarioNames in the order of playing.
var scenarioNames = []string{"saturation", "steady", "latency", "streams", "memory", "gone", "uploads"}

// Validate returns what is wrong with the options.
func (o *Options) Validate() error {
	for _, name := range o.Contenders {
		if !slices.Contains(Names, name) {
			return fmt.Errorf("contender %q is none of %v", name, Names)
		}
	}
	for _, name := range o.Only {
		if !slices.Contains(scenarioNames, name) {
			return fmt.Errorf("scenario %q is none of %v", name, scenarioNames)
		}
	}
	return nil
}

// Run plays the scenarios. Every process that it starts has ended when it
// returns. The report holds what was measured until an error, if there is one.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	start := time.Now()
	report := newReport(o.Tier, start)
	allBefore, ownBefore, err := proc.Machinewide()
	if err != nil {
		return report, err
	}
	defer func() { // when all children have ended: only then is their time known
		elapsed := time.Since(start)
		report.Elapsed = elapsed.Round(time.Second).String()
		if all, own, err := proc.Machinewide(); err == nil {
			others := (all - allBefore) - (own - ownBefore)
			report.OthersPercent = math.Round(100 * max(0, others.Seconds()) / (elapsed.Seconds() * float64(runtime.NumCPU())))
		}
	}()
	// The generator waits in system calls with a processor in hand now and then;
	// two more keep its readers from waiting for that.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 2))

	files, err := proc.RaiseFiles(65536)
	if err != nil {
		return report, err
	}
	report.Machine.Files = files
	dir, err := os.MkdirTemp("", "pursebench-")
	if err != nil {
		return report, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder: the system's own cleaning is the net
	arena, err := newArena(ctx, o.Root, dir, files)
	if err != nil {
		return report, err
	}
	defer arena.stop()
	s := &Suite{tier: o.Tier, arena: arena, running: map[string]*contender{}, report: report, out: o.Progress}
	defer s.stopAll()
	if err := s.startAll(ctx, o.Contenders); err != nil {
		return report, err
	}
	if err := s.playAll(ctx, o.Only); err != nil {
		return report, err
	}
	return report, errors.Join(s.failures...)
}

func newReport(tier Tier, now time.Time) *Report {
	cpu, kernel := proc.Machine()
	return &Report{
		Date: now.UTC().Truncate(time.Second),
		Tier: tier.Name,
		Machine: Machine{
			CPU: cpu, Cores: runtime.NumCPU(), Kernel: kernel, Go: runtime.Version(),
			OSArch: runtime.GOOS + "/" + runtime.GOARCH,
		},
	}
}

// startAll starts the contenders. One that is not installed is left out with a
// note.
func (s *Suite) startAll(ctx context.Context, wanted []string) error {
	names := []string{Direct}
	for _, name := range Names {
		if name == Bare || slices.Contains(wanted, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		s.progress("start %s", name)
		c, err := s.arena.start(ctx, name)
		if errors.Is(err, errAbsent) {
			s.note("%v: left out", err)
			continue
		}
		if err != nil && (name == Direct || name == Bare || ctx.Err() != nil) {
			return err
		}
		if err != nil {
			s.failed("%w", err)
			continue
		}
		s.running[name] = c
		if name != Direct {
			s.contenders = append(s.contenders, name)
		}
	}
	return nil
}

func (s *Suite) stopAll() {
	for _, c := range s.running {
		c.stop()
	}
}

// playAll plays the scenarios that are wanted.
func (s *Suite) playAll(ctx context.Context, only []string) error {
	for _, name := range scenarioNames {
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		sc, err := s.scenario(ctx, name)
		if err != nil {
			return err
		}
		result, err := s.play(ctx, sc)
		if err != nil {
			return err
		}
		s.report.Scenarios = append(s.report.Scenarios, result)
		own := s.running[Pursestring]
		if own == nil {
			continue
		}
		s.report.Targets = append(s.report.Targets, sc.targets(result)...)
		if name == "latency" { // the last one whose calls all name their cost
			s.report.Targets = append(s.report.Targets, own.checkBooks(ctx))
		}
	}
	return nil
}

func (s *Suite) scenario(ctx context.Context, name string) (*scenario, error) {
	switch name {
	case "saturation":
		return s.saturation(), nil
	case "steady":
		return s.steady(), nil
	case "latency":
		rate, err := s.latencyRate(ctx)
		if err != nil {
			return nil, err
		}
		return s.latency(rate), nil
	case "streams":
		return s.streams(), nil
	case "memory":
		return s.memory(), nil
	case "gone":
		return s.gone(), nil
	case "uploads":
		return s.uploads(), nil
	default:
		panic("BUG: scenario " + name + " is in the list and cannot be played")
	}
}

func (s *Suite) progress(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
}

// failed keeps an error that spoils a part of the run, not the rest of it.
func (s *Suite) failed(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	s.failures = append(s.failures, err)
	s.note("FAILED: %v", err)
	s.progress("%v", err)
}

func (s *Suite) note(format string, args ...any) {
	s.report.Notes = append(s.report.Notes, fmt.Sprintf(format, args...))
}
