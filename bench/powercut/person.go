//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"mimicsync/manifest"
	"mimicsync/store"
)

// person has files of their own in a mirror, where entries should be: corrected,
// annotated, cut short by a wget years ago, and some that no manifest names.
type person struct {
	ref  manifest.Ref
	mine files // by path in the version's folder
}

// newPerson makes them up for a third of a version's files.
func newPerson(r *rand.Rand, ref manifest.Ref, right files) *person {
	p := &person{ref: ref, mine: files{}}
	for i, path := range right.some(r, len(right)/3) {
		own := fmt.Appendf(nil, "corrected by hand in week %d, %d\n", i, r.Uint64())
		b := bytes.Clone(right[path])
		switch i % 6 {
		case 0:
			b = own
		case 1: // an interrupted wget
			b = b[:len(b)/2]
		case 2: // of the same length
			copy(b, own)
		case 3:
			copy(b[len(b)-len(own):], own)
		case 4:
			b = append(b, own...)
		case 5:
			b = append(b[:len(b)/2], own...)
		}
		p.mine[path] = b
	}
	for i := range 5 {
		p.mine[fmt.Sprintf("notes/%d.docx", i)] = fmt.Appendf(nil, "chapter %d, %d\n", i, r.Uint64())
	}
	return p
}

// plant puts them into a mirror. Some have a second name outside of it.
func (p *person) plant(mirror, outside string) error {
	for i, path := range p.mine.paths() {
		name := filepath.Join(mirror, p.ref.Dataset, p.ref.Version, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // as wget makes them
			return err
		}
		if err := os.WriteFile(name, p.mine[path], 0o644); err != nil { //nolint:gosec // as wget makes them
			return err
		}
		if i%9 == 0 {
			if err := os.Link(name, filepath.Join(outside, fmt.Sprint(i))); err != nil {
				return err
			}
		}
	}
	return nil
}

// has reports whether a file below a mirror is where one of theirs was.
func (p *person) has(name string) bool {
	prefix := p.ref.Dataset + "/" + p.ref.Version + "/"
	return len(name) > len(prefix) && name[:len(prefix)] == prefix && p.mine[name[len(prefix):]] != nil
}

// missing are those whose bytes are nowhere in a mirror any more, whole or as the start
// of what is there.
func (p *person) missing(mirror string) (lost []string, err error) {
	starts := map[string][][]byte{} // files by their first bytes
	const short = 16
	for _, dir := range []string{p.ref.Dataset, store.Dir + "/partial", store.Dir + "/quarantine"} {
		err := filepath.WalkDir(filepath.Join(mirror, dir), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // not made yet
			}
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path) //nolint:gosec // nobody else is here
			start := string(b[:min(short, len(b))])
			starts[start] = append(starts[start], b)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for path, b := range p.mine {
		found := false
		for _, candidate := range starts[string(b[:min(short, len(b))])] {
			found = found || bytes.HasPrefix(candidate, b)
		}
		if !found {
			lost = append(lost, path)
		}
	}
	return lost, nil
}
