package config

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
)

// settle is how long files must be quiet before they are read again: an editor
// or a ConfigMap update makes several events of one change.
const settle = 100 * time.Millisecond

// WatcherOptions are what NewWatcher needs.
type WatcherOptions struct {
	Source  Source
	Started *Config  // what the process started with
	Files   []string // what Load read
	// Signals asks for a reload each time it delivers, as SIGHUP does; nil: only
	// file changes do.
	Signals <-chan os.Signal
	// Apply takes a valid new configuration in which a live setting has changed.
	// It is called from Run's goroutine, one call at a time.
	Apply      func(*Config)
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Watcher reloads the settings when their files change or a signal asks for it.
// A reload that is not valid changes nothing.
type Watcher struct {
	WatcherOptions
	current *Config
	ok      prometheus.Gauge
}

// NewWatcher returns a watcher that has started nothing.
func NewWatcher(o WatcherOptions) *Watcher {
	ok := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pursestring_config_reload_ok",
		Help: "1 when the last reload of the configuration was valid, or none was asked for; 0 when the last good one is still in use.",
	})
	o.Registerer.MustRegister(ok)
	ok.Set(1)
	return &Watcher{WatcherOptions: o, current: o.Started, ok: ok}
}

// Run reloads until ctx ends. Its error is nil: a watch that the system does not
// allow is logged, and signals go on working.
func (w *Watcher) Run(ctx context.Context) error {
	var events <-chan fsnotify.Event
	var failures <-chan error
	if watcher := w.watch(); watcher != nil {
		defer func() { _ = watcher.Close() }()
		events, failures = watcher.Events, watcher.Errors
		// What changed between the start and now makes no event.
		w.reload()
	}
	quiet := time.NewTimer(settle)
	quiet.Stop()
	names := watchedNames(w.Files)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Signals:
			w.reload()
		case event := <-events:
			if slices.Contains(names, filepath.Base(event.Name)) {
				quiet.Reset(settle)
			}
		case err := <-failures:
			w.Log.Warn("configuration changes may have been missed; SIGHUP reloads", slog.Any("err", err))
		case <-quiet.C:
			w.reload()
		}
	}
}

// watch watches the folders of the files, not the files: an editor replaces the
// file, and a ConfigMap swaps the symlink ..data beside it, so that a watch on
// the old file would never fire again. It returns nil when there is no watch.
func (w *Watcher) watch() *fsnotify.Watcher {
	if len(w.Files) == 0 {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		w.Log.Warn("configuration changes are not watched; SIGHUP reloads", slog.Any("err", err))
		return nil
	}
	for _, dir := range folders(w.Files) {
		if err := watcher.Add(dir); err != nil {
			w.Log.Warn("folder is not watched; SIGHUP reloads", slog.String("path", dir), slog.Any("err", err))
		}
	}
	return watcher
}

// configMapLink is the symlink that Kubernetes swaps to update a mounted
// ConfigMap or Secret in one step.
const configMapLink = "..data"

// watchedNames are the names whose events count. The folder may hold busy files,
// such as the store's.
func watchedNames(files []string) []string {
	names := []string{configMapLink}
	for _, file := range files {
		names = append(names, filepath.Base(file))
		if target, err := filepath.EvalSymlinks(file); err == nil {
			names = append(names, filepath.Base(target))
		}
	}
	return names
}

// folders returns where the files lie and, for symlinks, where they lead.
func folders(files []string) []string {
	var dirs []string
	for _, file := range files {
		dirs = append(dirs, filepath.Dir(file))
		if target, err := filepath.EvalSymlinks(file); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// reload reads everything again and hands on what is valid.
func (w *Watcher) reload() {
	loaded, err := Load(w.Source)
	if err != nil {
		w.ok.Set(0)
		w.Log.Error("configuration not reloaded, the last good one stays in use", slog.Any("err", err))
		return
	}
	w.ok.Set(1)
	changes := Diff(w.current, loaded.Config)
	if len(changes) == 0 {
		return
	}
	w.current = loaded.Config
	for _, warning := range loaded.Warnings {
		w.Log.Warn("configuration needs attention", slog.String("warning", warning))
	}
	// Against what the process runs with: a change taken back needs no restart.
	if waiting := keysOf(Diff(w.Started, loaded.Config), true); len(waiting) > 0 {
		w.Log.Warn("changed settings need a restart", slog.Any("keys", waiting))
	}
	if live := keysOf(changes, false); len(live) > 0 {
		w.Apply(loaded.Config)
		w.Log.Info("configuration reloaded", slog.Any("keys", live))
	}
}

func keysOf(changes []Change, restart bool) []string {
	var keys []string
	for _, change := range changes {
		if change.Restart == restart {
			keys = append(keys, change.Key)
		}
	}
	return keys
}
