package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/pursestring/pursestring/admin"
	"github.com/pursestring/pursestring/config"
)

// reloading says where the configuration is read again.
type reloading struct {
	source  config.Source
	files   []string
	signals <-chan os.Signal
}

// startReload watches the configuration. Only settings that are marked live in
// the reference change; the rest is what the process was started with.
func (s *server) startReload(context.Context) error {
	r := s.o.reload
	if r == nil {
		return nil
	}
	watcher := config.NewWatcher(config.WatcherOptions{
		Source: r.source, Started: s.config, Files: r.files, Signals: r.signals,
		Apply: s.apply, Log: s.log, Registerer: s.registry,
	})
	s.life.run("configuration watcher", watcher.Run)
	return nil
}

// apply takes over the live settings of c.
func (s *server) apply(c *config.Config) {
	s.live.Store(c)
	if err := s.applyTokens(c); err != nil {
		s.log.Error("admin tokens not reloaded, the last ones stay in use", slog.Any("err", err))
	}
	settings := enforceSettings(c)
	settings.MasterKey = s.config.MasterKeyHash() // needs a restart
	s.enforcer.Reload(settings)
	if s.o.level != nil {
		s.o.level.Set(c.Log.Level.Level())
	}
}

func (s *server) applyTokens(c *config.Config) error {
	if s.api == nil {
		return nil
	}
	found, err := findCredentials(c)
	if err != nil {
		return err
	}
	tokens, err := admin.ParseTokens(found.tokens)
	if err != nil {
		return err
	}
	s.api.SetTokens(tokens)
	return nil
}
