package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"mimicsync/cmd/mimicsync/internal/advice"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the man pages into a folder",
		Long:  `Man writes one man page per command into DIR, which it creates if needed.`,
		Example: `  mimicsync man ~/.local/share/man/man1
  man mimicsync-pull`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o750); err != nil {
				return &advice.UsageError{Err: err}
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // no date: the same build writes the same pages
			return doc.GenManTree(root, &doc.GenManHeader{Title: "MIMICSYNC", Section: "1", Source: "mimicsync " + version(), Manual: "mimicsync"}, args[0])
		},
	}
}
