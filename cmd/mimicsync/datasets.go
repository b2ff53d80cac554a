package main

import (
	"github.com/spf13/cobra"

	"mimicsync/manifest"
)

func (a *app) datasetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "datasets",
		Short: "List the datasets of the MIMIC family",
		Long: `Datasets lists what this build knows of the MIMIC family: names, newest known
versions, sizes, and what it takes to get access. Any other PhysioNet project can be
pulled by its name as well.`,
		Example: `  mimicsync datasets
  mimicsync datasets --json | jq -r '.datasets[] | select(.access=="open") | .slug'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.ui.json(map[string][]manifest.Dataset{"datasets": manifest.Catalog()})
			}
			a.ui.datasets(manifest.Catalog())
			return nil
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print it as one JSON object")
	return cmd
}
