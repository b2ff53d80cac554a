package tree

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"mimicsync/manifest"
	"mimicsync/store"
)

// prepareReadOnly is prepare for a read-only Tree. Manifests that it receives go to a
// temporary folder until Close.
func (t *Tree) prepareReadOnly() (err error) {
	if t.spare, err = os.MkdirTemp("", "mimicsync-manifests-*"); err != nil {
		return err
	}
	if err := t.openOwnReadOnly(); err != nil {
		return err
	}
	t.foldsCase, t.dropsEnds = namesOf(t.path)
	return t.openFolders()
}

// openOwnReadOnly is openOwn for a read-only Tree. Empty folders stand in for those that
// the mirror lacks or the user may not read.
func (t *Tree) openOwnReadOnly() error {
	spare, err := store.MakeFolder(t.spare)
	if err != nil {
		return err
	}
	t.own = spare
	if t.manifests, err = spare.MakeSub(path.Base(manifestDir)); err != nil {
		return err
	}
	if t.unfinished, err = spare.MakeSub(path.Base(partialDir)); err != nil {
		return err
	}
	t.partials = t.unfinished.Root()
	own, err := store.OpenFolder(t.path)
	if err != nil {
		return notToSee(err)
	}
	_, t.own = spare.Close(), own // it holds nothing to keep
	if t.kept, err = own.Sub(path.Base(manifestDir)); notToSee(err) != nil {
		return err
	}
	partials, err := own.Sub(path.Base(partialDir))
	if err != nil {
		return notToSee(err)
	}
	_, t.unfinished, t.partials = t.unfinished.Close(), partials, partials.Root() // likewise
	return nil
}

// notToSee returns err, or nil if it means that a folder is missing or not readable.
func notToSee(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// openReadOnly opens a mirror for reading. If it doesn't exist, an empty temporary folder
// stands in for it, and ground is the folder whose disk it would be on.
func openReadOnly(mirror string) (root *os.Root, at, ground string, empty bool, err error) {
	root, err = os.OpenRoot(mirror)
	if !errors.Is(err, fs.ErrNotExist) {
		return root, mirror, mirror, false, err
	}
	absolute, err := filepath.Abs(mirror)
	if err != nil {
		return nil, "", "", false, err
	}
	if ground, err = nearest(absolute); err != nil {
		return nil, "", "", false, err
	}
	if at, err = os.MkdirTemp("", "mimicsync-mirror-*"); err != nil {
		return nil, "", "", false, err
	}
	root, err = os.OpenRoot(at)
	return root, at, ground, true, err
}

// OpenManifest opens a kept manifest by its digest.
func (t *Tree) OpenManifest(d manifest.Digest) (*os.File, error) {
	f, err := t.manifests.Open(d.String())
	if errors.Is(err, fs.ErrNotExist) && t.kept != nil {
		return t.kept.Open(d.String())
	}
	return f, err
}
