package tree

import (
	"io/fs"
	"os"

	"mimicsync/manifest"
)

// Lstat describes a file or folder, and doesn't follow a symlink.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) { return t.root.Lstat(name) }

// IsFolder reports whether a name is a folder, and not a symlink to one.
func (t *Tree) IsFolder(name string) bool {
	isDir, isLink, err := t.lstat(name)
	return err == nil && isDir && !isLink
}

// Open opens a file for reading.
func (t *Tree) Open(name string) (*os.File, error) { return t.root.Open(name) }

// Remove removes a file or an empty folder.
func (t *Tree) Remove(name string) error { return t.root.Remove(name) }

// Walk calls visit for a folder and everything in it, as fs.WalkDir does.
func (t *Tree) Walk(name string, visit fs.WalkDirFunc) error {
	return fs.WalkDir(t.root.FS(), name, visit)
}

// KeptManifests returns the kept manifests, each named by its digest.
func (t *Tree) KeptManifests() ([]fs.DirEntry, error) {
	return fs.ReadDir(t.manifests.Root().FS(), ".")
}

// Quarantine moves the file in the place of an entry to quarantine, where it is neither
// data nor lost, and returns its new name. The move isn't durable until the next sync or
// SyncMoves.
func (t *Tree) Quarantine(ref manifest.Ref, p string) (string, error) {
	return t.quarantine(t.Name(ref, p), ref, p)
}

// QuarantinePartial does the same with the partial of an entry.
func (t *Tree) QuarantinePartial(d manifest.Digest, ref manifest.Ref, p string) (string, error) {
	return t.quarantine(partialName(d), ref, p)
}
