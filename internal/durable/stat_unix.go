//go:build unix

package durable

import (
	"os"
	"syscall"
)

// Links is how many names a file has.
func Links(fi os.FileInfo) int {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Nlink) //nolint:gosec // its type differs between platforms
	}
	return 1
}

// Allocated is how much of the disk a file takes, including reserved space.
func Allocated(fi os.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512 // in units of 512 bytes, whatever the block size, see stat(2)
	}
	return fi.Size()
}

// Device identifies a file system.
func Device(fi os.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev) //nolint:unconvert // its type differs between platforms
	}
	return 0
}

// Owner is the user that a file belongs to, -1 if unknown.
func Owner(fi os.FileInfo) int {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
