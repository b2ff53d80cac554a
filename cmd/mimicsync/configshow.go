package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mimicsync/configs"
)

func (a *app) configShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration in effect, and where each value comes from",
		Long: `Show prints the configuration that a command with the same flags would use: flags take
precedence over the environment, the environment over the file, the file over the
defaults. Secrets are not shown.`,
		Example: `  mimicsync config show
  mimicsync config show --bwlimit 10M --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.settle(cmd.Flags()); err != nil {
				return err
			}
			return a.showConfig(cmd.Flags())
		},
	}
	a.mirrorFlags(cmd.Flags())
	a.sourceFlags(cmd.Flags())
	a.limits.passFlags(cmd.Flags())
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object")
	return cmd
}

func (a *app) showConfig(f *pflag.FlagSet) error {
	path, _ := a.configPath()
	text, err := configs.Read(path) // no place for a file means no file
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	force, err := configs.NewInForce(text, filepath.Base(path), a.overrides(f))
	if err != nil {
		return err
	}
	if a.json {
		return a.ui.JSON(force)
	}
	b, err := force.YAML()
	if err != nil {
		return err
	}
	a.ui.Printf("%s", b)
	return nil
}

// withoutPassword hides the user and password of an address, even of an invalid one:
// whatever is before an @ may be part of a password.
func withoutPassword(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "", address
	} else {
		scheme += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		return scheme + "REDACTED" + rest[at:]
	}
	return address
}
