//go:build unix && !aix && !solaris

package store

import (
	"os"
	"syscall"
	"time"
)

// lock locks a file, as bbolt does, and reports whether it could within a second.
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

// unlock unlocks a file. Closing it isn't enough while it is mapped, and it stays mapped
// after a panic of bbolt: the map holds the lock, see flock(2).
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // a closed file holds no lock of ours
}
