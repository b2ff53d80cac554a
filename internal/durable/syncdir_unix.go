//go:build unix

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func syncDir(d *os.File) error { return tolerate(d.Sync()) }

// tolerate takes it for no error that a file system cannot sync a folder, as some
// file servers and FUSE file systems: there is nothing else to be done for its names.
func tolerate(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
