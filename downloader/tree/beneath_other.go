//go:build !linux

package tree

import (
	"errors"
	"os"
	"time"
)

func (t *Tree) lstat(name string) (isDir, isLink bool, err error) { return t.lstatRoot(name) }

// openRaw opens a file among the unfinished ones for reading and writing, and makes it if
// need be.
func (t *Tree) openRaw(name string) (*os.File, error) {
	return t.unfinished.OpenFile(name, os.O_RDWR|os.O_CREATE, t.options.FileMode)
}

func (t *Tree) setTime(f *Partial, modified time.Time) error {
	return t.partials.Chtimes(f.name, modified, modified)
}

func (t *Tree) probeNameless() bool { return false }

func (t *Tree) createNameless(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func (t *Tree) giveName(*os.File, string) error { return errors.ErrUnsupported }

func (t *Tree) mkdir(name string) error { return t.root.Mkdir(name, t.options.DirMode) }

func (t *Tree) linkFile(from, to string) error { return t.root.Link(from, to) }

// renamePartial moves an unfinished file to a name in the mirror.
func (t *Tree) renamePartial(from, to string) error { return t.root.Rename(partialDir+"/"+from, to) }

// rename moves a file of the mirror to another name in it.
func (t *Tree) rename(from, to string) error { return t.root.Rename(from, to) }
