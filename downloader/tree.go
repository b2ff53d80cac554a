package downloader

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"
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

// TreeOptions say how a Tree treats the mirror's file system.
type TreeOptions struct {
	// FileMode and DirMode are the permissions of what it makes; zero means
	// 0600 and 0700: it is patient data.
	FileMode, DirMode fs.FileMode
	// Network says that the mirror is on a file server, where syncfs would
	// flush other people's files too: each file is synced on its own.
	Network bool
}

// Tree is the folder tree of a mirror. Every name goes through an os.Root, so
// that nothing is written outside the mirror, and folders on the way to an entry
// must be real ones: a symlink planted there is refused, not followed. Its
// methods may be called from several goroutines.
type Tree struct {
	root    *os.Root
	path    string
	options TreeOptions
	syncFS  *os.File // a folder of the mirror for syncfs(2), nil where files are synced one by one
	// foldsCase says that names are the same here that differ only by case.
	foldsCase bool

	mu   sync.Mutex
	dirs map[string]struct{} // folders known to exist; bounded, see ensureDir
}

// OpenTree opens the mirror at path, which must exist. Close it.
func OpenTree(path string, o TreeOptions) (*Tree, error) {
	if o.FileMode == 0 {
		o.FileMode = 0o600
	}
	if o.DirMode == 0 {
		o.DirMode = 0o700
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	t := &Tree{root: root, path: path, options: o, dirs: map[string]struct{}{}}
	if err := t.prepare(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Tree) prepare() error {
	for _, dir := range []string{partialDir, manifestDir, quarantineDir} {
		if err := t.root.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make %s in the mirror: %w", dir, err)
		}
	}
	t.foldsCase = t.probeCase()
	if t.options.Network || !durable.HasSyncFS {
		return nil
	}
	dir, err := os.Open(t.path)
	if err != nil {
		return err
	}
	t.syncFS = dir
	return nil
}

// Close releases the mirror's folder.
func (t *Tree) Close() error {
	if t.syncFS != nil {
		_ = t.syncFS.Close() // opened for reading only
	}
	return t.root.Close()
}

// Path returns the mirror's root folder.
func (t *Tree) Path() string { return t.path }

// versionDir is where the files of a version lie, relative to the mirror.
func versionDir(ref manifest.Ref) string { return ref.Dataset + "/" + ref.Version }

// name is the place of an entry, relative to the mirror. p has passed
// manifest.CheckPath.
func (t *Tree) name(ref manifest.Ref, p string) string { return versionDir(ref) + "/" + p }

// stat looks at an entry's file without following a symlink at its end. It
// goes by the plain path: looking does no harm, and costs a fifth.
func (t *Tree) stat(ref manifest.Ref, p string) (fs.FileInfo, error) {
	return os.Lstat(t.path + string(filepath.Separator) + filepath.FromSlash(t.name(ref, p)))
}

// has reports whether the version has a folder at all.
func (t *Tree) has(ref manifest.Ref) bool {
	fi, err := t.root.Stat(versionDir(ref))
	return err == nil && fi.IsDir()
}

// matches reports whether a file is still as its record says.
func matches(fi fs.FileInfo, r store.Record) bool {
	return !r.Lost && fi.Mode().IsRegular() && fi.Size() == r.Size && fi.ModTime().Equal(r.ModTime)
}

// maxDirs bounds what a Tree remembers. Entries come folder by folder, so a few
// thousand are as good as all.
const maxDirs = 8192

// ensureDir makes a folder and those above it, and refuses any that is a
// symlink.
func (t *Tree) ensureDir(dir string) error {
	if dir == "." || t.knows(dir) {
		return nil
	}
	if err := t.ensureDir(path.Dir(dir)); err != nil {
		return err
	}
	err := t.root.Mkdir(dir, t.options.DirMode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err != nil {
		fi, err := t.root.Lstat(dir)
		if err != nil {
			return err
		}
		if fi.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%w: %s is a symlink, and mimicsync does not write through one", manifest.ErrUnsafePath, dir)
		}
		if !fi.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("a file stands where a folder should be; move it away")}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirs) >= maxDirs {
		clear(t.dirs)
	}
	t.dirs[dir] = struct{}{}
	return nil
}

// ensureDirOf makes the folder of an entry.
func (t *Tree) ensureDirOf(ref manifest.Ref, p string) error {
	return t.ensureDir(path.Dir(t.name(ref, p)))
}

func (t *Tree) knows(dir string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.dirs[dir]
	return ok
}

// forget drops what is remembered of folders, after one turned out to be gone.
func (t *Tree) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.dirs)
}

// place moves a file of the mirror to an entry's place.
func (t *Tree) place(from string, ref manifest.Ref, p string) error {
	to := t.name(ref, p)
	for try := 0; ; try++ {
		if err := t.ensureDir(path.Dir(to)); err != nil {
			return err
		}
		err := t.root.Rename(from, to)
		if try == 0 && errors.Is(err, fs.ErrNotExist) {
			t.forget() // somebody removed a folder that was known
			continue
		}
		return err
	}
}

// link gives a file of the mirror a second name, at an entry's place.
func (t *Tree) link(from string, ref manifest.Ref, p string) error {
	to := t.name(ref, p)
	if err := t.ensureDir(path.Dir(to)); err != nil {
		return err
	}
	return t.root.Link(from, to)
}

func partialName(d manifest.Digest) string { return partialDir + "/" + d.String() }

// openPartial opens the unfinished file of a digest, and makes it if need be.
func (t *Tree) openPartial(d manifest.Digest) (*os.File, error) {
	return t.root.OpenFile(partialName(d), os.O_RDWR|os.O_CREATE, t.options.FileMode)
}

// createPartial makes the unfinished file of a digest anew.
func (t *Tree) createPartial(d manifest.Digest) (*os.File, error) {
	return t.root.OpenFile(partialName(d), os.O_RDWR|os.O_CREATE|os.O_TRUNC, t.options.FileMode)
}

// takeOver makes a file of the mirror the unfinished file of a digest. One that
// has other names is copied: what is appended to it would show under those too.
func (t *Tree) takeOver(name string, d manifest.Digest, shared bool) error {
	if !shared {
		return t.root.Rename(name, partialName(d))
	}
	if err := t.copyFile(name, partialName(d)); err != nil {
		return err
	}
	return t.root.Remove(name)
}

// partialsOnDisk is how much of the disk unfinished files take already, with
// what is reserved for them.
func (t *Tree) partialsOnDisk() int64 {
	entries, err := os.ReadDir(t.dir(partialDir))
	if err != nil {
		return 0
	}
	var n int64
	for _, e := range entries {
		if fi, err := e.Info(); err == nil {
			n += durable.Allocated(fi)
		}
	}
	return n
}

// stamp gives an unfinished file the time that its source says it has, so that
// wget -N over the same tree takes it for current, and returns what the file
// system made of it.
func (t *Tree) stamp(f *os.File, d manifest.Digest, modified time.Time) (fs.FileInfo, error) {
	if !modified.IsZero() {
		if err := t.root.Chtimes(partialName(d), modified, modified); err != nil {
			return nil, err
		}
	}
	return f.Stat()
}

func (t *Tree) removePartial(d manifest.Digest) error {
	err := t.root.Remove(partialName(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// strays returns the unfinished files that known does not speak of, with their
// lengths: what a process left that died before it could record them. It removes
// unfinished manifests and what else has no business there.
func (t *Tree) strays(known map[manifest.Digest]store.Partial) (map[manifest.Digest]int64, error) {
	found := map[manifest.Digest]int64{}
	if err := t.sweep(partialDir, func(d manifest.Digest, fi fs.FileInfo) {
		if _, ok := known[d]; !ok {
			found[d] = fi.Size()
		}
	}); err != nil {
		return nil, err
	}
	return found, t.sweep(manifestDir, func(manifest.Digest, fs.FileInfo) {})
}

// sweep visits the files of a folder that are named by a digest and removes the
// others.
func (t *Tree) sweep(dir string, visit func(manifest.Digest, fs.FileInfo)) error {
	f, err := t.root.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	for {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			fi, ierr := e.Info()
			if ierr != nil {
				return ierr
			}
			if d, perr := manifest.ParseDigest(e.Name()); perr == nil && fi.Mode().IsRegular() {
				visit(d, fi)
			} else if err := t.root.RemoveAll(dir + "/" + e.Name()); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || len(entries) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// quarantine moves a file of the mirror aside, where it is neither data nor
// lost, and returns its new place relative to the mirror.
func (t *Tree) quarantine(from string, ref manifest.Ref, p string) (string, error) {
	to := quarantineDir + "/" + t.name(ref, p)
	if err := t.root.MkdirAll(path.Dir(to), 0o700); err != nil {
		return "", err
	}
	free := to
	for n := 1; ; n++ {
		_, err := t.root.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		free = to + "." + strconv.Itoa(n)
	}
	return free, t.root.Rename(from, free)
}

func manifestName(d manifest.Digest) string { return manifestDir + "/" + d.String() }

// showManifest puts the manifest in force into the version's folder, where
// `sha256sum -c` looks for it: as a second name of the same file where the file
// system has links, as a copy where not.
func (t *Tree) showManifest(d manifest.Digest, ref manifest.Ref) error {
	if err := t.ensureDir(versionDir(ref)); err != nil {
		return err
	}
	from, to := manifestName(d), t.name(ref, manifest.Name)
	a, err := t.root.Stat(from)
	if err != nil {
		return err
	}
	if b, err := t.root.Lstat(to); err == nil && os.SameFile(a, b) {
		return nil
	}
	fresh := partialDir + "/manifest." + d.String()
	_ = t.root.Remove(fresh) // what an earlier attempt left
	if err := t.root.Link(from, fresh); err != nil {
		if err := t.copyFile(from, fresh); err != nil {
			return err
		}
	}
	return t.root.Rename(fresh, to)
}

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
	if _, err := io.Copy(dst, src); err != nil {
		_ = dst.Close()
		return err
	}
	return dst.Close()
}

// free asks for the room on the mirror's disk.
func (t *Tree) free() (durable.Space, error) { return durable.Free(t.path) }

// openManifest opens a kept manifest by its digest.
func (t *Tree) openManifest(d manifest.Digest) (*os.File, error) { return t.root.Open(manifestName(d)) }

// syncFile makes the bytes of a file of the mirror durable.
func (t *Tree) syncFile(name string) error {
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// probeCase finds out whether the mirror's file system takes names for the same
// that differ only by case.
func (t *Tree) probeCase() bool {
	const probe = partialDir + "/Case"
	f, err := t.root.Create(probe)
	if err != nil {
		return false
	}
	_ = f.Close()
	_, err = t.root.Lstat(partialDir + "/cASE")
	_ = t.root.Remove(probe)
	return err == nil
}

// dir is the plain path of a folder of the mirror.
func (t *Tree) dir(name string) string { return filepath.Join(t.path, filepath.FromSlash(name)) }

// manifestIntact reports whether the kept copy of a manifest still has its
// digest.
func (t *Tree) manifestIntact(d manifest.Digest) bool {
	f, err := t.openManifest(d)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // opened for reading only
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return false
	}
	return manifest.Digest(sum.Sum(nil)) == d
}

// keepManifest makes a fetched manifest durable under its digest.
func (t *Tree) keepManifest(f *os.File, d manifest.Digest) error {
	if err := f.Chmod(t.options.FileMode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), t.dir(manifestName(d))); err != nil {
		return err
	}
	return durable.SyncDir(t.dir(manifestDir))
}

func (t *Tree) dropManifest(d manifest.Digest) error {
	err := t.root.Remove(manifestName(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
