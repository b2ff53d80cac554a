package main

import (
	"context"
	"slices"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/daemon"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// status shows the state of the daemon that owns the mirror.
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
	all := []terminal.VersionStatus{}
	for _, d := range status.Datasets {
		for _, s := range standings(d) {
			if want.Version == "" || want.Version == s.Version {
				all = append(all, s)
			}
		}
	}
	if len(args) > 0 && len(all) == 0 {
		return &advice.UnknownHereError{Ref: want}
	}
	aside, err := tree.QuarantineOf(o.a.mirror, manifest.Ref{})
	if err != nil {
		return err
	}
	if o.a.json {
		return o.a.ui.JSON(map[string]any{"mirror": o.a.mirror, "datasets": all, "quarantine": aside, "daemon": status})
	}
	o.a.ui.Status(all, o.a.mirror)
	o.a.ui.Aside(aside, o.a.mirror)
	o.a.ui.Running(status)
	return nil
}

// standings returns a dataset's versions as the daemon has them, oldest first, in the form
// of the state file's.
func standings(d daemon.DatasetStatus) (all []terminal.VersionStatus) {
	shown := daemon.VersionStatus{Version: d.Version}
	versions := slices.Clone(d.Versions)
	if i := slices.IndexFunc(versions, func(v daemon.VersionStatus) bool { return v.Version == d.Version }); i >= 0 {
		shown = versions[i]
		versions = slices.Delete(versions, i, i+1)
	} else if p := d.Last; p != nil && (p.Version == d.Version || p.Version == "") { // it ended without a manifest
		shown.Last = &daemon.LastPass{
			Kind: string(p.Kind), Start: p.Start, Elapsed: p.Elapsed, State: p.State, Error: p.Error, Failures: p.Failures,
			Files: store.Files{Total: p.Total, Failed: p.Failed},
		}
	}
	shown.Entries, shown.Files, shown.Bytes, shown.Published = d.Entries, d.Files, d.Bytes, d.Published
	shown.Selection = d.Selection
	versions = append(versions, shown)
	slices.SortFunc(versions, func(a, b daemon.VersionStatus) int { return manifest.CompareVersions(a.Version, b.Version) })
	for _, v := range versions {
		all = append(all, terminal.VersionStatus{
			Dataset: d.Dataset, Version: v.Version, Entries: v.Entries, Files: v.Files, Bytes: v.Bytes, Published: v.Published,
			Manifest: v.Manifest, Last: v.Last, Selection: v.Selection,
		})
	}
	return all
}
