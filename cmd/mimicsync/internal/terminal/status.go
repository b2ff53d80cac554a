package terminal

import (
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/daemon"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// VersionStatus is the status of one dataset version.
type VersionStatus struct {
	Dataset   string           `json:"dataset"`
	Version   string           `json:"version"`
	Entries   int64            `json:"entries"`         // of the manifest
	Files     int64            `json:"files"`           // verified
	Bytes     int64            `json:"bytes"`           // verified
	Published int64            `json:"published_bytes"` // of the whole version, 0 when unknown
	Manifest  time.Time        `json:"manifest_fetched,omitzero"`
	Last      *daemon.LastPass `json:"last_pass,omitempty"`
	Selection manifest.Globs   `json:"selection,omitzero"` // of the last pull; none if it selected all
}

// Status prints a table of the versions in a mirror, and the failures of their last passes.
func (u *UI) Status(all []VersionStatus, mirror string) {
	if len(all) == 0 {
		u.Printf("The mirror %s has no dataset yet.\n", mirror)
		return
	}
	w := tabwriter.NewWriter(u.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "DATASET\tVERSION\tVERIFIED\tOF\tSIZE\tLAST PASS\tENDED")
	for _, s := range all {
		state, when := "-", "-"
		if s.Last != nil {
			state = s.Last.State.String()
			if kind := daemon.Kind(s.Last.Kind); kind == daemon.VerifyPass || kind == daemon.ScrubPass { // complete doesn't mean that everything is here
				state = s.Last.Kind + ": " + state
			}
			when = s.Last.Start.Add(time.Duration(s.Last.Elapsed * float64(time.Second))).Local().Format("2006-01-02 15:04")
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Dataset, s.Version, humanize.Comma(s.Files), humanize.Comma(s.Entries), words.Size(s.Bytes), state, when)
	}
	_ = w.Flush()
	for _, s := range all {
		if part := partOf(s.Files, s.Entries, s.Selection); part != "" && s.Last != nil && s.Last.Complete {
			u.Printf("\n%s%s: complete for %s\n", s.Dataset, words.After(s.Version), part)
		}
		if s.Last == nil || s.Last.State == store.Complete {
			continue
		}
		u.Printf("\n%s%s: %s", s.Dataset, words.After(s.Version), s.Last.State)
		if s.Last.Error != "" && s.Last.State != store.Interrupted {
			u.Printf(": %s", s.Last.Error)
		}
		u.Printf("\n")
		u.failures(s.Last.Failures, s.Last.Files.Failed, nil)
	}
}

// Running prints the state of the daemon, and what people must do.
func (u *UI) Running(s daemon.Status) {
	u.Printf("\nIts daemon has been running since %s", words.Moment(s.Started))
	if s.BytesLimit > 0 {
		u.Printf(", limited to %s/s", words.Size(s.BytesLimit))
	}
	if !s.Window.Open {
		u.Printf(", waiting for its run window")
		if !s.Window.Changes.IsZero() {
			u.Printf(" until %s", words.Moment(s.Window.Changes))
		}
	}
	u.Printf(".\n")
	if s.Paused {
		u.Printf("All datasets are paused; resume with: %s\n", u.Adviser.Command("daemon resume"))
	}
	for _, d := range s.Datasets {
		u.Printf("  %s\n", strings.Join(datasetLine(d, s.Now), ", "))
		if told := s.Paused && d.Condition == daemon.Paused; d.Cure != "" && !told {
			u.Lines("hint", d.Dataset+": "+d.Cure)
		}
	}
}

// saysAll are the conditions whose reason and next refresh already say what a dataset waits
// for, and until when.
var saysAll = map[daemon.Condition]bool{
	daemon.Closed: true, daemon.Paused: true, daemon.Parked: true, daemon.Failing: true, daemon.Limited: true,
}

// datasetLine is the state of a dataset in the daemon, in parts of a line.
func datasetLine(d daemon.DatasetStatus, now time.Time) []string {
	line := d.Dataset + ": " + strings.ReplaceAll(string(d.Condition), "_", " ")
	var waits []string
	if d.Waiting != nil && !saysAll[d.Condition] {
		waits = []string{waitLine(*d.Waiting, now)}
	}
	if p := d.Pass; p != nil {
		parts := []string{line + ": " + string(p.Kind) + words.After(p.Version)}
		if p.Total > 0 || len(waits) == 0 {
			parts = append(parts, advanceOf(p, len(waits) > 0).parts()...)
		}
		return append(parts, waits...)
	}
	if d.Why != "" {
		line += ": " + d.Why
	}
	parts := append([]string{line}, waits...)
	if d.Condition == daemon.Paused {
		return parts
	}
	for _, next := range []struct {
		what string
		at   time.Time
	}{{"refresh", d.Next}, {"verification", d.NextScrub}} {
		if !next.at.IsZero() {
			parts = append(parts, "next "+next.what+" "+words.Moment(next.at))
		}
	}
	return parts
}

// advanceOf returns how far a pass of the daemon has come. While it waits, nobody knows
// how long it will take.
func advanceOf(p *daemon.PassStatus, waits bool) advance {
	a := advance{
		hasVersion: p.Version != "", total: p.Total, done: p.Done, fetched: p.Fetched, expected: p.Expected, rate: -1,
		connections: p.Connections, retries: p.Retries, failed: p.Failed,
	}
	if !waits {
		a.rate, a.left = p.Rate, time.Duration(p.Left)*time.Second
	}
	return a
}

// Quarantine prints how much is in quarantine.
func (u *UI) Quarantine(q tree.Quarantine, mirror string) {
	u.Printf("%s (%s) in quarantine, %s: they didn't match a manifest\n", words.Count(q.Files, "file"), words.Size(q.Bytes), filepath.Join(mirror, store.Dir, "quarantine"))
}

// Aside prints what is in quarantine, and how to remove it.
func (u *UI) Aside(q tree.Quarantine, mirror string) {
	if q.Files > 0 {
		u.Printf("\n")
		u.Quarantine(q, mirror)
		u.Printf("  when nobody needs them, remove them with: %s\n", u.Adviser.Command("prune", "--quarantine"))
	}
}
