package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCheckConfig(e environment) *cobra.Command {
	s := settings{e: e}
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Show everything that is wrong with the configuration",
		Long: `Reads the configuration as serve does, with the environment and the flags, and
prints every problem with its key, its place and its remedy. Exit code 2 when
there is one.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := s.load()
			for _, warning := range loaded.Warnings {
				cmd.PrintErrln("warning:", warning)
			}
			if err != nil {
				return err
			}
			from := "defaults and environment; no file"
			if path := s.source().Path; path != "" {
				from = path
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The configuration is good (%s).\n", from)
			return err
		},
	}
	s.addTo(cmd)
	return cmd
}
