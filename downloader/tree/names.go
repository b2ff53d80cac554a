package tree

import (
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"mimicsync/manifest"
)

// probeNames finds out whether the mirror's file system ignores case in names, and dots
// and spaces at their end.
func (t *Tree) probeNames() (foldsCase, dropsEnds bool) {
	const probe = "Case"
	_ = t.partials.Remove(probe) // left by a crash, or planted
	f, err := t.partials.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, defaultFileMode)
	if err != nil {
		return false, false
	}
	_ = f.Close()
	has := func(name string) bool {
		_, err := t.partials.Lstat(name)
		return err == nil
	}
	foldsCase, dropsEnds = has("cASE"), has("Case.") || has("Case ")
	_ = t.partials.Remove(probe)
	return foldsCase, dropsEnds
}

// namesOf is probeNames by the names that a folder already has, without writing.
func namesOf(dir string) (foldsCase, dropsEnds bool) {
	f, err := os.Open(dir)
	if err != nil {
		return false, false
	}
	defer func() { _ = f.Close() }() // opened for reading only
	names, _ := f.Readdirnames(64)   // without names, nothing is known
	for _, name := range names {
		fi, err := os.Lstat(filepath.Join(dir, name))
		other := strings.Map(otherCase, name)
		if err != nil || other == name || strings.HasSuffix(name, ".") {
			continue
		}
		is := func(name string) bool {
			alike, err := os.Lstat(filepath.Join(dir, name))
			return err == nil && os.SameFile(fi, alike)
		}
		return is(other), is(name + ".")
	}
	return false, false
}

func otherCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}

// Collides reports whether two names in a manifest are the same file in this mirror.
func (t *Tree) Collides(c manifest.Collision) bool {
	switch {
	case c.Identical:
		return true
	case c.Trailing:
		return t.dropsEnds
	}
	return t.foldsCase
}
