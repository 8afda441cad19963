package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/store"
)

func newMigrate(e environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the store's schema up or down, or show where it is",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	steps := 1
	down := newMigration(e, "down", "Undo the newest steps; what they had stored is gone",
		func(ctx context.Context, db *store.DB, out io.Writer) error {
			done, err := db.MigrateDown(ctx, steps)
			return printSteps(out, "undone", done, err)
		})
	down.Flags().IntVar(&steps, "steps", 1, "how many steps")
	cmd.AddCommand(
		newMigration(e, "up", "Bring the schema to this version",
			func(ctx context.Context, db *store.DB, out io.Writer) error {
				done, err := db.MigrateUp(ctx)
				return printSteps(out, "applied", done, err)
			}),
		down,
		newMigration(e, "status", "Show every step and when it was applied", printStatus),
	)
	return cmd
}

// newMigration returns a command that does one thing with the store.
func newMigration(e environment, name, short string, do func(context.Context, *store.DB, io.Writer) error) *cobra.Command {
	s := settings{e: e}
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := s.load()
			if err != nil {
				return err
			}
			db, err := openStore(cmd.Context(), loaded.Config)
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }()
			return do(cmd.Context(), db, cmd.OutOrStdout())
		},
	}
	s.addTo(cmd)
	return cmd
}

func openStore(ctx context.Context, c *config.Config) (*store.DB, error) {
	return store.Open(ctx, c.Store.URL.Reveal(), store.Options{})
}

// printSteps says what was done, also when it went wrong in the end.
func printSteps(out io.Writer, verb string, done []store.Migration, err error) error {
	for _, m := range done {
		_, _ = fmt.Fprintf(out, "%s %d %s\n", verb, m.Version, m.Name)
	}
	if err == nil && len(done) == 0 {
		_, _ = fmt.Fprintln(out, "nothing to do")
	}
	return err
}

func printStatus(ctx context.Context, db *store.DB, out io.Writer) error {
	list, err := db.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	for _, m := range list {
		state := "not applied"
		if m.Applied() {
			state = "applied " + m.AppliedAt.Format("2006-01-02 15:04:05 UTC")
		}
		_, _ = fmt.Fprintf(out, "%d %s: %s\n", m.Version, m.Name, state)
	}
	return nil
}
