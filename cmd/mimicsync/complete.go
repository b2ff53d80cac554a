package main

import (
	"strings"

	"github.com/spf13/cobra"

	"mimicsync/configs"
	"mimicsync/manifest"
)

// completeDatasets completes the name of a known dataset or, after its @, one of its known
// versions. It makes no request.
func completeDatasets(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	name, _, versioned := strings.Cut(typed, "@")
	var found []cobra.Completion
	for _, d := range manifest.Catalog() {
		if !versioned {
			found = append(found, cobra.CompletionWithDesc(d.Slug, d.Title))
			continue
		}
		if d.Slug == name {
			for _, v := range d.Versions {
				found = append(found, d.Slug+"@"+v)
			}
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeOneDataset is completeDatasets for a command with one argument.
func completeOneDataset(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeDatasets(cmd, args, typed)
}

// completeSources completes the last name of a list of sources.
func completeSources(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var found []cobra.Completion
	for _, name := range configs.SourceNames {
		if !strings.Contains(","+before, ","+name+",") {
			found = append(found, before+name)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// flagValues are the values of flags that have a fixed set.
var flagValues = map[string][]cobra.Completion{
	"progress":   {"auto", "bar", "plain", "none"},
	"log-format": {"text", "json"},
	"durability": {"group", "file", "none"},
}

// completeFlags registers the completion of values for all flags of a command and its
// subcommands.
func completeFlags(cmd *cobra.Command) {
	for name, values := range flagValues {
		if cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails only for unknown flags
		}
	}
	if cmd.Flags().Lookup("source") != nil {
		_ = cmd.RegisterFlagCompletionFunc("source", completeSources) // likewise
	}
	for _, name := range []string{"mirror", "state"} {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.MarkFlagDirname(name) // likewise
		}
	}
	for _, sub := range cmd.Commands() {
		completeFlags(sub)
	}
}
