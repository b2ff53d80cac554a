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

// Folders of a mirror below store.Dir.
const (
	partialDir    = store.Dir + "/partial"
	manifestDir   = store.Dir + "/manifests"
	quarantineDir = store.Dir + "/quarantine"
)

// Options say how a Tree treats the mirror's file system.
type Options struct {
	// FileMode and DirMode are the permissions of what it makes, whatever the
	// umask is; zero means 0600 and 0700: it is patient data.
	FileMode, DirMode fs.FileMode
	// Group is the id of the group that what it makes is given to; 0 leaves that
	// to the system.
	Group int
	// Network says that the mirror is on a file server, where syncfs would
	// flush other people's files too: each file is synced on its own.
	Network bool
	// Inherited says that another process may yet write to the unfinished files that it
	// has open: they are replaced by copies.
	Inherited bool
	// ReadOnly says that nothing in the mirror is written, made, moved or removed: for
	// who plans or verifies only. Files cannot be fetched then.
	ReadOnly bool
	// Durability is what is done against a power cut; empty means GroupDurability.
	Durability Durability
	// Quirks are what a test has the Tree meet. The zero value is that of production.
	Quirks Quirks
}

// Quirks are those of a kernel or a file system that the machine of a test lacks.
type Quirks struct {
	NoOpenat2 bool // openat2(2) is missing, as before Linux 5.6
	DropsEnds bool // dots and spaces at the end of a name do not count, as on FAT
}

const (
	defaultFileMode fs.FileMode = 0o600
	defaultDirMode  fs.FileMode = 0o700
)

// Tree is the folder tree of a mirror. Every name goes through an os.Root, so
// that nothing is written outside the mirror, and folders on the way to an entry
// must be real ones: a symlink planted there is refused, not followed. Its
// methods may be called from several goroutines.
type Tree struct {
	root    *os.Root
	path    string
	ground  string // a folder on the disk of the mirror: itself, unless there is none yet
	options Options
	// spare has the manifests of a Tree that is ReadOnly; empty says that the mirror at
	// path stands in for one that is not there. Both are removed at the end.
	spare string
	empty bool
	// folder and partialFolder are the mirror's root and its folder of
	// unfinished files, for the calls that os.Root does not have; partials is
	// the latter as a Root, one step from its files.
	folder, partialFolder, ownFolder *os.File
	folderFD, partialFD, ownFD       int // of the three: os.File.Fd makes system calls of its own
	partials                         *os.Root
	// own, unfinished and manifests are the mirror's .mimicsync and two folders in it,
	// as they were when they were found to be mimicsync's.
	own, unfinished, manifests *store.Folder
	// kept is the folder of the kept manifests of a mirror that is only looked at, nil if
	// there is none: manifests is another one then.
	kept   *store.Folder
	device uint64 // of the file system
	// canNameless says that partials can do without a name, see createPartial.
	canNameless bool
	nameless    nameless
	copies      atomic.Int64 // made so far, see createCopy
	// groupSync says that one call makes all durable, see durable.GroupSync.
	groupSync bool
	// noOpenat2 says that the kernel lacks openat2(2), or that a container filters it.
	noOpenat2 atomic.Bool
	moves     moves
	// foldsCase says that names are the same here that differ only by case, and
	// dropsEnds that dots or spaces at their end do not count.
	foldsCase, dropsEnds bool

	mu   sync.Mutex
	dirs map[string]struct{} // folders known to exist; bounded, see ensureDir
}

// Open opens the mirror at path, which must exist. Close it.
func Open(path string, o Options) (*Tree, error) {
	o.FileMode, o.DirMode = cmp.Or(o.FileMode, defaultFileMode), cmp.Or(o.DirMode, defaultDirMode)
	t := &Tree{path: path, ground: path, options: o, dirs: map[string]struct{}{}, nameless: nameless{made: map[*Partial]time.Time{}}}
	t.noOpenat2.Store(o.Quirks.NoOpenat2)
	var err error
	prepare := t.prepare
	if o.ReadOnly {
		prepare = t.prepareToLook
		t.root, t.path, t.ground, t.empty, err = openToLook(path)
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

// openFolders opens the folders for the calls that os.Root does not have.
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

// openOwn opens the folders below store.Dir, and makes those that are missing.
func (t *Tree) openOwn() (err error) {
	if t.own, err = store.MakeFolder(t.path); err != nil {
		return err
	}
	if err = t.inheritPartials(); err != nil {
		return fmt.Errorf("copy the unfinished files of the owner before, which may yet write to them: %w", err)
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

// Close releases the mirror's folder.
func (t *Tree) Close() error {
	for _, f := range []*os.File{t.folder, t.partialFolder, t.ownFolder} {
		_ = f.Close() // opened for reading only, if at all
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

// Present reports whether the folder at Path is still the one that the Tree has
// open. The error says what is there instead: nothing, or another folder, as when
// a disk was unmounted or another one mounted over it.
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

// VersionDir is where the files of a version lie, relative to the mirror.
func VersionDir(ref manifest.Ref) string { return ref.Dataset + "/" + ref.Version }

// Name is the place of an entry, relative to the mirror. p has passed
// manifest.CheckPath.
func (t *Tree) Name(ref manifest.Ref, p string) string { return VersionDir(ref) + "/" + p }

// Stat looks at an entry's file without following a symlink at its end. It
// goes by the plain path: looking does no harm, and costs a fifth.
func (t *Tree) Stat(ref manifest.Ref, p string) (fs.FileInfo, error) {
	return os.Lstat(t.path + string(filepath.Separator) + filepath.FromSlash(t.Name(ref, p)))
}

// Has reports whether the version has any file beside its manifest.
func (t *Tree) Has(ref manifest.Ref) bool {
	dir := VersionDir(ref)
	if fi, err := t.root.Stat(dir); err != nil || !fi.IsDir() { // to open a FIFO would wait for a writer
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

// lstatRoot is lstat by os.Root.
func (t *Tree) lstatRoot(name string) (isDir, isLink bool, err error) {
	fi, err := t.root.Lstat(name)
	if err != nil {
		return false, false, err
	}
	return fi.IsDir(), fi.Mode()&fs.ModeSymlink != 0, nil
}

// Matches reports whether a file is still as its record says. A record keeps no
// more of a time than its UnixNano.
func Matches(fi fs.FileInfo, r store.Record) bool {
	return !r.Lost && fi.Mode().IsRegular() && fi.Size() == r.Size && fi.ModTime().UnixNano() == r.ModTime.UnixNano()
}

// Place moves a finished partial to an entry's place. One that had no name is
// closed. A file that has come there meanwhile is somebody's: it is moved to
// quarantine first, and aside is its new place.
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

// Link gives a file of the mirror a second name, at an entry's place.
func (t *Tree) Link(from string, ref manifest.Ref, p string) error {
	to := t.Name(ref, p)
	return t.into(path.Dir(to), func() error { return t.linkFile(from, to) })
}

// copyFile makes a durable copy of a file of the mirror.
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

// Free asks for the room on the mirror's disk.
func (t *Tree) Free() (durable.Space, error) { return durable.Free(t.ground) }

// syncFile makes the bytes of a file of the mirror durable.
func (t *Tree) syncFile(name string) error {
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// dir is the plain path of a folder of the mirror.
func (t *Tree) dir(name string) string { return filepath.Join(t.path, filepath.FromSlash(name)) }
