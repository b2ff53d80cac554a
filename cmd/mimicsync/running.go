package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/daemon"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// status tells what the daemon that owns the mirror has and does.
func (o *owner) status(ctx context.Context, args []string) error {
	status, err := o.Status(ctx)
	if err != nil {
		return err
	}
	var want manifest.Ref
	if len(args) > 0 {
		if want, err = manifest.ParseRef(args[0]); err != nil {
			return err
		}
		status.Datasets = slices.DeleteFunc(status.Datasets, func(d daemon.DatasetStatus) bool { return d.Dataset != want.Dataset })
	}
	all := []standing{}
	for _, d := range status.Datasets {
		for _, s := range standings(d) {
			if want.Version == "" || want.Version == s.Version {
				all = append(all, s)
			}
		}
	}
	if len(args) > 0 && len(all) == 0 {
		return &unknownHereError{want}
	}
	aside, err := tree.QuarantineOf(o.a.mirror, manifest.Ref{})
	if err != nil {
		return err
	}
	if o.a.json {
		return o.a.ui.json(map[string]any{"mirror": o.a.mirror, "datasets": all, "quarantine": aside, "daemon": status})
	}
	o.a.ui.status(all, o.a.mirror)
	o.a.ui.aside(aside, o.a.mirror)
	o.a.ui.running(status)
	return nil
}

// standings are what a daemon says of a dataset's versions, the oldest first, in
// the form of the state file's. Of the one that it works on it knows more.
func standings(d daemon.DatasetStatus) (all []standing) {
	shown := daemon.VersionStatus{Version: d.Version}
	versions := slices.Clone(d.Versions)
	if i := slices.IndexFunc(versions, func(v daemon.VersionStatus) bool { return v.Version == d.Version }); i >= 0 {
		shown = versions[i]
		versions = slices.Delete(versions, i, i+1)
	} else if p := d.Last; p != nil && (p.Version == d.Version || p.Version == "") { // it did not come to a manifest
		shown.Last = &daemon.LastPass{
			Kind: string(p.Kind), Start: p.Start, Elapsed: p.Elapsed, State: p.State, Error: p.Error, Failures: p.Failures,
			Files: store.Files{Total: p.Total, Failed: p.Failed},
		}
	}
	shown.Entries, shown.Files, shown.Bytes, shown.Published = d.Entries, d.Files, d.Bytes, d.Published
	versions = append(versions, shown)
	slices.SortFunc(versions, func(a, b daemon.VersionStatus) int { return manifest.CompareVersions(a.Version, b.Version) })
	for _, v := range versions {
		all = append(all, standing{
			Dataset: d.Dataset, Version: v.Version, Entries: v.Entries, Files: v.Files, Bytes: v.Bytes, Published: v.Published,
			Manifest: v.Manifest, Last: v.Last,
		})
	}
	return all
}

// running tells what the daemon does, and what a person must do.
func (u *ui) running(s daemon.Status) {
	u.print("\nIts daemon has been running since %s", moment(s.Started))
	if s.BytesLimit > 0 {
		u.print(", receives at most %s/s", size(s.BytesLimit))
	}
	if !s.Window.Open {
		u.print(", and waits for its run window")
		if !s.Window.Changes.IsZero() {
			u.print(" until %s", moment(s.Window.Changes))
		}
	}
	u.print(".\n")
	if s.Paused {
		u.print("%s", u.about("All datasets are paused; go on with: mimicsync daemon resume\n"))
	}
	for _, d := range s.Datasets {
		u.print("  %s\n", strings.Join(standingNow(d, s.Now), ", "))
		if told := s.Paused && d.Condition == daemon.Paused; d.Cure != "" && !told {
			u.lines("hint", d.Dataset+": "+d.Cure)
		}
	}
}

// saysAll are the conditions whose reason and next refresh say for what a dataset
// waits, and until when.
var saysAll = map[daemon.Condition]bool{
	daemon.Closed: true, daemon.Paused: true, daemon.Parked: true, daemon.Failing: true, daemon.Limited: true,
}

// standingNow is how a dataset stands in the daemon, in parts of a line.
func standingNow(d daemon.DatasetStatus, now time.Time) []string {
	line := d.Dataset + ": " + strings.ReplaceAll(string(d.Condition), "_", " ")
	var waits []string
	if d.Waiting != nil && !saysAll[d.Condition] {
		waits = []string{waitLine(*d.Waiting, now)}
	}
	if p := d.Pass; p != nil {
		parts := []string{line + ": " + string(p.Kind) + after(p.Version)}
		if p.Total > 0 || len(waits) == 0 {
			parts = append(parts, progressNow(p, waits)...)
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
			parts = append(parts, "next "+next.what+" "+moment(next.at))
		}
	}
	return parts
}

// progressNow is how far a pass has come, in the words of the plain progress. While
// it waits, nobody knows how long it will take.
func progressNow(p *daemon.PassStatus, waits []string) []string {
	if p.Total == 0 {
		return []string{asking(p.Version != "", p.Connections, p.Retries)}
	}
	got := size(p.Fetched)
	if p.Expected > p.Fetched {
		got += " of " + size(p.Expected)
	}
	parts := []string{fmt.Sprintf("%s of %s files", humanize.Comma(p.Done), humanize.Comma(p.Total)), got}
	if len(waits) == 0 {
		parts = append(parts, size(p.Rate)+"/s")
	}
	if p.Left > 0 && len(waits) == 0 {
		parts = append(parts, "about "+elapsed(time.Duration(p.Left)*time.Second)+" left")
	}
	if p.Connections > 0 {
		parts = append(parts, plural(p.Connections, "connection", "connections"))
	}
	if p.Retries > 0 {
		parts = append(parts, plural(p.Retries, "retry", "retries"))
	}
	if p.Failed > 0 {
		parts = append(parts, humanize.Comma(p.Failed)+" failed")
	}
	return parts
}

func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
