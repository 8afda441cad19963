// Command pursestring enforces budgets in front of a LiteLLM proxy.
//
// This package only joins the others: it loads the settings, builds the parts of
// the chosen plane, starts them in the order of their dependence and stops them
// in reverse (lifecycle.go). serve.go holds the wiring.
//
// Exit codes: 0 done, or stopped by a signal; 1 something failed; 2 the command
// line or the configuration is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	// Time zones of calendar windows must be known in images without any.
	_ "time/tzdata"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal stops gently; from then on a second one kills.
	context.AfterFunc(ctx, stop)
	code := run(ctx, environment{
		args:   os.Args[1:],
		env:    os.Environ(),
		stdout: os.Stdout,
		stderr: os.Stderr,
	})
	stop()
	os.Exit(code)
}

// environment is what a command takes from its process.
type environment struct {
	args   []string
	env    []string
	stdout io.Writer
	stderr io.Writer
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, e environment) int {
	root := newRoot(e)
	root.SetArgs(e.args)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if wrong, ok := errors.AsType[*usageError](err); ok {
		_, _ = fmt.Fprintln(e.stderr, wrong.Error())
		return exitUsage
	}
	_, _ = fmt.Fprintln(e.stderr, "pursestring:", err)
	return exitFailed
}

// usageError is a command line or a configuration that is wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *usageError) Unwrap() error { return e.err }
