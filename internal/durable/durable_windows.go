package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// GroupSync reports false: SyncFS isn't available.
func GroupSync(string) bool { return false }

// SyncFS isn't available here: callers sync each file and its folder.
func SyncFS(*os.File) error { return errors.ErrUnsupported }

// SyncData makes the bytes of f durable.
func SyncData(f *os.File) error { return f.Sync() }

// Windows can't sync a folder; NTFS journals names anyway.
func syncDir(*os.File) error { return nil }

// Preallocate isn't available here.
func Preallocate(*os.File, int64) error { return errors.ErrUnsupported }

// Clone isn't available here.
func Clone(_, _ *os.File) error { return errors.ErrUnsupported }

func free(path string) (Space, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return Space{}, err
	}
	var avail, total uint64
	if err := windows.GetDiskFreeSpaceEx(p, &avail, &total, nil); err != nil {
		return Space{}, err
	}
	return Space{Bytes: int64(avail), Total: int64(total), Inodes: -1}, nil //nolint:gosec // a disk of 2^63 bytes is far off
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

// unreadable are the errors of reading what a disk has lost.
var unreadable = []error{windows.ERROR_CRC, windows.ERROR_IO_DEVICE, windows.ERROR_SECTOR_NOT_FOUND, windows.ERROR_READ_FAULT}

// Processes doesn't know here.
func Processes() string { return "" }

// StartWriteback does nothing here.
func StartWriteback(*os.File) {}

// Forget does nothing here.
func Forget(*os.File) {}

// Uncache does nothing here.
func Uncache(*os.File, int64) {}
