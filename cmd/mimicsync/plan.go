package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/daemon/api"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
)

func (a *app) planCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan DATASET[@VERSION]...",
		Short: "Show what pull would do",
		Long: `Plan compares the dataset's SHA256SUMS.txt with the mirror and shows what pull would
fetch and whether it fits on the disk. For each source of --source it shows the number
of files and bytes, the cost, and the time at the rate of the last pull from there. It
fetches only the manifest, and writes nothing to the mirror.

Sizes come from the source's listing, if it has one. ~ marks sizes derived from the
size that PhysioNet publishes for the version, ~~ estimates by the number of files.
Prices come from the configuration.

A source that would refuse is shown as refused, with the reason and the cure. The exit
code is 4 if all sources refuse a dataset that is not complete, otherwise 0.`,
		Example: `  mimicsync plan mimic-cxr-jpg
  mimicsync plan mimic-cxr-jpg --source gcs,physionet --billing-project my-project
  mimicsync plan mimiciv --include 'icu/'`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: completeDatasets,
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
	one, done, err := a.planner(ctx, selection)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	plans := []api.Plan{}
	var failed error
	for _, ref := range refs { // a failed dataset must not stop the others
		p, err := one(ctx, ref)
		if err == nil {
			plans = append(plans, p)
			if allRefuse(p) {
				a.code = advice.Worse(a.code, advice.ExitAccess)
			}
			continue
		}
		a.code = advice.Worse(a.code, a.ui.Explain(err))
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	if a.json {
		return a.ui.JSONPart("plans", plans, failed)
	}
	a.ui.Plans(plans, a.mirror, a.limits.cost)
	return nil
}

// planner returns a function that makes one plan: for the mirror itself, or through the
// daemon that owns it.
func (a *app) planner(ctx context.Context, selection manifest.Selection) (
	one func(context.Context, manifest.Ref) (api.Plan, error), done func() error, err error,
) {
	o, err := a.findOwner(ctx)
	if err != nil {
		return nil, nil, err
	}
	if o != nil {
		return o.plan, o.close, nil
	}
	m, err := a.openReadOnly(ctx)
	if errors.Is(err, fs.ErrPermission) { // of the state
		m, err = a.openTreeReadOnly(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, ref manifest.Ref) (api.Plan, error) {
		progress := new(progress.Progress)
		defer a.ui.ShowWaits(a.progressStyle(), ref.String(), progress)()
		ref, err := m.syncer.Resolve(ctx, ref, progress)
		if err != nil {
			return api.Plan{}, err
		}
		p, err := m.syncer.PlanFrom(ctx, nil, ref, selection, progress)
		if err != nil {
			return api.Plan{}, err
		}
		return api.NewPlan(p, a.ui.Adviser.ForClient), nil
	}, m.close, nil
}

// allRefuse reports whether there is something to fetch, and every source denies access.
func allRefuse(p api.Plan) bool {
	if p.Fetch+p.Examine == 0 || len(p.Sources) == 0 {
		return false
	}
	return !slices.ContainsFunc(p.Sources, func(s api.SourcePlan) bool { return s.Refused == nil })
}
