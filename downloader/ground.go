package downloader

import (
	"errors"
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
	try := g.Folder
	if own := filepath.Join(path, store.Dir); isFolder(own) { // nobody else looks there
		try = own
	}
	return g, g.try(try)
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

func isFolder(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// try writes a file, and takes it under two other names.
func (g *Ground) try(dir string) error {
	f, err := os.CreateTemp(dir, ".mimicsync-doctor-*")
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close() // it is for nobody
		for _, name := range []string{f.Name(), f.Name() + "-link", f.Name() + "-clone"} {
			_ = os.Remove(name) // those that are there
		}
	}()
	if _, err := f.Write(make([]byte, 64<<10)); err != nil {
		return err
	}
	g.HardLinks = os.Link(f.Name(), f.Name()+"-link") == nil
	clone, err := os.OpenFile(f.Name()+"-clone", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	g.Reflinks = durable.Clone(clone, f) == nil
	return clone.Close()
}
