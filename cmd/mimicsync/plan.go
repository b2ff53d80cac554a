package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"mimicsync/downloader"
)

func (a *app) planCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan DATASET[@VERSION]...",
		Short: "Say what pull would do",
		Long: `Plan compares the dataset's SHA256SUMS.txt with the mirror and says what pull would
fetch, and whether it fits on the disk; for each source of --source how many files and
bytes that is, what it costs the reader, and how long it takes at the rate that the
last pull saw there. It fetches the manifest only.

Sizes are those of the source's listing, where it gives one. With ~ they are by
PhysioNet's size of the whole version, and with ~~ a guess from the number of files.
Prices are those of the configuration.`,
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
	a.ui.plans(plans, a.mirror, a.limits.cost)
	return nil
}

// planned is a plan as it is printed.
type planned struct {
	Dataset      string          `json:"dataset"`
	Version      string          `json:"version"`
	Total        int64           `json:"files_total"`
	Present      int64           `json:"files_present"`
	Examine      int64           `json:"files_to_examine"`
	Fetch        int64           `json:"files_to_fetch"`
	Unsafe       int64           `json:"files_unsafe"`
	PresentBytes int64           `json:"bytes_present"`
	FetchBytes   int64           `json:"bytes_to_fetch"` // at most about, 0 when unknown
	Free         int64           `json:"disk_free"`
	Missing      int64           `json:"disk_missing"` // 0 when it fits, or when that is unknown
	Sources      []plannedSource `json:"sources"`      // in order of preference
}

// plannedSource is what fetching all from one source would take. What is unknown
// is null.
type plannedSource struct {
	Name    string            `json:"name"`
	Files   int64             `json:"files"`
	Lacks   int64             `json:"files_lacking"` // to fetch, and not in its listing
	Bytes   *int64            `json:"bytes"`
	Basis   downloader.Basis  `json:"bytes_from"` // listing, published, share or unknown
	Cost    *downloader.Money `json:"cost_usd"`
	Seconds *float64          `json:"seconds"`
	Rate    *plannedRate      `json:"rate"` // that was seen last, of files like these if there was one

	free bool
}

type plannedRate struct {
	Bytes float64   `json:"bytes_per_s"`
	Files float64   `json:"files_per_s"`
	Seen  time.Time `json:"seen"`
}

func newPlanned(p *downloader.Plan) planned {
	out := planned{
		Dataset: p.Ref.Dataset, Version: p.Ref.Version, Total: p.Total, Present: p.Present, Examine: p.Examine, Fetch: p.Fetch,
		Unsafe: p.Unsafe, PresentBytes: p.PresentBytes, FetchBytes: p.FetchBytes(), Free: p.Free.Bytes,
	}
	for _, s := range p.Sources {
		if s.Basis == downloader.BasisListing && s.Lacks == 0 {
			out.FetchBytes = s.Bytes
		}
		out.Sources = append(out.Sources, newPlannedSource(s))
	}
	if p.Fetch+p.Examine == 0 {
		out.FetchBytes = 0
	}
	out.Missing = max(out.FetchBytes-out.Free, 0)
	return out
}

func newPlannedSource(s downloader.SourcePlan) plannedSource {
	out := plannedSource{Name: s.Name, Files: s.Files, Lacks: s.Lacks, Basis: s.Basis, free: s.Price.IsFree()}
	if s.Bytes >= 0 {
		out.Bytes = &s.Bytes
	}
	if s.Cost >= 0 {
		out.Cost = &s.Cost
	}
	if took := s.Rate.Elapsed.Seconds(); took > 0 {
		out.Rate = &plannedRate{math.Round(float64(s.Rate.Bytes) / took), math.Round(float64(s.Rate.Files)/took*1000) / 1000, s.Rate.At}
		if s.Bytes >= 0 {
			seconds := math.Round(s.Time.Seconds())
			out.Seconds = &seconds
		}
	}
	return out
}

// plans tells them; limit is what may be spent, nil if all.
func (u *ui) plans(plans []planned, mirror string, limit *downloader.Money) {
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
		if p.FetchBytes > 0 {
			fetch = "at most about " + size(p.FetchBytes)
		} else if p.Fetch == 0 {
			fetch = ""
		}
		row("to fetch", p.Fetch, fetch)
		if p.Unsafe > 0 {
			row("refused", p.Unsafe, "their paths are not safe to write")
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
func (u *ui) plannedSources(all []plannedSource, limit *downloader.Money) {
	u.print("\n")
	w := tabwriter.NewWriter(u.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  SOURCE\tFILES\tSIZE\tCOST\tTIME")
	for _, s := range all {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", s.Name, humanize.Comma(s.Files), s.size(), s.cost(), s.time())
	}
	_ = w.Flush()
	for _, s := range all {
		if s.Lacks > 0 {
			u.print("  %s lacks %s of those to fetch\n", s.Name, count(s.Lacks, "file"))
		}
		if limit != nil && s.Cost != nil && *s.Cost > *limit {
			u.print("  %s would cost more than the limit of %s\n", s.Name, *limit)
		}
	}
}

func (s *plannedSource) size() string {
	switch s.Basis {
	case downloader.BasisListing:
		return size(*s.Bytes)
	case downloader.BasisPublished:
		return "~" + size(*s.Bytes)
	case downloader.BasisShare:
		return "~~" + size(*s.Bytes)
	}
	return "unknown"
}

func (s *plannedSource) cost() string {
	switch {
	case s.free:
		return "free"
	case s.Cost == nil:
		return "unknown"
	}
	return s.Cost.String()
}

func (s *plannedSource) time() string {
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
