// Command pursebench measures Pursestring beside the least that a Go proxy can
// do, net/http's proxy and nginx, on one machine, in one run. bench/README.md
// says how to read what it prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pursestring/pursestring/bench/internal/hop"
	"github.com/pursestring/pursestring/bench/internal/mock"
	"github.com/pursestring/pursestring/bench/internal/proc"
	"github.com/pursestring/pursestring/bench/internal/suite"
)

func main() {
	run := bench
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "role-") {
		run = role
	}
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "pursebench:", err)
		}
		os.Exit(1)
	}
}

// role is one of the run's own processes.
func role(args []string) error {
	if _, err := proc.RaiseFiles(0); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	switch args[0] {
	case suite.RoleUpstream:
		return upstream(ln)
	case suite.RoleFast, suite.RoleStd:
		if len(args) != 2 {
			return fmt.Errorf("%s needs the upstream's address", args[0])
		}
		proc.Ready(ln)
		if args[0] == suite.RoleFast {
			return hop.ServeFast(ln, args[1])
		}
		return hop.ServeStd(ln, args[1])
	default:
		return fmt.Errorf("unknown role %q", args[0])
	}
}

// upstream serves the mock and its control endpoint.
func upstream(ln net.Listener) error {
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := mock.NewServer()
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(ln) }()
	go func() {
		s := &http.Server{Handler: server, ReadHeaderTimeout: 5 * time.Second}
		failed <- s.Serve(control)
	}()
	proc.Ready(ln, control)
	return <-failed
}

// settings are the command line.
type settings struct {
	options suite.Options
	out     string
	strict  bool
}

func bench(args []string) error {
	set, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	report, err := suite.Run(ctx, set.options)
	if report == nil {
		return err
	}
	report.Print(os.Stdout)
	if err != nil {
		return err
	}
	if set.out != "" {
		if err := report.Save(set.out); err != nil {
			return fmt.Errorf("save the report: %w", err)
		}
		fmt.Println("\nsaved as", set.out)
	}
	if set.strict && !report.Reached() {
		return errors.New("a target was not reached (-strict)")
	}
	return nil
}

func parse(args []string) (settings, error) {
	set := settings{options: suite.Options{Tier: suite.Full, Progress: os.Stderr}}
	flags := flag.NewFlagSet("pursebench", flag.ContinueOnError)
	short := flags.Bool("short", false, "the tier for CI: everything, small, within a minute")
	flags.BoolVar(&set.strict, "strict", false, "exit 1 when a target is not reached")
	flags.StringVar(&set.out, "out", "", "file for the JSON report; - for none (default: bench/results/DATE-TIER.json)")
	contenders := flags.String("contenders", strings.Join(suite.Names, ","), "what to measure; the bare hop always is")
	only := flags.String("only", "", "scenarios to play, comma separated (default: all)")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *short {
		set.options.Tier = suite.Short
	}
	set.options.Contenders = list(*contenders)
	set.options.Only = list(*only)
	root, err := moduleRoot()
	if err != nil {
		return set, err
	}
	set.options.Root = root
	switch set.out {
	case "":
		name := time.Now().UTC().Format("2006-01-02T150405Z") + "-" + set.options.Tier.Name + ".json"
		set.out = filepath.Join(root, "bench", "results", name)
	case "-":
		set.out = ""
	}
	return set, set.options.Validate()
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// moduleRoot is where go.mod lies.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	file := strings.TrimSpace(string(out))
	if err != nil || file == "" || file == os.DevNull {
		return "", errors.New("run it inside the module: go run ./bench/cmd/pursebench")
	}
	return filepath.Dir(file), nil
}
