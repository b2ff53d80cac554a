package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"mimicsync/daemon/api"
	"mimicsync/downloader/cost"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
)

func (a *app) planCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan DATASET[@VERSION]...",
		Short: "Say what pull would do",
		Long: `Plan compares the dataset's SHA256SUMS.txt with the mirror and says what pull would
fetch, and whether it fits on the disk; for each source of --source how many files and
bytes that is, what it costs the reader, and how long it takes at the rate that the
last pull saw there. It fetches the manifest only, and writes nothing in the mirror.

Sizes are those of the source's listing, where it gives one. With ~ they are by
PhysioNet's size of the whole version, and with ~~ a guess from the number of files.
Prices are those of the configuration.

A source that would give nothing is shown as refused, with the reason and what to do.
The exit code is 4 if all sources refuse a dataset that is not complete, else 0.`,
		Example: `  mimicsync plan mimic-cxr-jpg
  mimicsync plan mimic-cxr-jpg --source gcs,physionet --billing-project my-project
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
	one, done, err := a.planner(ctx, selection)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	plans := []api.Plan{}
	var failed error
	for _, ref := range refs { // one that cannot be had does not keep the others away
		p, err := one(ctx, ref)
		if err == nil {
			plans = append(plans, p)
			if allRefuse(p) {
				a.code = worse(a.code, exitAccess)
			}
			continue
		}
		a.code = worse(a.code, a.ui.explain(err))
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	if a.json {
		return a.ui.jsonPart("plans", plans, failed)
	}
	a.ui.plans(plans, a.mirror, a.limits.cost)
	return nil
}

// planner returns what makes one plan: over the mirror, or by the daemon that owns
// it.
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
	m, err := a.lookAtMirror(ctx)
	if errors.Is(err, fs.ErrPermission) { // of the state
		m, err = a.lookAtTree(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, ref manifest.Ref) (api.Plan, error) {
		progress := new(progress.Progress)
		defer a.ui.showWaits(a.progressStyle(), ref.String(), progress)()
		ref, err := m.syncer.Resolve(ctx, ref, progress)
		if err != nil {
			return api.Plan{}, err
		}
		p, err := m.syncer.PlanFrom(ctx, nil, ref, selection, progress)
		if err != nil {
			return api.Plan{}, err
		}
		return api.NewPlan(p, adviseClient), nil
	}, m.close, nil
}

// plans tells them; limit is what may be spent, nil if all.
func (u *ui) plans(plans []api.Plan, mirror string, limit *cost.Money) {
	for _, p := range plans {
		w := tabwriter.NewWriter(u.stdout, 0, 0, 2, ' ', 0)
		row := func(name string, n int64, note string) {
			_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", name, humanize.Comma(n), note)
		}
		u.print("%s %s\n", p.Dataset, p.Version)
		row("files selected", p.Total, "")
		row("present", p.Present, size(p.PresentBytes)+", verified")
		if p.Examine > 0 {
			row("to examine", p.Examine, "found in the mirror: kept if right")
		}
		fetch := "size unknown"
		if p.FetchBytes != nil && *p.FetchBytes > 0 {
			fetch = "at most about " + size(*p.FetchBytes)
		} else if p.Fetch == 0 {
			fetch = ""
		}
		row("to fetch", p.Fetch, fetch)
		if p.Unsafe > 0 {
			row("refused", p.Unsafe, "their paths are not safe to write, or symlinks stand there")
		}
		_ = w.Flush()
		u.print("  free disk in %s: %s\n", mirror, size(p.Free))
		if p.Missing > 0 {
			u.print("  NOT ENOUGH ROOM: about %s are missing\n", size(p.Missing))
		}
		if p.Fetch+p.Examine > 0 {
			u.plannedSources(p.Sources, limit)
		}
	}
}

// plannedSources is a table that fits into 80 columns.
func (u *ui) plannedSources(all []api.SourcePlan, limit *cost.Money) {
	u.print("\n")
	w := tabwriter.NewWriter(u.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  SOURCE\tFILES\tSIZE\tCOST\tTIME")
	for _, s := range all {
		if s.Refused != nil {
			_, _ = fmt.Fprintf(w, "  %s\t-\trefused\t-\t-\n", s.Name)
			continue
		}
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", s.Name, humanize.Comma(s.Files), plannedSize(s), plannedCost(s), plannedTime(s))
	}
	_ = w.Flush()
	for _, s := range all {
		u.plannedTrouble(s)
		if s.Lacks > 0 {
			u.print("  %s lacks %s of those to fetch\n", s.Name, count(s.Lacks, "file"))
		}
		if limit != nil && s.Cost != nil && *s.Cost > *limit {
			u.print("  %s would cost more than the limit of %s\n", s.Name, *limit)
		}
	}
}

// plannedTrouble says why a source gives nothing, and what to do about it; or why
// nobody knows what it has.
func (u *ui) plannedTrouble(s api.SourcePlan) {
	says := func(text string) {
		u.print("  %s\n", wrap(strings.Fields(text), columns(u.stdout), "  "))
	}
	if s.Trouble != "" {
		says(s.Name + " does not say what it has: " + s.Trouble)
	}
	if s.Refused == nil {
		return
	}
	says(s.Name + " refuses: " + strings.TrimPrefix(s.Refused.Says, s.Name+": "))
	for step := range strings.Lines(u.about(s.Refused.Cure)) {
		u.print("    - %s\n", strings.TrimSpace(step)) // whole, to be copied
	}
}

// allRefuse reports whether something is to be fetched, and no source gives it.
func allRefuse(p api.Plan) bool {
	if p.Fetch+p.Examine == 0 || len(p.Sources) == 0 {
		return false
	}
	return !slices.ContainsFunc(p.Sources, func(s api.SourcePlan) bool { return s.Refused == nil })
}

func plannedSize(s api.SourcePlan) string {
	switch s.Basis {
	case report.BasisListing:
		return size(*s.Bytes)
	case report.BasisPublished:
		return "~" + size(*s.Bytes)
	case report.BasisShare:
		return "~~" + size(*s.Bytes)
	}
	return "unknown"
}

func plannedCost(s api.SourcePlan) string {
	switch {
	case s.Cost == nil:
		return "unknown"
	case *s.Cost == 0:
		return "free"
	}
	return s.Cost.String()
}

func plannedTime(s api.SourcePlan) string {
	switch {
	case s.Rate == nil:
		return "unknown: nothing came from there yet"
	case s.Seconds == nil:
		return "unknown"
	}
	rate := size(int64(s.Rate.Bytes)) + "/s"
	if *s.Bytes/max(s.Files, 1) < 1<<20 {
		rate = fmt.Sprintf("%.3g files/s", s.Rate.Files)
	}
	return fmt.Sprintf("%s at %s, seen %s", roughly(time.Duration(*s.Seconds*float64(time.Second))), rate, s.Rate.Seen.Local().Format(time.DateOnly))
}

// roughly is a time as far as one can tell it beforehand.
func roughly(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", max(int(d.Seconds()), 1))
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(math.Round(d.Minutes())))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(math.Round(d.Hours())))
	}
	return fmt.Sprintf("%d days", int(math.Round(d.Hours()/24)))
}
