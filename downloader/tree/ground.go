package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mimicsync/internal/durable"
	"mimicsync/store"
)

// Ground describes the file system under a mirror.
type Ground struct {
	// Folder is the mirror's folder, or the nearest existing folder above it.
	Folder string
	// FileSystem is its type, such as "ext4" or "NFS"; empty if unknown. Network means
	// that the bytes are stored on another machine.
	FileSystem string
	Network    bool
	Free       durable.Space
	// HardLinks and Reflinks tell how the mirror can give a file it has a second name.
	// Without either, it copies.
	HardLinks, Reflinks bool
	// Unreadable is the error of reading a file by its second name while it is open by
	// its first. Some SMB servers lease files by name, see nolease in mount.cifs(8).
	Unreadable error
}

// InspectGround tries whether a mirror at path can be written, and how. It creates three
// files, removes them, and creates no folder. The error says why the mirror can't be
// written; the results up to then are returned with it.
func InspectGround(path string) (g Ground, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return g, err
	}
	if g.Folder, err = nearest(path); err != nil {
		return g, err
	}
	g.FileSystem, g.Network = durable.FileSystem(g.Folder)
	if g.Free, err = durable.Free(g.Folder); err != nil {
		return g, err
	}
	own, err := store.OpenFolder(path) // no other program looks there
	switch {
	case err == nil:
		defer func() { _ = own.Close() }() // the files are removed
		return g, g.try(own.Root())
	case !errors.Is(err, fs.ErrNotExist):
		return g, err
	}
	root, err := os.OpenRoot(g.Folder)
	if err != nil {
		return g, err
	}
	defer func() { _ = root.Close() }() // likewise
	return g, g.try(root)
}

// nearest returns the folder at path, or the nearest existing one above it.
func nearest(path string) (string, error) {
	for {
		fi, err := os.Stat(path)
		switch above := filepath.Dir(path); {
		case err == nil && !fi.IsDir():
			return path, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is a file, not a folder")}
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist) || above == path:
			return path, err
		default:
			path = above
		}
	}
}

// try writes a file, and gives it a second name and a clone.
func (g *Ground) try(dir *os.Root) error {
	f, name, err := durable.CreateTempIn(dir, ".mimicsync-doctor-")
	if err != nil {
		return fmt.Errorf("write to %s: %w", filepath.Clean(dir.Name()), err)
	}
	link, copied := name+"-link", name+"-clone"
	defer func() {
		_ = f.Close() // the file is removed
		for _, name := range []string{name, link, copied} {
			_ = dir.Remove(name) // not all of them exist
		}
	}()
	if _, err := f.Write(make([]byte, 64<<10)); err != nil {
		return err
	}
	if g.HardLinks = dir.Link(name, link) == nil; g.HardLinks {
		_, g.Unreadable = dir.ReadFile(link)
	}
	clone, err := dir.OpenFile(copied, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	g.Reflinks = durable.Clone(clone, f) == nil
	return clone.Close()
}
