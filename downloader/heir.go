package downloader

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
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
	_, err := t.root.Lstat(formerPartialDir)
	if errors.Is(err, fs.ErrNotExist) && t.options.Inherited {
		if err = t.root.Rename(partialDir, formerPartialDir); err == nil {
			err = t.root.Mkdir(partialDir, 0o700)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	former, err := fs.ReadDir(t.root.FS(), formerPartialDir)
	if err != nil {
		return err
	}
	for _, e := range former {
		if _, err := manifest.ParseDigest(e.Name()); err != nil || !e.Type().IsRegular() {
			continue // of no use, see strays
		}
		if err := t.inheritPartial(e.Name()); err != nil {
			return err
		}
	}
	return t.root.RemoveAll(formerPartialDir)
}

func (t *Tree) inheritPartial(name string) error {
	src, err := t.root.Open(formerPartialDir + "/" + name)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // opened for reading only
	to := partialDir + "/" + name
	dst, err := t.root.OpenFile(to+".copy", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, t.options.FileMode)
	if err != nil {
		return err
	}
	if durable.Clone(dst, src) != nil {
		_, err = io.Copy(dst, src)
	}
	if err = errors.Join(err, dst.Sync(), dst.Close()); err != nil {
		return err
	}
	if err := t.root.Rename(to+".copy", to); err != nil {
		return err
	}
	if err := durable.SyncDir(t.dir(partialDir)); err != nil {
		return err
	}
	return t.root.Remove(formerPartialDir + "/" + name)
}
