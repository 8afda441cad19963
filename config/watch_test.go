package config

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

// watched is a running Watcher and what it did.
type watched struct {
	*Watcher
	applied chan *Config
	signals chan os.Signal
	log     *lockedBuffer
}

func watchFile(t *testing.T, path string) *watched {
	t.Helper()
	before := goleak.IgnoreCurrent()
	source := Source{Path: path}
	loaded, err := Load(source)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{applied: make(chan *Config, 16), signals: make(chan os.Signal, 1), log: &lockedBuffer{}}
	w.Watcher = NewWatcher(WatcherOptions{
		Source:     source,
		Started:    loaded.Config,
		Files:      loaded.Files,
		Signals:    w.signals,
		Apply:      func(c *Config) { w.applied <- c },
		Log:        slog.New(slog.NewTextHandler(w.log, nil)),
		Registerer: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		goleak.VerifyNone(t, before)
	})
	return w
}

func (w *watched) next(t *testing.T) *Config {
	t.Helper()
	select {
	case c := <-w.applied:
		return c
	case <-time.After(10 * time.Second):
		t.Fatalf("no reload within 10 s; log:\n%s", w.log.String())
		return nil
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestReloadOnReplacedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, "enforce: {mode: enforce}")
	w := watchFile(t, path)
	// As an editor does: a new file under the old name.
	write(t, path+".new", "enforce: {mode: shadow}\nproxy: {listen: 127.0.0.1:1}")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if got := w.next(t).Enforce.Mode; got != "shadow" {
		t.Errorf("mode is %s, want shadow", got)
	}
	eventually(t, "the log says that proxy.listen needs a restart", func() bool {
		return strings.Contains(w.log.String(), "proxy.listen") && strings.Contains(w.log.String(), "need a restart")
	})
}

func TestReloadOnConfigMapSwap(t *testing.T) {
	// The layout of a mounted ConfigMap: c.yaml → ..data/c.yaml, ..data → ..1.
	dir := t.TempDir()
	for version, text := range map[string]string{"..1": "enforce: {mode: enforce}", "..2": "enforce: {mode: shadow}"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "c.yaml"), text)
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/c.yaml", "c.yaml")
	w := watchFile(t, filepath.Join(dir, "c.yaml"))
	link("..2", "..data_tmp")
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if got := w.next(t).Enforce.Mode; got != "shadow" {
		t.Errorf("mode is %s, want shadow", got)
	}
}

func TestBadReloadKeepsTheLastGoodOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, "enforce: {mode: enforce}")
	w := watchFile(t, path)
	write(t, path, "enforce: {mode: of}")
	eventually(t, "config_reload_ok is 0", func() bool { return testutil.ToFloat64(w.ok) == 0 })
	eventually(t, "the log says what is wrong", func() bool {
		log := w.log.String()
		return strings.Contains(log, "enforce.mode") && strings.Contains(log, "last good one")
	})
	if len(w.applied) != 0 {
		t.Error("a bad configuration was applied")
	}
	write(t, path, "enforce: {mode: shadow}")
	if got := w.next(t).Enforce.Mode; got != "shadow" {
		t.Errorf("mode is %s, want shadow", got)
	}
	eventually(t, "config_reload_ok is 1", func() bool { return testutil.ToFloat64(w.ok) == 1 })
}

func TestReloadOnSignal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, "")
	w := watchFile(t, path)
	w.signals <- syscall.SIGHUP
	write(t, path, "log: {level: debug}")
	w.signals <- syscall.SIGHUP
	if got := w.next(t).Log.Level; got != "debug" {
		t.Errorf("level is %s, want debug", got)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
