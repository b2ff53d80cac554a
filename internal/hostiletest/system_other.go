//go:build unix && !linux

package hostiletest

import (
	"io/fs"
	"syscall"
	"time"
)

// read is when a file was read last: always the same here, where each system has a
// field of its own for it.
func read(fs.FileInfo) time.Time { return time.Time{} }

// makeDevice makes a FIFO: what a device is called by differs from system to system.
func makeDevice(path string) error { return syscall.Mkfifo(path, 0o666) }
