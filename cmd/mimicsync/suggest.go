package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/manifest"
)

// noSuchCommand is for commands that only have subcommands: any argument is an unknown one.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := &advice.UsageError{Err: fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())}
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2 // edits, cobra's own default where it suggests by itself
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err.Hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), near[0])
	}
	return err
}

// suggestFlag adds to an error about an unknown flag which one was probably meant.
func suggestFlag(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	typed, best, distance := strings.TrimLeft(unknown.GetSpecifiedName(), "-"), "", 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := manifest.EditDistance(typed, f.Name); !f.Hidden && d < distance && d < len(f.Name)/2 {
			best, distance = f.Name, d
		}
	})
	usage := &advice.UsageError{Err: err}
	if best != "" {
		usage.Hint = fmt.Sprintf("did you mean --%s? See: %s --help", best, cmd.CommandPath())
	}
	return usage
}
