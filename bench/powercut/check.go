//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mimicsync/manifest"
	"mimicsync/store"
)

// inspection is what a mirror says of itself, and whether it is true.
type inspection struct {
	lies     []string // records of what is not there, and wrong files under final names
	records  map[manifest.Ref]int
	partials []store.Partial
}

// inspect reads a mirror from outside: each record has its file with the right bytes,
// and each file under a final name is as it was published, once. spared are names of
// files, below the mirror, that somebody else has made or changed.
func (l *lab) inspect(mirror string, p published, spared func(name string) bool) (*inspection, error) {
	in := &inspection{records: map[manifest.Ref]int{}}
	digests := map[string]manifest.Digest{} // of the files below the mirror
	err := filepath.WalkDir(mirror, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(mirror, path) // it is below
		if d.IsDir() {
			if name == store.Dir || name == "lost+found" {
				return filepath.SkipDir
			}
			return nil
		}
		b, err := os.ReadFile(path) //nolint:gosec // nobody else is here
		if err != nil {
			return err
		}
		digests[name] = sha256.Sum256(b)
		if !spared(name) && !p.has(name, b) {
			in.lies = append(in.lies, fmt.Sprintf("%s is there with %d bytes that were never published", name, len(b)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return in, l.inspectState(in, mirror, digests, spared)
}

// has reports whether a file below a mirror is as it was published, once.
func (p published) has(name string, b []byte) bool {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) < 3 {
		return false
	}
	for _, f := range p[manifest.Ref{Dataset: parts[0], Version: parts[1]}] {
		if want, ok := f[parts[2]]; ok && bytes.Equal(b, want) || parts[2] == manifest.Name && bytes.Equal(b, f.version("").Manifest) {
			return true
		}
	}
	return false
}

// inspectState compares the records with the files. It opens a copy of the state: to open
// it is to mend what a crash left.
func (l *lab) inspectState(in *inspection, mirror string, digests map[string]manifest.Digest, spared func(string) bool) (err error) {
	b, err := os.ReadFile(filepath.Join(mirror, store.Dir, "state.db"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil // nothing is claimed
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(l.dir, "state-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	place, err := store.Locate(dir, "")
	if err != nil {
		return err
	}
	if err := os.WriteFile(place.File(), b, 0o600); err != nil { //nolint:gosec // into our own folder
		return err
	}
	s, err := store.Open(place, "powercut")
	if err != nil {
		in.lies = append(in.lies, fmt.Sprintf("the state cannot be opened: %v", err))
		return nil
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Check(); err != nil {
		in.lies = append(in.lies, fmt.Sprintf("the state: %v", err))
	}
	if in.partials, err = s.Partials(); err != nil {
		return err
	}
	versions, err := s.Versions()
	if err != nil {
		return err
	}
	for _, v := range versions {
		if err := in.compare(s, v, mirror, digests, spared); err != nil {
			return err
		}
	}
	return nil
}

// compare looks at the records of a version.
func (in *inspection) compare(s *store.Store, v store.Version, mirror string, digests map[string]manifest.Digest, spared func(string) bool) error {
	f, err := os.Open(filepath.Join(mirror, store.Dir, "manifests", v.Manifest.Digest.String()))
	if err != nil {
		in.lies = append(in.lies, fmt.Sprintf("the manifest of %s: %v", v.Ref, err))
		return nil
	}
	defer func() { _ = f.Close() }() // opened for reading only
	records, err := s.Records(v.ID, 0, 1<<30, nil)
	if err != nil {
		return err
	}
	for _, at := range records {
		if at.Record.Lost {
			continue
		}
		in.records[v.Ref]++
		e, err := manifest.EntryAt(f, at.Offset)
		if err != nil {
			in.lies = append(in.lies, fmt.Sprintf("a record of %s is of no entry: %v", v.Ref, err))
			continue
		}
		name := v.Ref.Dataset + "/" + v.Ref.Version + "/" + e.Path
		if got, ok := digests[name]; (!ok || got != e.Digest) && !spared(name) {
			in.lies = append(in.lies, fmt.Sprintf("%s is recorded as verified: there %t, right %t", name, ok, got == e.Digest))
		}
	}
	return nil
}

// compareTree says what of a version is not as it is published now.
func (p published) compareTree(mirror string, ref manifest.Ref) (wrong []string) {
	for path, want := range p.now(ref) {
		b, err := os.ReadFile(filepath.Join(mirror, ref.Dataset, ref.Version, path))
		if err != nil || !bytes.Equal(b, want) {
			wrong = append(wrong, fmt.Sprintf("%s/%s: %d bytes, %v", ref, path, len(b), err))
		}
	}
	return wrong
}

// noneSpared is for mirrors that nobody else touches.
func noneSpared(string) bool { return false }

// first quotes the first few of many.
func first(all []string) string {
	if len(all) > 4 {
		return fmt.Sprintf("%d, as %q", len(all), all[:4])
	}
	return fmt.Sprintf("%q", all)
}
