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

// formerPartialDir holds the partials of the previous owner while they are copied.
const formerPartialDir = partialDir + ".before"

// inheritPartials makes sure that only this process writes to the partials. The previous
// owner of the mirror stopped responding, but may wake up and continue:
//
//	rename partial to partial.before      files it creates or renames are in a folder that goes away
//	copy each file to partial, durably    bytes it writes go to a file that goes away
//	remove each copied file, then the folder
//
// After a crash in between, the next process continues.
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
	defer func() { _ = former.Close() }() // its files are removed
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
			continue // not a partial, see Strays
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
