// Package tree is the mirror on disk: where an entry's file and its partial lie, how a
// partial gets its final name, what is moved to quarantine, and what makes bytes and
// names survive a power cut. It knows no source and decides nothing: what is to be
// fetched, committed or moved aside is the downloader's part.
//
//	<mirror>/<dataset>/<version>/<path>     the files, verified
//	<mirror>/.mimicsync/partial/            unfinished files, named by the digest they must have
//	<mirror>/.mimicsync/manifests/          the manifests in effect and former ones, by digest
//	<mirror>/.mimicsync/quarantine/         what did not match its manifest
//
// Manifests and listings come from outside and are hostile: nothing is written outside
// the mirror, through a symlink, or to another file system than the mirror's.
package tree

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// The folders below store.Dir.
const (
	partialDir    = store.Dir + "/partial"
	manifestDir   = store.Dir + "/manifests"
	quarantineDir = store.Dir + "/quarantine"
)

// Options configures a Tree.
type Options struct {
	// FileMode and DirMode are the permissions of new files and folders, regardless of
	// the umask. Zero means 0600 and 0700: the files are patient data.
	FileMode, DirMode fs.FileMode
	// Group is the id of the group that owns new files and folders; 0 leaves that to
	// the system.
	Group int
	// Network means that the mirror is on a file server, where syncfs would flush other
	// users' files too: each file is synced on its own.
	Network bool
	// Inherited means that the previous owner may still write to partials that it has
	// open: they are replaced by copies.
	Inherited bool
	// ReadOnly means that nothing in the mirror is written, created, moved or removed,
	// for planning and for looking. Files can't be fetched.
	ReadOnly bool
	// Durability protects against power cuts; empty means GroupDurability.
	Durability Durability
	// Quirks simulates limitations in tests.
	Quirks Quirks
}

// Quirks are limitations of kernels and file systems that a test machine doesn't have.
type Quirks struct {
	NoOpenat2 bool // openat2(2) is missing, as before Linux 5.6
	DropsEnds bool // dots and spaces at the end of a name do not count, as on FAT
}

const (
	defaultFileMode fs.FileMode = 0o600
	defaultDirMode  fs.FileMode = 0o700
)

// Tree is the folder tree of a mirror. Every name is resolved beneath an os.Root, so that
// nothing is written outside the mirror, and every folder on the way to an entry must be
// a real one: a planted symlink is refused, not followed. Methods that take a name expect
// one relative to the mirror, with slashes, as Name returns it. A Tree is safe for
// concurrent use.
type Tree struct {
	root    *os.Root
	path    string
	ground  string // a folder on the mirror's disk: the mirror itself, if it exists
	options Options
	// spare is the temporary folder for the manifests of a read-only Tree; empty means
	// that path is a temporary folder that stands in for a missing mirror. Close
	// removes both.
	spare string
	empty bool
	// folder, partialFolder and ownFolder are the mirror's root, its folder of partials
	// and its .mimicsync, for system calls that os.Root doesn't have; partials is the
	// second as a Root.
	folder, partialFolder, ownFolder *os.File
	folderFD, partialFD, ownFD       int // of the three: os.File.Fd makes system calls of its own
	partials                         *os.Root
	// own, unfinished and manifests are the mirror's .mimicsync and two folders in it,
	// whose ownership was checked when they were opened.
	own, unfinished, manifests *store.Folder
	// kept is the mirror's folder of manifests in a read-only Tree, nil if the mirror
	// has none; manifests then is in spare.
	kept   *store.Folder
	device uint64 // of the file system
	// canNameless means that partials needn't have a name, see CreatePartial.
	canNameless bool
	nameless    nameless
	copies      atomic.Int64 // number of copies created so far, see CreateCopy
	// groupSync means that one call makes all files durable, see durable.GroupSync.
	groupSync bool
	// noOpenat2 means that the kernel lacks openat2(2), or that a container blocks it.
	noOpenat2 atomic.Bool
	moves     moves
	// foldsCase means that the file system ignores case in names, and dropsEnds that it
	// ignores dots and spaces at their end.
	foldsCase, dropsEnds bool

	mu   sync.Mutex
	dirs map[string]struct{} // folders known to exist, at most maxFolders
}

// Open opens the mirror at path, which must exist unless o.ReadOnly is set. It creates
// the folders below .mimicsync. The caller closes the Tree.
func Open(path string, o Options) (*Tree, error) {
	o.FileMode, o.DirMode = cmp.Or(o.FileMode, defaultFileMode), cmp.Or(o.DirMode, defaultDirMode)
	t := &Tree{path: path, ground: path, options: o, dirs: map[string]struct{}{}, nameless: nameless{made: map[*Partial]time.Time{}}}
	t.noOpenat2.Store(o.Quirks.NoOpenat2)
	var err error
	prepare := t.prepare
	if o.ReadOnly {
		prepare = t.prepareReadOnly
		t.root, t.path, t.ground, t.empty, err = openReadOnly(path)
	} else {
		t.root, err = os.OpenRoot(path)
	}
	if err != nil {
		return nil, err
	}
	if err := prepare(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Tree) prepare() error {
	if err := t.openOwn(); err != nil {
		return err
	}
	t.foldsCase, t.dropsEnds = t.probeNames()
	t.dropsEnds = t.dropsEnds || t.options.Quirks.DropsEnds
	if err := t.openFolders(); err != nil {
		return err
	}
	t.groupSync = durable.GroupSync(t.path)
	t.canNameless = t.probeNameless()
	return nil
}

// openFolders opens the folders for system calls that os.Root doesn't have.
func (t *Tree) openFolders() (err error) {
	if t.folder, err = t.root.Open("."); err != nil {
		return err
	}
	if t.partialFolder, err = t.partials.Open("."); err != nil {
		return err
	}
	if t.ownFolder, err = t.own.Root().Open("."); err != nil {
		return err
	}
	t.folderFD, t.partialFD, t.ownFD = int(t.folder.Fd()), int(t.partialFolder.Fd()), int(t.ownFolder.Fd())
	fi, err := t.folder.Stat()
	if err != nil {
		return err
	}
	t.device = durable.Device(fi)
	return nil
}

// openOwn opens the folders below store.Dir, and creates those that are missing.
func (t *Tree) openOwn() (err error) {
	if t.own, err = store.MakeFolder(t.path); err != nil {
		return err
	}
	if err = t.inheritPartials(); err != nil {
		return fmt.Errorf("copy the partials of the previous owner, which may still write to them: %w", err)
	}
	if t.unfinished, err = t.own.MakeSub(path.Base(partialDir)); err != nil {
		return err
	}
	t.partials = t.unfinished.Root()
	if t.manifests, err = t.own.MakeSub(path.Base(manifestDir)); err != nil {
		return err
	}
	aside, err := t.own.MakeSub(path.Base(quarantineDir))
	if err != nil {
		return err
	}
	return aside.Close()
}

// Close closes the mirror's folders, and removes temporary ones.
func (t *Tree) Close() error {
	for _, f := range []*os.File{t.folder, t.partialFolder, t.ownFolder} {
		_ = f.Close() // opened for reading only; may be nil
	}
	for _, f := range []*store.Folder{t.own, t.unfinished, t.manifests, t.kept} {
		if f != nil {
			_ = f.Close() // nothing was written through it
		}
	}
	err := t.root.Close()
	if t.spare != "" {
		err = errors.Join(err, os.RemoveAll(t.spare))
	}
	if t.empty {
		err = errors.Join(err, os.RemoveAll(t.path))
	}
	return err
}

// Path returns the mirror's root folder.
func (t *Tree) Path() string { return t.path }

// Present returns nil if the folder at Path is still the one that the Tree has open. The
// error says otherwise: it is missing, or another folder, as after a disk was unmounted
// or mounted over it.
func (t *Tree) Present() error {
	open, err := t.folder.Stat()
	if err != nil {
		return err
	}
	fi, err := os.Stat(t.path)
	if err != nil {
		return err
	}
	if !os.SameFile(open, fi) {
		return fmt.Errorf("%s is another folder than before", t.path)
	}
	return nil
}

// VersionDir returns the folder of a version, relative to the mirror.
func VersionDir(ref manifest.Ref) string { return ref.Dataset + "/" + ref.Version }

// Name returns the place of an entry, relative to the mirror. p has passed
// manifest.CheckPath.
func (t *Tree) Name(ref manifest.Ref, p string) string { return VersionDir(ref) + "/" + p }

// Stat describes the file of an entry, and doesn't follow a symlink in its place. It uses
// the plain path, which takes a fifth of the time of Lstat and is safe for looking only.
func (t *Tree) Stat(ref manifest.Ref, p string) (fs.FileInfo, error) {
	return os.Lstat(t.path + string(filepath.Separator) + filepath.FromSlash(t.Name(ref, p)))
}

// Has reports whether the version's folder has any file besides the manifest.
func (t *Tree) Has(ref manifest.Ref) bool {
	dir := VersionDir(ref)
	if fi, err := t.root.Stat(dir); err != nil || !fi.IsDir() { // opening a FIFO would wait for a writer
		return false
	}
	f, err := t.root.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // opened for reading only
	names, err := f.Readdirnames(2)  // one may be the manifest
	return len(names) > 1 || len(names) == 1 && names[0] != manifest.Name || err != nil && !errors.Is(err, io.EOF)
}

// lstatRoot is lstat through os.Root.
func (t *Tree) lstatRoot(name string) (isDir, isLink bool, err error) {
	fi, err := t.root.Lstat(name)
	if err != nil {
		return false, false, err
	}
	return fi.IsDir(), fi.Mode()&fs.ModeSymlink != 0, nil
}

// Matches reports whether a file still has the size and the time of its record. A record
// keeps times to the nanosecond.
func Matches(fi fs.FileInfo, r store.Record) bool {
	return !r.Lost && fi.Mode().IsRegular() && fi.Size() == r.Size && fi.ModTime().UnixNano() == r.ModTime.UnixNano()
}

// Place moves a finished partial to the place of an entry, and closes it if it had no
// name. If another program has put a file there meanwhile, that is moved to quarantine
// first, and aside is its new name.
func (t *Tree) Place(f *Partial, ref manifest.Ref, p string) (aside string, err error) {
	to := t.Name(ref, p)
	err = t.into(path.Dir(to), func() error {
		ok, err := t.placeNameless(f, to)
		if ok || err != nil {
			return err
		}
		if err := t.KeepPartial(f); err != nil {
			return err
		}
		if fi, err := t.root.Lstat(to); err == nil && fi.Mode().IsRegular() {
			if aside, err = t.quarantine(to, ref, p); err != nil {
				return err
			}
		}
		return t.renamePartial(f.name, to)
	})
	return aside, err
}

// Link gives a file of the mirror a second name, in the place of an entry.
func (t *Tree) Link(from string, ref manifest.Ref, p string) error {
	to := t.Name(ref, p)
	return t.into(path.Dir(to), func() error { return t.linkFile(from, to) })
}

// copyFile copies a file of the mirror, durably.
func (t *Tree) copyFile(from, to string) error {
	src, err := t.root.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // opened for reading only
	dst, err := t.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, t.options.FileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = t.share(dst)
	}
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

// Free returns the free space on the mirror's disk.
func (t *Tree) Free() (durable.Space, error) { return durable.Free(t.ground) }

// syncFile makes the bytes of a file durable.
func (t *Tree) syncFile(name string) error {
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// dir returns the plain path of a folder of the mirror.
func (t *Tree) dir(name string) string { return filepath.Join(t.path, filepath.FromSlash(name)) }
