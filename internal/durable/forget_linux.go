package durable

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Forget removes f from the page cache, except what has yet to be written: the next reader
// gets it from the disk. After a failed write, the cache has bytes that the disk lacks, and
// marks them as written. On ext4, XFS and btrfs such pages can be dropped; pages that the
// kernel is using at the moment stay, so Forget reports whether any did. Pages that another
// process has mapped can't be dropped.
func Forget(f *os.File) {
	for wait := time.Millisecond; ; wait *= 2 {
		Uncache(f, 0)
		if wait > 64*time.Millisecond || !remembered(f) {
			return
		}
		time.Sleep(wait)
	}
}

// remembered reports whether the page cache has pages of f that aren't waiting to be
// written.
func remembered(f *os.File) bool {
	var s unix.Cachestat_t
	if unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &s, 0) == nil { // since Linux 6.5; a range without length means everything
		return s.Cache > s.Dirty+s.Writeback
	}
	return resident(f)
}

// resident reports whether the page cache has any pages of f.
func resident(f *os.File) bool {
	const step = 1 << 30
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	for at := int64(0); at < fi.Size(); at += step {
		if residentFrom(f, at, int(min(step, fi.Size()-at))) {
			return true
		}
	}
	return false
}

func residentFrom(f *os.File, at int64, n int) bool {
	b, err := unix.Mmap(int(f.Fd()), at, n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return false // unknown
	}
	defer func() { _ = unix.Munmap(b) }()
	pages := make([]byte, (n+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(n), uintptr(unsafe.Pointer(&pages[0]))) //nolint:gosec // mincore(2) takes addresses
	if errno != 0 {
		return false
	}
	for _, page := range pages {
		if page&1 != 0 {
			return true
		}
	}
	return false
}
