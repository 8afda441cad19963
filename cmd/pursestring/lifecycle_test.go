package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder notes what happened, in order.
type recorder struct {
	mu    sync.Mutex
	notes []string
}

func (r *recorder) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, s)
}

func TestLifecycleStopsInReverse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLifecycle(slog.New(slog.NewTextHandler(&log, nil)))
		r := &recorder{}
		l.onStop("store", func(context.Context) error { r.note("store closed"); return nil })
		l.run("enforcer", func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(2 * time.Second) // the last flush
			r.note("enforcer flushed")
			return ctx.Err()
		})
		serving := make(chan struct{})
		l.serve("proxy",
			func() error { <-serving; r.note("proxy ended"); return nil },
			func(context.Context) error { r.note("proxy drained"); close(serving); return nil })
		l.onStop("readiness", func(context.Context) error { r.note("not ready"); return nil })
		if err := l.stop(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		want := []string{"not ready", "proxy drained", "proxy ended", "enforcer flushed", "store closed"}
		if !slices.Equal(r.notes, want) {
			t.Errorf("got %q, want %q", r.notes, want)
		}
		if text := log.String(); !strings.Contains(text, "part=enforcer took=2s") {
			t.Errorf("the log does not say how long each part took:\n%s", text)
		}
		if err := l.stop(time.Second); err != nil || len(r.notes) != len(want) {
			t.Errorf("a second stop does something again: %v, %q", err, r.notes)
		}
	})
}

func TestLifecycleGoesOnAfterABadPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLifecycle(slog.New(slog.DiscardHandler))
		broken := errors.New("broken")
		closed := false
		l.onStop("store", func(context.Context) error { closed = true; return nil })
		l.onStop("bad", func(context.Context) error { return broken })
		release := make(chan struct{})
		l.run("stuck", func(context.Context) error { <-release; return nil })
		began := time.Now()
		err := l.stop(5 * time.Second)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %s, want the deadline of 5s", took)
		}
		if !errors.Is(err, errTooLong) || !errors.Is(err, broken) || !closed {
			t.Errorf("got %v and store closed %v, want both errors and the store closed", err, closed)
		}
		close(release)
	})
}

func TestLifecycleReportsAPartThatEnds(t *testing.T) {
	t.Parallel()
	l := newLifecycle(slog.New(slog.DiscardHandler))
	broken := errors.New("broken")
	l.run("first", func(context.Context) error { return broken })
	if err := <-l.failed; !errors.Is(err, broken) || !strings.Contains(err.Error(), "first") {
		t.Errorf("got %v, want the error with the part's name", err)
	}
	l.run("second", func(context.Context) error { return nil })
	if err := <-l.failed; err == nil || !strings.Contains(err.Error(), "second: ended by itself") {
		t.Errorf("got %v, want that the part ended by itself", err)
	}
	if err := l.stop(time.Second); err != nil {
		t.Errorf("what was reported once is reported again: %v", err)
	}
}
