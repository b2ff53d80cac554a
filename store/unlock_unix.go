//go:build unix && !aix && !solaris

package store

import (
	"os"
	"syscall"
)

// unlock gives a file's lock back. Closing it is not enough while it is mapped,
// which it stays where bbolt panicked: the map holds the lock, see flock(2).
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // one that is closed has no lock of ours
}
