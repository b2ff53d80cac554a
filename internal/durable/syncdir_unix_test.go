//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

// A file server that cannot sync a folder does not keep anybody from a mirror on
// it; a disk that fails to does.
func TestAFolderThatCannotBeSynced(t *testing.T) {
	for answer, want := range map[error]error{
		nil: nil, unix.EINVAL: nil, unix.ENOTSUP: nil, unix.EIO: unix.EIO, unix.EROFS: unix.EROFS, unix.ENOSPC: unix.ENOSPC,
	} {
		var err error
		if answer != nil {
			err = &fs.PathError{Op: "sync", Path: "x", Err: answer}
		}
		if got := tolerate(err); !errors.Is(got, want) || (got == nil) != (want == nil) {
			t.Errorf("a sync that answers %v = %v, want %v", answer, got, want)
		}
	}
}
