//go:build unix && !linux

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// GroupSync reports false: SyncFS isn't available.
func GroupSync(string) bool { return false }

// SyncFS isn't available here: callers sync each file and its folder.
func SyncFS(*os.File) error { return errors.ErrUnsupported }

// SyncData makes the bytes of f durable.
func SyncData(f *os.File) error { return f.Sync() }

// Preallocate isn't available here.
func Preallocate(*os.File, int64) error { return errors.ErrUnsupported }

// Clone isn't available here.
func Clone(_, _ *os.File) error { return errors.ErrUnsupported }

func free(path string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Space{}, err
	}
	return Space{Bytes: int64(st.Bavail) * int64(st.Bsize), Total: int64(st.Blocks) * int64(st.Bsize), Inodes: int64(st.Ffree)}, nil //nolint:gosec,unconvert // field types differ between the BSDs
}

// FileSystem doesn't know here.
func FileSystem(string) (name string, network bool) { return "", false }

// NetworkFS doesn't know here and reports false: set a state folder by hand if the mirror
// is on another machine.
func NetworkFS(string) (string, bool) { return "", false }

// BootID is unknown here, so that only synced bytes are trusted after a crash.
func BootID() string { return "" }

// MountID is unknown here.
func MountID(*os.File) string { return "" }

// unreadable is the error of reading what a disk has lost.
var unreadable = []error{unix.EIO}

// Processes doesn't know here.
func Processes() string { return "" }

// StartWriteback does nothing here.
func StartWriteback(*os.File) {}

// Forget does nothing here.
func Forget(*os.File) {}

// Uncache does nothing here.
func Uncache(*os.File, int64) {}
