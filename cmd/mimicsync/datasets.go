package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

func (a *app) datasetsCommand() *cobra.Command {
	var remote bool
	cmd := &cobra.Command{
		Use:   "datasets",
		Short: "List the datasets of the MIMIC family",
		Long: `Datasets lists the MIMIC family as known to this build: names, newest known versions,
sizes, and how to get access. With --remote it asks PhysioNet for all its projects; you
can pull any of them by name.`,
		Example: `  mimicsync datasets
  mimicsync datasets --json | jq -r '.datasets[] | select(.access=="open") | .slug'
  mimicsync datasets --remote | grep -i ecg`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case remote:
				return a.remoteDatasets(cmd.Context())
			case a.json:
				return a.ui.JSON(map[string][]manifest.Dataset{"datasets": manifest.Catalog()})
			}
			a.ui.Datasets(manifest.Catalog())
			return nil
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print it as one JSON object")
	cmd.Flags().BoolVar(&remote, "remote", false, "ask PhysioNet for all its projects")
	return cmd
}

func (a *app) remoteDatasets(ctx context.Context) error {
	source, err := a.openSource(physionetConnections)
	if err != nil {
		return err
	}
	const limit = time.Minute
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer a.noteWait(physionet.Name, limit)()
	projects, err := source.Published(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.ui.JSON(map[string]any{"datasets": projects})
	}
	a.ui.Projects(projects)
	return nil
}
