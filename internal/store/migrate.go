package store

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/pursestring/pursestring/internal/budget"
	"github.com/pursestring/pursestring/migrations"
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string    // the file's name
	AppliedAt time.Time // UTC; zero: not applied
}

// Applied reports whether the schema has the step.
func (m Migration) Applied() bool { return !m.AppliedAt.IsZero() }

// MigrateUp brings the schema to this version and returns the steps it took; none
// when there was nothing to do. Any number of processes may call it at once: one
// migrates, the others wait for it and find nothing left. A step that fails is
// undone, the steps before it stay.
func (db *DB) MigrateUp(ctx context.Context) ([]Migration, error) {
	var done []Migration
	err := db.migrate(ctx, func(p *goose.Provider) error {
		before, after, err := p.GetVersions(ctx)
		if err != nil {
			return err
		}
		if before > after {
			return ahead(before, after)
		}
		results, err := p.Up(ctx)
		done = stepsOf(results, db.now())
		return err
	})
	if err != nil {
		return done, db.fail(err, "migrate store %q up", db.path)
	}
	return done, nil
}

// MigrateDown undoes the newest steps, at most as many as it is told, and returns
// them. What the undone steps had stored is gone.
func (db *DB) MigrateDown(ctx context.Context, steps int) ([]Migration, error) {
	var done []Migration
	err := db.migrate(ctx, func(p *goose.Provider) error {
		for range steps {
			result, err := p.Down(ctx)
			if errors.Is(err, goose.ErrNoNextVersion) {
				return nil
			}
			if err != nil {
				return err
			}
			done = append(done, stepsOf([]*goose.MigrationResult{result}, time.Time{})...)
		}
		return nil
	})
	if err != nil {
		return done, db.fail(err, "migrate store %q down", db.path)
	}
	return done, nil
}

// MigrationStatus returns every step this version knows, oldest first.
func (db *DB) MigrationStatus(ctx context.Context) ([]Migration, error) {
	var list []Migration
	err := db.migrate(ctx, func(p *goose.Provider) error {
		status, err := p.Status(ctx)
		for _, s := range status {
			m := Migration{Version: s.Source.Version, Name: path.Base(s.Source.Path)}
			if s.State == goose.StateApplied {
				m.AppliedAt = s.AppliedAt.UTC()
			}
			list = append(list, m)
		}
		return err
	})
	if err != nil {
		return nil, db.fail(err, "read the schema of store %q", db.path)
	}
	return list, nil
}

// CheckSchema reports whether the schema is the one this version works with:
// budget.ErrUnavailable when it is behind or ahead, saying what to do about it. It
// waits for a migration that is under way.
func (db *DB) CheckSchema(ctx context.Context) error {
	err := db.migrate(ctx, func(p *goose.Provider) error {
		has, needs, err := p.GetVersions(ctx)
		switch {
		case err != nil:
			return err
		case has > needs:
			return ahead(has, needs)
		case has < needs:
			return &budget.Error{Code: budget.CodeUnavailable, Field: "store.url", Message: fmt.Sprintf(
				`the store's schema is at version %d and this version needs %d: run "pursestring migrate up"`, has, needs)}
		}
		return nil
	})
	if err != nil {
		return db.fail(err, "check the schema of store %q", db.path)
	}
	return nil
}

func ahead(has, knows int64) error {
	return &budget.Error{Code: budget.CodeUnavailable, Field: "store.url", Message: fmt.Sprintf(
		`the store's schema is at version %d and this version knows only %d: run the newer pursestring, or its "pursestring migrate down" first`, has, knows)}
}

// migrate runs fn while no other process looks at the schema or changes it.
func (db *DB) migrate(ctx context.Context, fn func(*goose.Provider) error) error {
	unlock, err := db.lockMigrations(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := goose.NewProvider(goose.DialectSQLite3, db.write, migrations.SQLite(),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	// Not closed: that would close the pool, which is ours.
	return fn(p)
}

func stepsOf(results []*goose.MigrationResult, at time.Time) []Migration {
	var list []Migration
	for _, r := range results {
		if r != nil && r.Error == nil {
			list = append(list, Migration{Version: r.Source.Version, Name: path.Base(r.Source.Path), AppliedAt: at.UTC()})
		}
	}
	return list
}
