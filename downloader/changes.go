package downloader

import (
	"errors"
	"io"

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
	var err error
	still := manifest.SelectPaths(func(yield func(string) bool) {
		err = p.eachOf(now, func(e manifest.Entry) error {
			yield(e.Path)
			return nil
		})
	})
	if err != nil {
		return err
	}
	var gone []report.Change
	flush := func() error {
		all := gone
		gone = nil
		if len(all) == 0 {
			return nil
		}
		return p.s.Changes(p.ref, all)
	}
	err = p.eachOf(former, func(e manifest.Entry) error {
		if !still.Match(e.Path) {
			gone = append(gone, report.Change{Kind: report.Removed, Path: e.Path, Digest: e.Digest})
		}
		if len(gone) < changesBatch {
			return nil
		}
		return flush()
	})
	return errors.Join(err, flush())
}

// eachOf visits the entries of a kept manifest. One that is lost has none.
func (p *pass) eachOf(d manifest.Digest, visit func(manifest.Entry) error) error {
	f, err := p.s.Tree.OpenManifest(d)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // opened for reading only
	r := manifest.NewReader(f)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = visit(e)
		}
		if err != nil {
			return err
		}
	}
}
