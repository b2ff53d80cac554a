package terminal

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/daemon/api"
	"mimicsync/downloader/cost"
	"mimicsync/downloader/report"
)

// Plans prints plans; limit is the most to spend, nil for no limit.
func (u *UI) Plans(plans []api.Plan, mirror string, limit *cost.Money) {
	for _, p := range plans {
		w := tabwriter.NewWriter(u.Stdout, 0, 0, 2, ' ', 0)
		row := func(name string, n int64, note string) {
			_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", name, humanize.Comma(n), note)
		}
		u.Printf("%s %s\n", p.Dataset, p.Version)
		row("files selected", p.Total, "")
		row("present", p.Present, words.Size(p.PresentBytes)+", verified")
		if p.Examine > 0 {
			row("to examine", p.Examine, "found in the mirror; kept if right")
		}
		if p.Link > 0 {
			row("to link", p.Link, words.Size(p.LinkBytes)+", from elsewhere in the mirror")
		}
		fetch := "size unknown"
		if p.FetchBytes != nil && *p.FetchBytes > 0 {
			fetch = "at most about " + words.Size(*p.FetchBytes)
		} else if p.Fetch == 0 {
			fetch = ""
		}
		row("to fetch", p.Fetch, fetch)
		if p.Unsafe > 0 {
			row("refused", p.Unsafe, "unsafe paths, or symlinks in their place")
		}
		_ = w.Flush()
		u.Printf("  free disk in %s: %s\n", mirror, words.Size(p.Free))
		if p.Missing > 0 {
			u.Printf("  NOT ENOUGH SPACE: about %s missing\n", words.Size(p.Missing))
		}
		if p.Fetch+p.Examine > 0 {
			u.plannedSources(p.Sources, limit)
		}
	}
}

// plannedSources is a table that fits into 80 columns.
func (u *UI) plannedSources(all []api.SourcePlan, limit *cost.Money) {
	u.Printf("\n")
	w := tabwriter.NewWriter(u.Stdout, 0, 0, 2, ' ', 0)
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
		if s.Rate == nil && s.Refused == nil && s.Bytes != nil && *s.Bytes > 0 {
			u.Printf("  from %s: %s\n", s.Name, timeAtRates(*s.Bytes))
		}
		if s.Lacks > 0 {
			u.Printf("  %s lacks %s to fetch\n", s.Name, words.Count(s.Lacks, "file"))
		}
		if limit != nil && s.Cost != nil && *s.Cost > *limit {
			u.Printf("  %s would cost more than the limit of %s\n", s.Name, *limit)
		}
	}
}

// plannedTrouble says why a source denies access, and what to do about it; or why its
// listing is unknown.
func (u *UI) plannedTrouble(s api.SourcePlan) {
	says := func(text string) {
		u.Printf("  %s\n", words.Wrap(strings.Fields(text), Columns(u.Stdout), "  "))
	}
	if s.Trouble != "" {
		says(s.Name + " can't list its files: " + s.Trouble)
	}
	if s.Refused == nil {
		return
	}
	says(s.Name + " refuses: " + strings.TrimPrefix(s.Refused.Says, s.Name+": "))
	for step := range strings.Lines(s.Refused.Cure) {
		u.Printf("    - %s\n", strings.TrimSpace(step)) // whole, so that it can be copied
	}
}

func plannedSize(s api.SourcePlan) string {
	switch s.Basis {
	case report.BasisListing:
		return words.Size(*s.Bytes)
	case report.BasisPublished:
		return "~" + words.Size(*s.Bytes)
	case report.BasisShare:
		return "~~" + words.Size(*s.Bytes)
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
		return "no pass yet"
	case s.Seconds == nil:
		return "unknown"
	}
	rate := words.Size(int64(s.Rate.Bytes)) + "/s"
	if *s.Bytes/max(s.Files, 1) < 1<<20 {
		rate = fmt.Sprintf("%.3g files/s", s.Rate.Files)
	}
	return fmt.Sprintf("%s at %s, seen %s", words.Roughly(time.Duration(*s.Seconds*float64(time.Second))), rate, s.Rate.Seen.Local().Format(time.DateOnly))
}

// timeAtRates says how long bytes take at three rates: users know which is theirs, and
// nothing was fetched yet that would tell.
func timeAtRates(bytes int64) string {
	var parts []string
	for _, mega := range []int64{1, 5, 20} {
		parts = append(parts, fmt.Sprintf("%s at %d MB/s", words.Roughly(time.Duration(float64(bytes)/float64(mega*1e6)*float64(time.Second))), mega))
	}
	return strings.Join(parts, ", ")
}
