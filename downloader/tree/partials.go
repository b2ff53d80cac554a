package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"syscall"
	"time"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

func partialName(d manifest.Digest) string { return partialDir + "/" + d.String() }

// openFile opens a partial for reading and writing, and creates it if needed. It doesn't
// use a symlink, a FIFO, another user's file or one with a second name, because others
// could write to it: it removes that name and creates the file again.
func (t *Tree) openFile(name string, flags int) (*os.File, error) {
	for try := 0; ; try++ {
		f, err := t.openRaw(name)
		if err != nil && (try > 0 || !t.isPlanted(name, err)) {
			return nil, err
		}
		if err == nil && t.isOurs(f) {
			if flags&os.O_TRUNC != 0 {
				err = f.Truncate(0)
			}
			return f, err
		}
		if err == nil {
			_ = f.Close() // nothing was written to it
			if try > 0 {
				return nil, &fs.PathError{Op: "open", Path: t.dir(partialDir + "/" + name), Err: errors.New("another user keeps putting files there")}
			}
		}
		if err := t.partials.Remove(name); err != nil {
			return nil, err
		}
	}
}

// isPlanted reports whether a file can't be opened because it is a symlink, a socket, or
// another user's.
func (t *Tree) isPlanted(name string, err error) bool {
	if _, foreign := errors.AsType[*store.ForeignError](err); foreign || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return true
	}
	fi, lerr := t.partials.Lstat(name)
	return errors.Is(err, fs.ErrPermission) && lerr == nil && !t.unfinished.Believes(durable.Owner(fi))
}

// isOurs reports whether no one else can write to a partial by another name.
func (t *Tree) isOurs(f *os.File) bool {
	fi, err := f.Stat()
	return err == nil && fi.Mode().IsRegular() && t.unfinished.Believes(durable.Owner(fi)) && (runtime.GOOS == "windows" || durable.Links(fi) == 1)
}

// OpenPartial opens the partial of a digest for reading and writing, and creates it if
// needed. The caller closes it.
func (t *Tree) OpenPartial(d manifest.Digest) (*Partial, error) {
	f, err := t.openFile(d.String(), 0)
	return &Partial{File: f, Digest: d, name: d.String()}, err
}

// CreateNamed creates the partial of a digest under its name, and empties an existing one.
func (t *Tree) CreateNamed(d manifest.Digest) (*Partial, error) {
	f, err := t.openFile(d.String(), os.O_TRUNC)
	return &Partial{File: f, Digest: d, name: d.String()}, err
}

// CreateCopy creates a partial for a copy of a file that the mirror has. It has a unique
// name, so that thousands of equal files needn't wait for each other's commit. Strays
// removes copies that a crash left.
func (t *Tree) CreateCopy(d manifest.Digest) (*Partial, error) {
	name := fmt.Sprintf("%v.copy.%d", d, t.copies.Add(1))
	f, err := t.openFile(name, os.O_TRUNC)
	return &Partial{File: f, Digest: d, name: name}, err
}

// NameCopy makes a copy the partial of its digest, in place of an existing one.
func (t *Tree) NameCopy(f *Partial) error {
	err := t.partials.Rename(f.name, f.Digest.String())
	if err == nil {
		f.name = f.Digest.String()
	}
	return err
}

// DropPartial closes a partial and removes it.
func (t *Tree) DropPartial(f *Partial) error {
	err := f.Close()
	if f.IsNameless() {
		return err
	}
	return errors.Join(err, t.removeUnfinished(f.name))
}

// KeepPartial closes a partial and leaves it, under its name, to a later pass.
func (t *Tree) KeepPartial(f *Partial) error {
	return errors.Join(t.NamePartial(f), f.Close())
}

func (t *Tree) removePartial(d manifest.Digest) error { return t.removeUnfinished(d.String()) }

func (t *Tree) removeUnfinished(name string) error {
	err := t.partials.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// GiveUpPartial removes a recorded partial, or moves it to quarantine if it began with
// bytes that mimicsync didn't fetch.
func (t *Tree) GiveUpPartial(p store.Partial) error {
	if p.Seed == 0 {
		return t.removePartial(p.Digest)
	}
	_, err := t.quarantine(partialName(p.Digest), p.Ref, p.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, t.SyncMoves())
}

// Run identifies this boot of the kernel and this mount of the disk. Bytes that a process
// wrote survive its death for as long as both last. It is empty where they are unknown.
func (t *Tree) Run() string {
	boot := durable.BootID()
	if boot == "" {
		return ""
	}
	return boot + "/" + durable.MountID(t.folder)
}

// PartialHolds reports whether the partial of a digest exists and has at least n bytes.
func (t *Tree) PartialHolds(d manifest.Digest, n int64) bool {
	fi, err := t.partials.Lstat(d.String())
	return err == nil && fi.Size() >= n
}

// TakeOver makes a file of the mirror the partial of a digest. shared means that the file
// has other names: then it is copied, so that appended bytes don't show under those.
func (t *Tree) TakeOver(name string, d manifest.Digest, shared bool) error {
	if !shared {
		return t.root.Rename(name, partialName(d))
	}
	if err := t.copyFile(name, partialName(d)); err != nil {
		return err
	}
	return t.root.Remove(name)
}

// PartialsOnDisk returns how many bytes of the disk the partials use, including reserved
// space.
func (t *Tree) PartialsOnDisk() int64 {
	entries, err := fs.ReadDir(t.partials.FS(), ".")
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

// Stamp gives a partial its group, its permissions, and the modification time that its
// source reports, so that wget -N over the same tree considers it current. It returns
// what the file system made of them.
func (t *Tree) Stamp(f *Partial, modified time.Time) (fs.FileInfo, error) {
	if err := t.share(f.File); err != nil {
		return nil, err
	}
	if !modified.IsZero() {
		if err := t.setTime(f, modified); err != nil {
			return nil, err
		}
	}
	fi, err := f.Stat()
	if err != nil || fi.Mode().Perm() == t.options.FileMode {
		return fi, err
	}
	// Another tool created it, or mimicsync with other settings, or the file system has
	// no permissions.
	err = f.Chmod(t.options.FileMode)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return fi, err
}

// Strays returns the partials that are not in known, with their lengths: a process died
// before it could record them. It removes incomplete manifests and copies, and moves
// other files in the folders of partials and manifests to quarantine.
func (t *Tree) Strays(known map[manifest.Digest]store.Partial) (map[manifest.Digest]int64, error) {
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

// sweep calls visit for the files of a folder that are named by a digest, and clears away
// the others.
func (t *Tree) sweep(dir string, visit func(manifest.Digest, fs.FileInfo)) error {
	f, err := t.root.Open(dir)
	if t.options.ReadOnly && err != nil { // it is missing or not readable
		return nil
	}
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
			} else if t.options.ReadOnly {
				continue
			} else if err := t.clearAway(dir+"/"+e.Name(), fi); err != nil {
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

// scraps are the names of temporary files in the folders of a mirror.
var scraps = []string{"Case", "nameless", "new.*", "manifest.*", "*.copy.*"}

// clearAway removes a temporary file and moves anything else to quarantine. It leaves
// another user's folder where it is.
func (t *Tree) clearAway(name string, fi fs.FileInfo) error {
	if fi.IsDir() && !t.own.Believes(durable.Owner(fi)) {
		return nil
	}
	for _, scrap := range scraps {
		if ok, _ := path.Match(scrap, path.Base(name)); ok && fi.Mode().IsRegular() {
			return t.root.Remove(name)
		}
	}
	_, err := t.quarantine(name, manifest.Ref{}, "")
	return err
}
