package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

func (a *app) pullCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "pull DATASET[@VERSION]...",
		Short: "Fetch, resume and verify datasets",
		Long: `Pull makes the mirror match the dataset's SHA256SUMS.txt: it fetches missing files,
resumes where an earlier pull or wget stopped, and gives a file its final name only
after its SHA-256 matches. Without a version it takes the newest one.

With --source s3,gcs,physionet, each file comes from the first source that has it;
files that are missing, denied or wrong there come from the next.

If a source is busy or down, pull waits for it; the progress says why and until when.
Everything fetched is saved at once: an interrupted pull resumes where it stopped.

Existing files are hashed and kept if they are right; wrong ones are moved to
.mimicsync/quarantine in the mirror, never deleted.`,
		Example: `  mimicsync pull mimic-iv-demo
  mimicsync login && mimicsync pull mimiciv@3.1 --mirror /data/physionet
  mimicsync pull mimic-cxr-jpg --include 'files/p10/**' --include '*.csv.gz'
  mimicsync pull mimiciv --source s3,physionet
  mimicsync pull mimic-cxr --bwlimit '08:00,2M 19:00,off' --max-transfer 50G`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: completeDatasets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dryRun && a.acceptManifest {
				return advice.Usagef("--accept-manifest: a dry run accepts nothing; leave it out")
			}
			if dryRun && a.changes != "" {
				return advice.Usagef("--changes: a dry run changes nothing; leave it out")
			}
			if dryRun {
				return a.plan(cmd.Context(), args)
			}
			return a.pull(cmd.Context(), args)
		},
	}
	a.mirrorFlags(cmd.Flags())
	a.sourceFlags(cmd.Flags())
	a.limits.passFlags(cmd.Flags())
	cmd.Flags().BoolVar(&a.acceptManifest, "accept-manifest", false, "accept a manifest that lists far fewer files than before")
	cmd.Flags().StringVar(&a.changes, "changes", "", "append a line to this `file` for each path that the pass adds, replaces or finds removed")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be done; fetch only the manifest")
	cmd.Flags().BoolVar(&a.json, "json", false, "print the report as one JSON object")
	cmd.Flags().StringVar(&a.progress, "progress", "auto", "`how` to show progress: auto, bar, plain or none")
	return cmd
}

func (a *app) pull(ctx context.Context, args []string) (err error) {
	selection, err := a.selection()
	if err != nil {
		return err
	}
	passes := []*report.Report{}
	var failed error // of those that ended early
	if a.json {      // in every case, for whoever reads it by program
		defer func() { err = errors.Join(err, a.ui.JSONPart("passes", passes, errors.Join(err, failed))) }()
	}
	refs, err := parseRefs(args)
	if err != nil {
		return err
	}
	one, done, err := a.puller(ctx, selection)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	ctx, stop := downloader.Within(ctx, a.limits.duration)
	defer stop()
	for i, ref := range refs { // a failed dataset must not stop the others
		report, err := one(ctx, ref)
		if left, ok := errors.AsType[*leftError](err); ok {
			a.leave(left)
			a.ui.NotStarted(refs[i+1:])
			break
		}
		passes, failed = append(passes, report), errors.Join(failed, err)
		if !a.json {
			a.ui.Report(report)
		}
		code := advice.ForPass(report)
		if err != nil {
			code = a.ui.ExplainPass(report, err)
		}
		a.code = advice.Worse(a.code, code)
		if ctx.Err() != nil || errors.Is(err, failure.ErrLimit) || errors.Is(err, store.ErrLocked) {
			a.ui.NotStarted(refs[i+1:])
			break
		}
	}
	return nil
}

// puller returns what runs one pass: over the mirror, or by the daemon that owns
// it.
func (a *app) puller(ctx context.Context, selection manifest.Selection) (
	one func(context.Context, manifest.Ref) (*report.Report, error), done func() error, err error,
) {
	o, err := a.findOwner(ctx)
	if err != nil {
		return nil, nil, err
	}
	if o != nil && a.changes != "" {
		return nil, nil, errors.Join(advice.Usagef("--changes: a daemon owns this mirror; its hooks get the list as MIMICSYNC_CHANGES"), o.close())
	}
	if o != nil {
		return o.pull, o.close, nil
	}
	m, err := a.openMirror(ctx, "pull", true)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, ref manifest.Ref) (*report.Report, error) {
		return a.pullOne(ctx, m, ref, selection)
	}, m.close, nil
}

func (a *app) pullOne(ctx context.Context, m *mirror, ref manifest.Ref, selection manifest.Selection) (*report.Report, error) {
	ctx, release := m.whileOwned(ctx)
	defer release()
	progress := new(progress.Progress)
	stop := a.ui.Show(a.progressStyle(), ref.String(), progress, m.budgets)
	defer stop()
	ref, err := m.syncer.Resolve(ctx, ref, progress)
	if err != nil {
		return &report.Report{Dataset: ref.Dataset, State: store.Failed, Err: err}, err
	}
	a.ui.Rename(ref.String())
	if a.acceptManifest {
		m.syncer.AcceptManifest(ref)
	}
	return m.syncer.Pull(ctx, ref, selection, progress)
}
