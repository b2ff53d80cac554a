// Package copies finds the files of a mirror that have a digest: in any version of any
// dataset, also under manifests that are no longer in force.
package copies

import (
	"os"
	"sync"

	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

const (
	// maxCopies limits how many records of one digest are checked: thousands of entries may
	// be the same empty file.
	maxCopies = 16
	chunk     = 1024 // records that Each reads at once
)

// Finder finds files by digest. It is safe for concurrent use, except for Close.
type Finder struct {
	Store *store.Store
	Tree  *tree.Tree

	mu    sync.Mutex
	known map[uint32]*listed // by record id
}

// listed is a manifest whose records can be looked up.
type listed struct {
	ref  manifest.Ref
	file *os.File // nil if it can't be read
}

// Place is where a file should be, according to the store. The file may be gone or changed
// since: compare it with the record.
type Place struct {
	store.Located

	Ref  manifest.Ref
	Path string
}

// Of returns the places of a digest, at most the first 16.
func (f *Finder) Of(d manifest.Digest) ([]Place, error) {
	located, err := f.Store.Copies(d, store.Located{}, maxCopies)
	if err != nil {
		return nil, err
	}
	var all []Place
	for _, at := range located {
		place, err := f.place(d, at)
		if err != nil {
			return nil, err
		}
		if place != nil {
			all = append(all, *place)
		}
	}
	return all, nil
}

// Each visits all places of a digest; the place is nil if no manifest names the file of the
// record.
func (f *Finder) Each(d manifest.Digest, visit func(at store.Located, place *Place) error) error {
	var after store.Located
	for {
		located, err := f.Store.Copies(d, after, chunk)
		if err != nil || len(located) == 0 {
			return err
		}
		after = located[len(located)-1]
		for _, at := range located {
			place, err := f.place(d, at)
			if err != nil {
				return err
			}
			if err := visit(at, place); err != nil {
				return err
			}
		}
	}
}

// Matching returns the size of a file that has the digest and still matches its record,
// and whether there is one.
func (f *Finder) Matching(d manifest.Digest) (int64, bool, error) {
	places, err := f.Of(d)
	for _, at := range places {
		if fi, err := f.Tree.Stat(at.Ref, at.Path); err == nil && tree.Matches(fi, at.Record) {
			return fi.Size(), true, nil
		}
	}
	return 0, false, err
}

// Close closes the manifests that Finder has opened. It may be used again after that.
func (f *Finder) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.known {
		if l.file != nil {
			_ = l.file.Close() // opened for reading only
		}
	}
	f.known = nil
}

// place returns where the file of a record should be, nil if that is unknown.
func (f *Finder) place(d manifest.Digest, at store.Located) (*Place, error) {
	l, err := f.manifestOf(at.ID)
	if err != nil || l.file == nil {
		return nil, err
	}
	e, err := manifest.EntryAt(l.file, at.Offset)
	if err != nil || e.Digest != d || manifest.CheckPath(e.Path) != nil {
		return nil, nil // the 8 bytes in the store agreed, the whole digest doesn't
	}
	return &Place{at, l.ref, e.Path}, nil
}

// manifestOf returns the manifest of a record id.
func (f *Finder) manifestOf(id uint32) (*listed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[uint32]*listed{}
	}
	if l, ok := f.known[id]; ok {
		return l, nil
	}
	versions, err := f.Store.Versions()
	if err != nil {
		return nil, err
	}
	l := &listed{}
	f.known[id] = l
	open := func(ref manifest.Ref, digest manifest.Digest) {
		if file, err := f.Tree.OpenManifest(digest); err == nil { // without it the copies are fetched, which is only slower
			l.ref, l.file = ref, file
		}
	}
	for _, v := range versions {
		if v.ID == id {
			open(v.Ref, v.Manifest.Digest)
		}
		for _, former := range v.Former {
			if former.ID == id {
				open(v.Ref, former.Digest)
			}
		}
	}
	return l, nil
}
