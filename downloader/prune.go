package downloader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/tree"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

const (
	pruneBatch = 1000 // files whose records one transaction drops
	maxLeft    = 20
)

// Retention says which old versions of a dataset to keep.
type Retention struct {
	Old     int    // how many, the newest first
	Version string // and this one, unless empty
}

// Retentions are the rules of all datasets.
type Retentions struct {
	Datasets map[string]Retention // by dataset; a dataset without one keeps no old version
	Old      *int                 // unless nil, how many old versions every dataset keeps instead
}

func (r Retentions) of(dataset string) Retention {
	rule := r.Datasets[dataset]
	if r.Old != nil {
		rule.Old = *r.Old
	}
	return rule
}

// Prunable returns the versions that pruning may remove, oldest first: for each dataset,
// the versions older than the newest complete one, except those to keep. An empty dataset
// or version in want selects all. If want names a version that is the newest, the newest
// complete, or Retention.Version, the error wraps ErrKept. A version is complete if every entry
// has a record and its file is still in the mirror.
func (s *Syncer) Prunable(ctx context.Context, want manifest.Ref, rules Retentions) ([]manifest.Ref, error) {
	all, err := s.Store.Versions()
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b store.Version) int { return manifest.CompareVersions(b.Ref.Version, a.Ref.Version) })
	of := map[string][]store.Version{} // the newest first
	for _, v := range all {
		if want.Dataset != "" && want.Dataset != v.Ref.Dataset {
			continue
		}
		of[v.Ref.Dataset] = append(of[v.Ref.Dataset], v)
	}
	var refs []manifest.Ref
	for _, dataset := range slices.Sorted(maps.Keys(of)) {
		old, err := s.prunable(ctx, of[dataset], want.Version, rules.of(dataset))
		if err != nil {
			return nil, err
		}
		refs = append(refs, old...)
	}
	return refs, nil
}

// prunable is Prunable for the versions of one dataset, newest first.
func (s *Syncer) prunable(ctx context.Context, versions []store.Version, version string, rule Retention) (refs []manifest.Ref, err error) {
	complete := len(versions)
	for i, v := range versions {
		all, err := s.isComplete(ctx, v)
		if err != nil {
			return nil, err
		}
		if all {
			complete = i
			break
		}
	}
	for i, v := range slices.Backward(versions) {
		switch {
		case v.Ref.Version == rule.Version && version == "":
		case v.Ref.Version == rule.Version && version == rule.Version:
			return nil, fmt.Errorf("%w: %s is the version that the configuration names", failure.ErrKept, v.Ref)
		case version == "" && i > complete+max(rule.Old, 0), version == v.Ref.Version && i > 0 && i != complete:
			refs = append(refs, v.Ref)
		case version == v.Ref.Version && i == complete:
			return nil, fmt.Errorf("%w: %s is the newest version that is complete here", failure.ErrKept, v.Ref)
		case version == v.Ref.Version:
			return nil, fmt.Errorf("%w: %s is the newest version that is here", failure.ErrKept, v.Ref)
		}
	}
	return refs, nil
}

// isComplete reports whether every file of a version has a record and still matches it:
// someone may have removed files since, or the manifest. A file behind a symlink may belong
// to another version.
func (s *Syncer) isComplete(ctx context.Context, v store.Version) (bool, error) {
	recorded, _, err := s.Store.Totals(v.ID)
	if err != nil || recorded == 0 || recorded < v.Manifest.Entries {
		return false, err
	}
	if _, err := s.kept(v.Ref); err != nil {
		if _, lost := errors.AsType[*failure.KeptManifestError](err); lost {
			err = nil
		}
		return false, err
	}
	p, ctx := s.newPass(ctx, s.Sources, v.Ref, manifest.Selection{}, new(progress.Progress))
	defer p.cancel(nil)
	p.version = v
	folders := pruner{tree: s.Tree, real: map[string]bool{}}
	var here int64
	err = p.survey(ctx, func(e *surveyed) error {
		if e.standing == present && folders.isReal(path.Dir(s.Tree.Name(v.Ref, e.Path))) {
			here++
		}
		return nil
	})
	return here == v.Manifest.Entries, err
}

// PlanPrune says what Prune would remove. It changes nothing.
func (s *Syncer) PlanPrune(ctx context.Context, ref manifest.Ref) (*report.Pruned, error) {
	p, err := s.newPruner(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer p.pass.cancel(nil)
	err = p.pass.survey(ctx, func(e *surveyed) error {
		if fi := p.removable(e.Path, e.record); e.standing == present && fi != nil {
			p.count(fi)
		}
		return nil
	})
	return &p.result, err
}

// Prune removes the files of a version that match their records: first the records, then
// the files, then what the store knows of the version, and manifests that no version uses.
// Files without a record and the quarantine stay; nothing is removed through a symlink. It
// can be repeated after any early end. No pass over the dataset may run at the same time.
func (s *Syncer) Prune(ctx context.Context, ref manifest.Ref) (*report.Pruned, error) {
	p, err := s.newPruner(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer p.pass.cancel(nil)
	if err := p.remove(p.pass.version.Retiring); err != nil { // of a prune that was cut off
		return &p.result, err
	}
	if err := p.removeAll(ctx); err != nil {
		return &p.result, err
	}
	if err := p.removeManifest(); err != nil {
		return &p.result, err
	}
	if err := s.dropPartials(func(left store.Partial) bool { return left.Ref == ref }); err != nil {
		return &p.result, err
	}
	if err := s.Store.DropVersion(ref); err != nil {
		return &p.result, err
	}
	return &p.result, errors.Join(p.dropUnusedManifests(), p.findLeft())
}

// pruner prunes one version.
type pruner struct {
	pass   *pass
	tree   *tree.Tree
	real   map[string]bool // by folder; bounded
	result report.Pruned
}

func (s *Syncer) newPruner(ctx context.Context, ref manifest.Ref) (*pruner, error) {
	v, err := s.kept(ref)
	if err != nil {
		return nil, err
	}
	pass, _ := s.newPass(ctx, s.Sources, ref, manifest.Selection{}, new(progress.Progress))
	pass.version = v
	return &pruner{pass: pass, tree: s.Tree, real: map[string]bool{}, result: report.Pruned{Dataset: ref.Dataset, Version: ref.Version}}, nil
}

// removable describes a file that may be removed: it still matches its record, and no
// folder on the way to it is a symlink. Otherwise it returns nil.
func (p *pruner) removable(name string, r store.Record) fs.FileInfo {
	fi, err := p.tree.Stat(p.pass.ref, name)
	if err != nil || !tree.Matches(fi, r) || !p.isReal(path.Dir(p.tree.Name(p.pass.ref, name))) {
		return nil
	}
	return fi
}

// maxReal limits how many folders a pruner remembers; entries come folder by folder.
const maxReal = 8192

// isReal reports whether a folder of the mirror, and each above it, is a real folder.
func (p *pruner) isReal(dir string) bool {
	if dir == "." {
		return true
	}
	known, ok := p.real[dir]
	if !ok {
		if len(p.real) >= maxReal {
			clear(p.real)
		}
		known = p.tree.IsFolder(dir) && p.isReal(path.Dir(dir))
		p.real[dir] = known
	}
	return known
}

func (p *pruner) count(fi fs.FileInfo) {
	p.result.Files++
	p.result.Bytes += fi.Size()
	if durable.Links(fi) > 1 {
		p.result.Shared++
	} else {
		p.result.Freed += fi.Size()
	}
}

// removeAll removes all files with a record.
func (p *pruner) removeAll(ctx context.Context) error {
	var batch []store.Verified
	err := p.pass.survey(ctx, func(e *surveyed) error {
		if e.standing != present {
			return nil
		}
		batch = append(batch, store.Verified{Offset: e.Offset, Digest: e.Digest, Record: e.record})
		if len(batch) < pruneBatch {
			return nil
		}
		err := p.remove(batch)
		batch = nil
		return err
	})
	if err != nil {
		return err
	}
	return p.remove(batch)
}

// remove drops the records of files, then removes the files, then folders that became
// empty. A power cut may bring some files back, without a record.
func (p *pruner) remove(files []store.Verified) error {
	if len(files) == 0 {
		return nil
	}
	if err := p.pass.s.Store.Retire(p.pass.ref, files); err != nil {
		return err
	}
	p.pass.s.at("records retired")
	f, err := p.pass.openManifest()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	dirs := map[string]bool{}
	for _, file := range files {
		e, err := manifest.EntryAt(f, file.Offset)
		if err != nil {
			return err
		}
		name := p.tree.Name(p.pass.ref, e.Path)
		dirs[path.Dir(name)] = true
		fi := p.removable(e.Path, file.Record)
		if fi == nil {
			continue
		}
		if err := p.tree.Remove(name); err != nil {
			return err
		}
		p.count(fi)
		p.pass.s.at("file removed")
	}
	for dir := range dirs {
		p.removeEmpty(dir)
	}
	return nil
}

// removeEmpty removes a folder of the version and its parents while they are empty.
func (p *pruner) removeEmpty(dir string) {
	for ; dir != "." && p.isReal(dir); dir = path.Dir(dir) {
		if p.tree.Remove(dir) != nil {
			return // not empty: someone may want the rest
		}
		delete(p.real, dir)
	}
	p.tree.Forget()
}

// removeManifest removes the manifest from the version's folder, if it is ours.
func (p *pruner) removeManifest() error {
	name := p.tree.Name(p.pass.ref, manifest.Name)
	if !p.isReal(path.Dir(name)) {
		return nil
	}
	same, err := p.tree.Shows(p.pass.version.Manifest.Digest, p.pass.ref)
	if err != nil || !same {
		return err
	}
	if err := p.tree.Remove(name); err != nil {
		return err
	}
	p.removeEmpty(path.Dir(name))
	return nil
}

// dropUnusedManifests removes the version's manifests, and those left over from an earlier
// crash, unless a version uses them. One that just arrived may belong to a pass over
// another dataset.
func (p *pruner) dropUnusedManifests() error {
	entries, err := p.tree.KeptManifests()
	if err != nil {
		return err
	}
	var kept []manifest.Digest
	for _, e := range entries {
		d, derr := manifest.ParseDigest(e.Name())
		fi, ierr := e.Info()
		if derr == nil && ierr == nil && (p.used(d) || time.Since(fi.ModTime()) > time.Hour) {
			kept = append(kept, d)
		}
	}
	return p.pass.s.dropManifests(kept)
}

// used reports whether the version had a manifest in force.
func (p *pruner) used(d manifest.Digest) bool {
	v := p.pass.version
	return d == v.Manifest.Digest || slices.ContainsFunc(v.Former, func(f store.Former) bool { return f.Digest == d })
}

// findLeft looks for files that stay in the folder of the version.
func (p *pruner) findLeft() error {
	dir := tree.VersionDir(p.pass.ref)
	if !p.isReal(dir) {
		return nil
	}
	return p.tree.Walk(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		p.result.LeftFiles++
		if len(p.result.Left) < maxLeft {
			p.result.Left = append(p.result.Left, name)
		}
		return nil
	})
}
