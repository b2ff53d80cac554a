package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"mimicsync/internal/durable"
)

// Folder is mimicsync's own folder in a mirror, .mimicsync or a folder below it, open.
//
// In a mirror that others can write to, it may be hostile: anyone may have replaced a file
// or folder in it by a link, a FIFO, a device or a folder of their own. So a Folder opens
// only a real folder whose owner is trusted: root, the user of this process, or the owner
// of the mirror's folder, who can change everything anyway. The same rule holds for each
// file that is opened in it. It follows no symlink on the way, and no open blocks. Once
// open, it remains the folder that was checked, whatever replaces its name. An error that
// wraps a *ForeignError says what stands there instead.
//
// Its methods may be called from several goroutines.
type Folder struct {
	root *os.Root
	path string // for messages
	believed
}

// believed are the users, besides root, whose files are trusted as mimicsync's: the owner
// of the mirror's folder and the user of this process. Where users have no numbers, the
// permissions of the mirror's folder must do.
type believed struct{ owner, us int }

// Believes reports whether a user is trusted; -1 stands for an unknown user.
func (b believed) Believes(uid int) bool { return uid <= 0 || uid == b.us || uid == b.owner }

// OpenFolder opens the .mimicsync of a mirror. The error is fs.ErrNotExist if there is
// none, and wraps a *ForeignError if it isn't mimicsync's. The caller closes it.
func OpenFolder(mirror string) (*Folder, error) { return openFolder(mirror, (*Folder).Sub) }

// MakeFolder is OpenFolder, but first creates the mirror's folder and .mimicsync. It takes
// others' write permission from a .mimicsync that has it, as after `chmod -R g+w` on a
// mirror: anything that they put into it would have to be refused.
func MakeFolder(mirror string) (*Folder, error) {
	if err := os.MkdirAll(mirror, 0o700); err != nil {
		return nil, err
	}
	f, err := openFolder(mirror, (*Folder).MakeSub)
	if err != nil {
		return nil, err
	}
	if fi, err := f.root.Stat("."); err == nil && fi.Mode().Perm()&0o022 != 0 && durable.Owner(fi) == os.Geteuid() {
		_ = f.root.Chmod(".", fi.Mode()&fs.ModePerm&^0o022|fi.Mode()&fs.ModeSetgid) // a file system without permissions may refuse
	}
	return f, nil
}

func openFolder(mirror string, open func(*Folder, string) (*Folder, error)) (*Folder, error) {
	top, err := openTop(mirror)
	if err != nil {
		return nil, err
	}
	defer func() { _ = top.Close() }() // nothing was written through it
	f, err := open(top, Dir)
	if foreign, ok := errors.AsType[*ForeignError](err); ok && foreign.Owner != "" {
		if _, network := durable.NetworkFS(mirror); network {
			top.us = servedAs(top.root)
			return open(top, Dir)
		}
	}
	return f, err
}

// openTop opens a folder that a person named, through links or not. Its owner is trusted.
func openTop(path string) (*Folder, error) {
	root, err := os.OpenRoot(path + string(filepath.Separator) + ".") // a FIFO fails here instead of blocking
	if err != nil {
		return nil, err
	}
	fi, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Folder{root: root, path: path, believed: believed{owner: durable.Owner(fi), us: os.Geteuid()}}, nil
}

// servedAs is the user that a file server takes this process for, which may be another than
// here; see "root_squash" and "all_squash" in exports(5). It is -1 if the process can't
// write.
func servedAs(dir *os.Root) int {
	f, name, err := durable.CreateTempIn(dir, ".mimicsync-user-")
	if err != nil {
		return -1
	}
	defer func() { _, _ = f.Close(), dir.Remove(name) }() // nothing was written to it
	fi, err := f.Stat()
	if err != nil {
		return -1
	}
	return durable.Owner(fi)
}

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Root is the folder, for calls that neither open a file nor follow a link: Lstat, Link,
// Rename and Remove of a name in it.
func (f *Folder) Root() *os.Root { return f.root }

// WriteFile is durable.WriteFile for a name in the folder.
func (f *Folder) WriteFile(name string, data []byte) error {
	return f.named(durable.WriteFileIn(f.root, name, data))
}

// CreateFile is durable.CreateFileIn for a name in the folder.
func (f *Folder) CreateFile(name string, data []byte) error {
	return f.named(durable.CreateFileIn(f.root, name, data))
}

// named gives an error of an os.Root the whole path.
func (f *Folder) named(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok && !filepath.IsAbs(failed.Path) {
		return &fs.PathError{Op: strings.TrimSuffix(failed.Op, "at"), Path: filepath.Join(f.path, failed.Path), Err: failed.Err}
	}
	return err
}

// Path is the folder's path at the time when it was opened.
func (f *Folder) Path() string { return f.path }

// Sub opens a folder in the folder.
func (f *Folder) Sub(name string) (*Folder, error) {
	fi, err := f.root.Lstat(name)
	if err != nil {
		return nil, f.named(err)
	}
	if err := f.Check(name, fi, fs.ModeDir); err != nil {
		return nil, err
	}
	root, err := f.root.OpenRoot(name + "/.") // a FIFO that replaced it meanwhile fails here
	if err != nil {
		return nil, f.named(err)
	}
	sub := &Folder{root: root, path: filepath.Join(f.path, name), believed: f.believed}
	if got, err := root.Stat("."); err != nil || !os.SameFile(fi, got) {
		return nil, errors.Join(err, f.foreign(name, "it is another one from one moment to the next", ""), root.Close())
	}
	return sub, nil
}

// MakeSub is Sub, but creates the folder if there is none.
func (f *Folder) MakeSub(name string) (*Folder, error) {
	if err := f.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, lerr := f.root.Lstat(name); lerr != nil { // without write permission, an existing folder will do
			return nil, f.named(err)
		}
	}
	return f.Sub(name)
}

// Open opens a file for reading.
func (f *Folder) Open(name string) (*os.File, error) { return f.OpenFile(name, os.O_RDONLY, 0) }

// openTries is how often a file that is replaced meanwhile is opened again, as the owner
// file is by a successor's.
const openTries = 100

// OpenFile opens or creates a file, like os.OpenFile.
func (f *Folder) OpenFile(name string, flag int, perm fs.FileMode) (file *os.File, err error) {
	for range openTries {
		if file, err = f.openFile(name, flag, perm); !errors.Is(err, errReplaced) {
			return file, f.named(err)
		}
	}
	return nil, f.foreign(name, "it is another one from one moment to the next", "")
}

// errReplaced means that a file was created, removed or replaced while it was opened.
var errReplaced = errors.New("replaced meanwhile")

func (f *Folder) openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	fi, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0 {
		made, err := f.root.OpenFile(name, flag|os.O_EXCL, perm)
		if errors.Is(err, fs.ErrExist) && flag&os.O_EXCL == 0 {
			err = errReplaced
		}
		return made, err
	}
	if err != nil {
		return nil, err
	}
	if err := f.Check(name, fi, 0); err != nil {
		return nil, err
	}
	file, err := f.root.OpenFile(name, flag&^(os.O_CREATE|os.O_TRUNC)|nonblock, perm)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errReplaced
	}
	if err != nil {
		return nil, err
	}
	if got, err := file.Stat(); err != nil || !os.SameFile(fi, got) {
		return nil, errors.Join(errReplaced, err, file.Close())
	}
	if flag&os.O_TRUNC != 0 {
		err = file.Truncate(0)
	}
	return file, err
}

// ReadFile reads a small file; if it is longer than limit bytes, that is an error.
func (f *Folder) ReadFile(name string, limit int64) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // opened for reading only
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &fs.PathError{Op: "read", Path: filepath.Join(f.path, name), Err: fmt.Errorf("it is longer than %d bytes", limit)}
	}
	return b, err
}

// Check says what is wrong with the file at a name in or below the folder, which should be
// of one type and mimicsync's.
func (f *Folder) Check(name string, fi fs.FileInfo, want fs.FileMode) error {
	if got := fi.Mode().Type(); got != want {
		return f.foreign(name, "it is "+typeName(got)+", which mimicsync did not make", "")
	}
	return f.CheckOwner(name, durable.Owner(fi))
}

// CheckOwner does so for the owner.
func (f *Folder) CheckOwner(name string, uid int) error {
	if f.Believes(uid) {
		return nil
	}
	owner := userName(uid)
	return f.foreign(name, "it belongs to "+owner+", and neither to you, nor to root, nor to the owner of the mirror's folder", owner)
}

func (f *Folder) foreign(name, what, owner string) error {
	return &fs.PathError{Op: "open", Path: filepath.Join(f.path, name), Err: &ForeignError{What: what, Owner: owner}}
}

func typeName(t fs.FileMode) string {
	switch {
	case t&fs.ModeSymlink != 0:
		return "a symlink"
	case t&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case t&fs.ModeSocket != 0:
		return "a socket"
	case t&fs.ModeDevice != 0:
		return "a device"
	case t.IsDir():
		return "a folder"
	case t == 0:
		return "a file"
	}
	return "something else"
}

func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

// Foreign returns an error about names in .mimicsync that mimicsync uses and that aren't
// its own, or nil. If nobody opens them they do no harm, but somebody should know.
func (f *Folder) Foreign() (all []error) {
	for _, of := range []struct {
		want  fs.FileMode
		names []string
	}{
		{0, []string{stateName, newName, ownerName, ownerName + nextOwner, idName, "token", "control.addr"}},
		{fs.ModeDir, []string{"partial", "partial.before", "manifests", "quarantine", "changes"}},
		{fs.ModeSocket, []string{"control.sock"}},
	} {
		for _, name := range of.names {
			if fi, err := f.root.Lstat(name); err == nil {
				if err := f.Check(name, fi, of.want); err != nil {
					all = append(all, err)
				}
			}
		}
	}
	return all
}
