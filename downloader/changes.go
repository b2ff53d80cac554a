package downloader

import (
	"mimicsync/downloader/report"
	"mimicsync/manifest"
)

// changesBatch is how many removed files are told at once.
const changesBatch = 1000

// tellChanges tells which files became part of the mirror, before they are recorded: after
// a crash a change may be told twice, but none is missed.
func (p *pass) tellChanges(files []*committed) error {
	if p.s.Changes == nil {
		return nil
	}
	var changes []report.Change
	p.tally.mu.Lock()
	for _, f := range files {
		kind := report.Added
		if p.tally.aside[f.entry.Path] {
			kind = report.Replaced
			delete(p.tally.aside, f.entry.Path)
		}
		if f.how != carried {
			changes = append(changes, report.Change{Kind: kind, Path: f.entry.Path, Digest: f.entry.Digest})
		}
	}
	p.tally.mu.Unlock()
	if len(changes) == 0 {
		return nil
	}
	return p.s.Changes(p.ref, changes)
}

// tellRemoved tells which entries of the former manifest the new one no longer has.
func (p *pass) tellRemoved(former, now manifest.Digest) error {
	if p.s.Changes == nil {
		return nil
	}
	var gone []report.Change
	err := p.s.Tree.EachDropped(former, now, func(e manifest.Entry) error {
		if gone = append(gone, report.Change{Kind: report.Removed, Path: e.Path, Digest: e.Digest}); len(gone) < changesBatch {
			return nil
		}
		batch := gone
		gone = nil
		return p.s.Changes(p.ref, batch)
	})
	if err == nil && len(gone) > 0 {
		err = p.s.Changes(p.ref, gone)
	}
	return err
}
