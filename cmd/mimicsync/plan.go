package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

func (a *app) planCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan DATASET[@VERSION]...",
		Short: "Say what pull would do",
		Long: `Plan compares the dataset's SHA256SUMS.txt with the mirror and says what pull would
fetch, how many bytes that is where it is known, and whether they fit on the disk.
It fetches the manifest only.`,
		Example: `  mimicsync plan mimic-cxr-jpg
  mimicsync plan mimiciv --include 'icu/'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.plan(cmd.Context(), args) },
	}
	a.mirrorFlags(cmd.Flags())
	a.sourceFlags(cmd.Flags())
	cmd.Flags().BoolVar(&a.json, "json", false, "print the plans as one JSON object")
	return cmd
}

func (a *app) plan(ctx context.Context, args []string) (err error) {
	selection, err := a.selection()
	if err != nil {
		return err
	}
	refs, err := parseRefs(args)
	if err != nil {
		return err
	}
	m, err := a.openMirror(ctx, "plan", true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	var plans []planned
	for _, ref := range refs {
		if ref, err = m.syncer.Resolve(ctx, ref); err != nil {
			return err
		}
		p, err := m.syncer.Plan(ctx, ref, selection)
		if err != nil {
			return err
		}
		plans = append(plans, newPlanned(p))
	}
	if a.json {
		return a.ui.json(map[string][]planned{"plans": plans})
	}
	a.ui.plans(plans, a.mirror)
	return nil
}
