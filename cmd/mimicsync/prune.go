package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader"
	"mimicsync/downloader/report"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
)

func (a *app) pruneCommand() *cobra.Command {
	var keep int
	var yes, quarantine bool
	cmd := &cobra.Command{
		Use:   "prune [DATASET[@VERSION]]",
		Short: "Remove old versions from the mirror",
		Long: `Prune removes the versions of a dataset, or of all datasets, that are older than the
newest complete version; or the version that you name. It shows how much space that
frees, and asks first.

A file that is also in a newer version is one file with two names: removing one of them
frees nothing. Prune keeps files without a record, the newest complete version, newer
versions, and versions that the configuration file names.

With --quarantine it removes the files in .mimicsync/quarantine instead: files that
didn't match a manifest. Some may be your own; status counts them.`,
		Example: `  mimicsync prune
  mimicsync prune mimic-cxr-jpg --keep 1
  mimicsync prune mimic-cxr-jpg@2.0.0 --yes
  mimicsync prune --quarantine`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeOneDataset,
		RunE: func(cmd *cobra.Command, args []string) error {
			given := &keep
			if !cmd.Flags().Changed("keep") {
				given = nil
			}
			switch {
			case keep < 0:
				return advice.Usagef("--keep %d: it must not be negative", keep)
			case quarantine && given != nil:
				return advice.Usagef("--keep concerns old versions, which --quarantine doesn't touch")
			case quarantine:
				return a.emptyQuarantine(cmd.Context(), args, yes)
			}
			return a.prune(cmd.Context(), args, given, yes)
		},
	}
	a.mirrorFlags(cmd.Flags())
	cmd.Flags().IntVar(&keep, "keep", 0, "also keep the newest `N` of the old versions (default: as configured, otherwise 0)")
	cmd.Flags().BoolVar(&yes, "yes", false, "remove them without asking")
	cmd.Flags().BoolVar(&quarantine, "quarantine", false, "remove the files in quarantine instead of old versions")
	cmd.Flags().BoolVar(&a.json, "json", false, "print the result as one JSON object; needs --yes")
	return cmd
}

// pruner removes versions: from the mirror itself, or through the daemon that owns it.
type pruner interface {
	// planPrune says what would be removed; keep is nil if the configuration decides.
	planPrune(ctx context.Context, args []string, keep *int) ([]*report.Pruned, error)
	// prune returns what was removed, even after an error; nil if nothing was.
	prune(ctx context.Context, ref manifest.Ref) (*report.Pruned, error)
	close() error
}

// pruner returns the one for the mirror.
func (a *app) pruner(ctx context.Context) (pruner, error) {
	o, err := a.findOwner(ctx)
	if err != nil {
		return nil, err
	}
	if o != nil {
		return o, nil
	}
	m, err := a.openMirror(ctx, "prune", false)
	if err != nil {
		return nil, err
	}
	return &localPruner{m, a}, nil
}

func (a *app) prune(ctx context.Context, args []string, keep *int, yes bool) (err error) {
	if a.json && !yes {
		return advice.Usagef("--json can't ask: add --yes")
	}
	if _, err := parseRefs(args); err != nil {
		return err
	}
	results := []*report.Pruned{}
	if a.json { // in every case: it has been removed
		defer func() { err = errors.Join(err, a.ui.JSONPart("pruned", results, err)) }()
	}
	p, err := a.pruner(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	old, err := p.planPrune(ctx, args, keep)
	if err != nil {
		return err
	}
	if !a.json {
		sure, err := a.confirmPrune(ctx, old, yes)
		if err != nil || !sure {
			return err
		}
	}
	for _, planned := range old {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		result, err := p.prune(ctx, manifest.Ref{Dataset: planned.Dataset, Version: planned.Version})
		if result != nil {
			results = append(results, result)
			if !a.json {
				a.ui.Pruned(result)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// localPruner removes versions itself.
type localPruner struct {
	*mirror

	a *app
}

func (p *localPruner) planPrune(ctx context.Context, args []string, keep *int) ([]*report.Pruned, error) {
	if _, err := p.known(args); err != nil {
		return nil, err
	}
	var want manifest.Ref
	if len(args) > 0 {
		want, _ = manifest.ParseRef(args[0]) // it is known
	}
	old, err := p.syncer.Prunable(ctx, want, p.a.retentions(keep))
	if err != nil {
		return nil, err
	}
	var plans []*report.Pruned
	for _, ref := range old {
		plan, err := p.syncer.PlanPrune(ctx, ref)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

func (p *localPruner) prune(ctx context.Context, ref manifest.Ref) (*report.Pruned, error) {
	ctx, release := p.whileOwned(ctx)
	defer release()
	return p.syncer.Prune(ctx, ref)
}

// retentions says which old versions the configuration keeps, and --keep in its place.
func (a *app) retentions(keep *int) downloader.Retentions {
	rules := downloader.Retentions{Datasets: map[string]downloader.Retention{}, Old: keep}
	for _, d := range a.file.Datasets {
		if ref, err := d.Ref(); err == nil {
			rules.Datasets[ref.Dataset] = downloader.Retention{Old: d.KeepOldVersions, Version: ref.Version}
		}
	}
	return rules
}

// emptyQuarantine empties the quarantine itself, whoever owns the mirror.
func (a *app) emptyQuarantine(ctx context.Context, args []string, yes bool) error {
	if a.json && !yes {
		return advice.Usagef("--json can't ask: add --yes")
	}
	refs, err := parseRefs(args)
	if err != nil {
		return err
	}
	if err := checkMirror(a.mirror, false); err != nil {
		return err
	}
	var ref manifest.Ref // zero: of all datasets
	if len(refs) > 0 {
		ref = refs[0]
	}
	if !a.json {
		q, err := tree.QuarantineOf(a.mirror, ref)
		if err != nil {
			return err
		}
		if q.Files == 0 {
			a.ui.Printf("Nothing to remove: the quarantine is empty.\n")
			return nil
		}
		a.ui.Quarantine(q, a.mirror)
		if sure, err := a.confirm(ctx, yes); err != nil || !sure {
			return err
		}
	}
	q, err := tree.EmptyQuarantine(ctx, a.mirror, ref)
	if err != nil {
		return err
	}
	if a.json {
		return a.ui.JSON(map[string]any{"quarantine": q})
	}
	a.ui.Printf("removed %s (%s)\n", words.Count(q.Files, "file"), words.Size(q.Bytes))
	return nil
}

// confirmPrune shows what would be removed, and asks.
func (a *app) confirmPrune(ctx context.Context, old []*report.Pruned, yes bool) (bool, error) {
	if len(old) == 0 {
		a.ui.Printf("Nothing to remove: there is no version older than a complete one, except those to keep.\n")
		return false, nil
	}
	for _, plan := range old {
		a.ui.PrunePlan(plan)
	}
	return a.confirm(ctx, yes)
}

// confirm asks whether to remove what was shown, unless yes is set.
func (a *app) confirm(ctx context.Context, yes bool) (bool, error) {
	switch {
	case yes:
		return true, nil
	case !terminal.StdinIsTerminal():
		return false, advice.Usagef("nothing was removed: there is no terminal to ask; add --yes")
	}
	answer, err := a.ui.Ask(ctx, "Remove this from the mirror "+a.mirror+"? Type yes: ", terminal.ReadLine)
	if err == nil && answer != "yes" {
		a.ui.Notef("nothing was removed")
	}
	return answer == "yes", err
}
