package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// lifecycle starts parts in the order of their dependence and stops them in
// reverse. It is used by one goroutine.
type lifecycle struct {
	log    *slog.Logger
	parts  []part
	failed chan error // the first part that ended by itself
}

// part is something started that must be stopped.
type part struct {
	name string
	stop func(context.Context) error
}

func newLifecycle(log *slog.Logger) *lifecycle {
	return &lifecycle{log: log, failed: make(chan error, 1)}
}

// onStop adds something to be done at the end, before everything added earlier.
func (l *lifecycle) onStop(name string, stop func(context.Context) error) {
	l.parts = append(l.parts, part{name, stop})
}

// run starts a part that works until its context ends. When it is its turn to
// stop, its context ends and it is waited for: it may take until the stop's
// deadline for a last flush.
func (l *lifecycle) run(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := l.start(ctx, name, func() error { return run(ctx) })
	l.onStop(name, func(stop context.Context) error {
		cancel()
		return waitFor(stop, ended)
	})
}

// serve starts a server whose serve blocks until shutdown.
func (l *lifecycle) serve(name string, serve func() error, shutdown func(context.Context) error) {
	stopping, cancel := context.WithCancel(context.Background())
	ended := l.start(stopping, name, serve)
	l.onStop(name, func(stop context.Context) error {
		cancel()
		return errors.Join(shutdown(stop), waitFor(stop, ended))
	})
}

// start runs work in a goroutine. Its end before stopping has ended is a failure.
func (l *lifecycle) start(stopping context.Context, name string, work func() error) <-chan error {
	ended := make(chan error, 1)
	go func() {
		err := work()
		if stopping.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			err = fmt.Errorf("%s: %w", name, err)
			select {
			case l.failed <- err:
			default: // one reason to stop is enough
			}
			err = nil // reported
		}
		ended <- err
	}()
	return ended
}

// waitFor returns how a part ended, or that it did not in time.
func waitFor(stop context.Context, ended <-chan error) error {
	select {
	case err := <-ended:
		if errors.Is(err, context.Canceled) {
			return nil // how it was told to end
		}
		return err
	case <-stop.Done():
		return context.Cause(stop)
	}
}

// errTooLong is the cause of a stop that took longer than it may.
var errTooLong = errors.New("did not stop in time")

// stop stops every part, the last started first, all within one deadline. A part
// that fails, or takes too long, does not keep the others from being stopped.
func (l *lifecycle) stop(within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), within, errTooLong)
	defer cancel()
	var errs []error
	for len(l.parts) > 0 {
		p := l.parts[len(l.parts)-1]
		l.parts = l.parts[:len(l.parts)-1]
		began := time.Now()
		err := p.stop(ctx)
		attrs := []any{slog.String("part", p.name), slog.Duration("took", time.Since(began))}
		if err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
			l.log.Error("part stopped badly", append(attrs, slog.Any("err", err))...)
			continue
		}
		l.log.Info("part stopped", attrs...)
	}
	return errors.Join(errs...)
}
