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

// Ground is what a mirror stands on, or would.
type Ground struct {
	// Folder is the mirror, or the nearest folder above it that there is.
	Folder string
	// FileSystem is its kind, as in "ext4" or "NFS", empty if unknown; Network
	// says that its bytes lie on another machine.
	FileSystem string
	Network    bool
	Free       durable.Space
	// HardLinks and Reflinks say how the mirror can take a file that it has
	// under another name. Without both, it copies.
	HardLinks, Reflinks bool
	// Unreadable is why a file cannot be read by its second name while it is open by
	// its first, nil if it can or has none: some servers of SMB lend out a file by its
	// name, see nolease in mount.cifs(8).
	Unreadable error
}

// InspectGround tries out whether and how a mirror at path can be written. It
// writes three files for a moment, and makes no folder. The error says why not;
// what was found before is returned in any case.
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
	own, err := store.OpenFolder(path) // nobody else looks there
	switch {
	case err == nil:
		defer func() { _ = own.Close() }() // what was written is gone
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

// nearest returns the folder at path, or the first above it.
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

// try writes a file, and takes it under two other names.
func (g *Ground) try(dir *os.Root) error {
	f, name, err := durable.CreateTempIn(dir, ".mimicsync-doctor-")
	if err != nil {
		return fmt.Errorf("write to %s: %w", filepath.Clean(dir.Name()), err)
	}
	link, copied := name+"-link", name+"-clone"
	defer func() {
		_ = f.Close() // it is for nobody
		for _, name := range []string{name, link, copied} {
			_ = dir.Remove(name) // those that are there
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
