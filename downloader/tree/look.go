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

// prepareToLook is prepare for a Tree that writes nothing in the mirror: manifests
// that it gets are kept in a folder of its own until Close.
func (t *Tree) prepareToLook() (err error) {
	if t.spare, err = os.MkdirTemp("", "mimicsync-manifests-*"); err != nil {
		return err
	}
	if err := t.openOwnToLook(); err != nil {
		return err
	}
	t.foldsCase, t.dropsEnds = namesOf(t.path)
	return t.openFolders()
}

// openOwnToLook is openOwn for such a Tree. What the mirror lacks, or the user may not
// see, is empty.
func (t *Tree) openOwnToLook() error {
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
	_, t.own = spare.Close(), own // nothing in it is to last
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

// notToSee is an error, unless it says that there is nothing, or nothing for this user.
func notToSee(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// openToLook opens a mirror to look at it. Where there is none yet, an empty
// folder takes its place, and the room is that of the disk where it would be.
func openToLook(mirror string) (root *os.Root, at, ground string, empty bool, err error) {
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
