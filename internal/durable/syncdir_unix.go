//go:build unix

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func syncDir(d *os.File) error { return tolerate(d.Sync()) }

// tolerate ignores that a file system can't sync a folder, like some file servers and FUSE
// file systems: there is no other way to sync its names.
func tolerate(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
