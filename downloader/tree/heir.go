package tree

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// formerPartialDir has the unfinished files of an owner that was silent.
const formerPartialDir = partialDir + ".before"

// inheritPartials gives unfinished files to this process alone, where an owner that was
// silent may wake up and go on with them:
//
//	rename partial to partial.before    what it makes or renames is in a folder that is going away
//	copy each file to partial, durable  what it writes goes to a file that is going away
//	remove that file, and at last the folder
//
// After a crash in between, the next process goes on.
func (t *Tree) inheritPartials() error {
	before, now := path.Base(formerPartialDir), path.Base(partialDir)
	former, err := t.own.Sub(before)
	if errors.Is(err, fs.ErrNotExist) && t.options.Inherited {
		if err = t.own.Root().Rename(now, before); err == nil {
			former, err = t.own.Sub(before)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = former.Close() }() // what is in it is removed
	to, err := t.own.MakeSub(now)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }() // synced after each file
	entries, err := fs.ReadDir(former.Root().FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := manifest.ParseDigest(e.Name()); err != nil || !e.Type().IsRegular() {
			continue // of no use, see strays
		}
		if err := t.inheritPartial(former, to, e.Name()); err != nil {
			return err
		}
	}
	return t.own.Root().RemoveAll(before)
}

func (t *Tree) inheritPartial(from, to *store.Folder, name string) error {
	src, err := from.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // opened for reading only
	dst, err := to.OpenFile(name+".copy", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, t.options.FileMode)
	if err != nil {
		return err
	}
	if durable.Clone(dst, src) != nil {
		_, err = io.Copy(dst, src)
	}
	if err = errors.Join(err, dst.Sync(), dst.Close()); err != nil {
		return err
	}
	if err := to.Root().Rename(name+".copy", name); err != nil {
		return err
	}
	if err := durable.SyncRoot(to.Root()); err != nil {
		return err
	}
	return from.Root().Remove(name)
}
