//go:build unix && !aix && !solaris

package store

import (
	"os"
	"syscall"
	"time"
)

// lock takes a file's lock, as bbolt does, and reports whether it could within a second.
func lock(f *os.File) bool {
	for end := time.Now().Add(time.Second); ; time.Sleep(50 * time.Millisecond) {
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// unlock gives a file's lock back. Closing it is not enough while it is mapped,
// which it stays where bbolt panicked: the map holds the lock, see flock(2).
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // one that is closed has no lock of ours
}
