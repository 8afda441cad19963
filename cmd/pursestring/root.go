package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pursestring/pursestring/config"
)

// newRoot returns the command tree.
func newRoot(e environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "pursestring",
		Short: "Budgets for LLM agents, enforced in front of LiteLLM",
		Long: `Pursestring sits in front of a LiteLLM proxy, finds the tenant of each virtual
key, and answers 402 once the tenant's budget is spent.

Exit codes: 0 done, or stopped by a signal; 1 something failed; 2 the command
line or the configuration is wrong.`,
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newServe(e),
		newDemo(e),
		newMigrate(e),
		newCheckConfig(e),
		newVersion(),
	)
	usageArgs(root)
	return root
}

// usageArgs makes wrong arguments of any command a usageError.
func usageArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageArgs(sub)
	}
}

// settings are the flags by which a command finds its configuration.
type settings struct {
	e     environment
	path  string
	set   []string
	plane string
}

// addTo adds the flags to a command.
func (s *settings) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.path, "config", "", "the configuration `file` (default "+config.DefaultFile+", where it lies in the working folder)")
	cmd.Flags().StringArrayVar(&s.set, "set", nil, "one setting as `key=value`; wins over environment and file; may be repeated")
	cmd.Flags().StringVar(&s.plane, "plane", string(config.PlaneAll), "what to serve: `all`, data (proxy, metrics, health) or admin (API, webhook)")
}

// source returns where the settings come from.
func (s *settings) source() config.Source {
	return config.Source{
		Path:  config.FindFile(s.path, "."),
		Env:   s.e.env,
		Flags: s.set,
		Plane: config.Plane(s.plane),
	}
}

// load reads the settings; what is wrong with them is a usageError.
func (s *settings) load() (config.Loaded, error) {
	source := s.source()
	loaded, err := config.Load(source)
	if err != nil {
		return loaded, &usageError{fmt.Errorf("the configuration is wrong:\n%w", indented{err})}
	}
	return loaded, nil
}

// indented shows an error's lines indented, below a heading.
type indented struct{ error }

func (i indented) Error() string {
	return "  " + strings.ReplaceAll(i.error.Error(), "\n", "\n  ")
}

// Unwrap returns the error as it was.
func (i indented) Unwrap() error { return i.error }

// newLogger returns the process's log, and its level for a reload to change.
func newLogger(e environment, l config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(l.Level.Level())
	options := &slog.HandlerOptions{Level: level}
	if l.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(e.stderr, options)), level
	}
	return slog.New(slog.NewTextHandler(e.stderr, options)), level
}
