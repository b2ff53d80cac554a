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

// openFile opens an unfinished file for reading and writing, and makes it if need be. What
// others could write to meanwhile, or lose, is none of ours: a link, a FIFO, a file of
// somebody else, or one that has another name elsewhere. Such a name is taken away, and the
// file made anew.
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
				return nil, &fs.PathError{Op: "open", Path: t.dir(partialDir + "/" + name), Err: errors.New("somebody puts files of his own there")}
			}
		}
		if err := t.partials.Remove(name); err != nil {
			return nil, err
		}
	}
}

// isPlanted reports whether a file could not be opened because it is a link, a socket, or
// somebody else's.
func (t *Tree) isPlanted(name string, err error) bool {
	if _, foreign := errors.AsType[*store.ForeignError](err); foreign || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return true
	}
	fi, lerr := t.partials.Lstat(name)
	return errors.Is(err, fs.ErrPermission) && lerr == nil && !t.unfinished.Believes(durable.Owner(fi))
}

// isOurs reports whether nobody else can have an unfinished file.
func (t *Tree) isOurs(f *os.File) bool {
	fi, err := f.Stat()
	return err == nil && fi.Mode().IsRegular() && t.unfinished.Believes(durable.Owner(fi)) && (runtime.GOOS == "windows" || durable.Links(fi) == 1)
}

// OpenPartial opens the unfinished file of a digest, and makes it if need be.
func (t *Tree) OpenPartial(d manifest.Digest) (*Partial, error) {
	f, err := t.openFile(d.String(), 0)
	return &Partial{File: f, Digest: d, name: d.String()}, err
}

// CreateNamed makes it anew.
func (t *Tree) CreateNamed(d manifest.Digest) (*Partial, error) {
	f, err := t.openFile(d.String(), os.O_TRUNC)
	return &Partial{File: f, Digest: d, name: d.String()}, err
}

// CreateCopy makes an unfinished file for a copy of what the mirror has. It has a
// name of its own: of thousands of equal files, none waits for the commit of the one
// before. One that a crash leaves is removed, see strays.
func (t *Tree) CreateCopy(d manifest.Digest) (*Partial, error) {
	name := fmt.Sprintf("%v.copy.%d", d, t.copies.Add(1))
	f, err := t.openFile(name, os.O_TRUNC)
	return &Partial{File: f, Digest: d, name: name}, err
}

// NameCopy puts a copy in the place of the digest's unfinished file.
func (t *Tree) NameCopy(f *Partial) error {
	err := t.partials.Rename(f.name, f.Digest.String())
	if err == nil {
		f.name = f.Digest.String()
	}
	return err
}

// DropPartial closes the unfinished file and removes it.
func (t *Tree) DropPartial(f *Partial) error {
	err := f.Close()
	if f.IsNameless() {
		return err
	}
	return errors.Join(err, t.removeUnfinished(f.name))
}

// KeepPartial leaves the finished file to a later pass, under its name.
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

// GiveUpPartial removes the unfinished file that a record speaks of, or moves it to
// quarantine if it began with bytes that are not ours.
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

// Run names what the bytes of a process outlive that dies: this run of the kernel with
// the disk as it is mounted. It is empty where that cannot be told.
func (t *Tree) Run() string {
	boot := durable.BootID()
	if boot == "" {
		return ""
	}
	return boot + "/" + durable.MountID(t.folder)
}

// PartialHolds reports whether there is an unfinished file of a digest with at
// least n bytes.
func (t *Tree) PartialHolds(d manifest.Digest, n int64) bool {
	fi, err := t.partials.Lstat(d.String())
	return err == nil && fi.Size() >= n
}

// TakeOver makes a file of the mirror the unfinished file of a digest. One that
// has other names is copied: what is appended to it would show under those too.
func (t *Tree) TakeOver(name string, d manifest.Digest, shared bool) error {
	if !shared {
		return t.root.Rename(name, partialName(d))
	}
	if err := t.copyFile(name, partialName(d)); err != nil {
		return err
	}
	return t.root.Remove(name)
}

// PartialsOnDisk is how much of the disk unfinished files take already, with
// what is reserved for them.
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

// Stamp gives an unfinished file its group, its permissions, and the time that its
// source says it has, so that wget -N over the same tree takes it for current, and
// returns what the file system made of it.
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
	// Another tool made it, or this one under other settings; or the file system
	// has no permissions, and may say so.
	err = f.Chmod(t.options.FileMode)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return fi, err
}

// Strays returns the unfinished files that known does not speak of, with their
// lengths: what a process left that died before it could record them. It removes
// unfinished manifests and copies, and moves what else lies there to quarantine.
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

// sweep visits the files of a folder that are named by a digest and clears away the
// others.
func (t *Tree) sweep(dir string, visit func(manifest.Digest, fs.FileInfo)) error {
	f, err := t.root.Open(dir)
	if t.options.ReadOnly && err != nil { // there is none, or not for us
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

// scraps are the names of what is made in the folders of a mirror for a moment.
var scraps = []string{"Case", "nameless", "new.*", "manifest.*", "*.copy.*"}

// clearAway removes a scrap. Anything else is not ours. A folder of somebody else, with
// what is in it, is not even moved.
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
