package hostiletest

import (
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// read is when a file was read last.
func read(fi fs.FileInfo) time.Time {
	at := fi.Sys().(*syscall.Stat_t).Atim
	return time.Unix(at.Unix())
}

// makeDevice makes a device that gives zeros without end.
func makeDevice(path string) error {
	return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) //nolint:gosec // a small number
}
