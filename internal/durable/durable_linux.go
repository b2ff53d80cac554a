package durable

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// GroupSync reports whether SyncFS is reliable at path: it must report bytes that couldn't
// be written. Linux does so since 5.8. An overlay never does: only syncing the file itself
// reports what failed in its upper layer.
func GroupSync(path string) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil || !isSince(unix.ByteSliceToString(u.Release[:]), 5, 8) {
		return false
	}
	return magic(path) != overlayMagic
}

// isSince reports whether a release of Linux, as from uname(2), is major.minor or newer;
// false if it can't be read.
func isSince(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}

// SyncFS makes all bytes and names written so far to the file system of f durable, with one
// call for any number of files, see syncfs(2). If GroupSync is true, it fails if anything
// written since f was opened couldn't be written. An open file is told of each failure
// once.
func SyncFS(f *os.File) error {
	return os.NewSyscallError("syncfs", retry(func() error { return unix.Syncfs(int(f.Fd())) }))
}

// SyncData makes the bytes of f durable, with the metadata needed to read them.
func SyncData(f *os.File) error {
	return os.NewSyscallError("fdatasync", retry(func() error { return unix.Fdatasync(int(f.Fd())) }))
}

// StartWriteback makes the kernel begin to write what f has in the page cache, without
// waiting: a later sync has less to do.
func StartWriteback(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) // the sync reports errors
}

// Uncache removes the first n bytes of f from the page cache if they are on the disk, too:
// reading a file that nobody needs soon then doesn't displace files that somebody does. It
// is only advice.
func Uncache(f *os.File, n int64) {
	_ = unix.Fadvise(int(f.Fd()), 0, n, unix.FADV_DONTNEED)
}

// unreadable are the errors of reading what a disk has lost: a bad sector, or bytes that
// don't match their checksum.
var unreadable = []error{unix.EIO, unix.ENODATA, unix.EBADMSG, unix.EUCLEAN, unix.EILSEQ}

// MountID names the mount through which f was opened; a disk that was away and came back
// has another one. It is empty before Linux 6.8.
func MountID(f *os.File) string {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID_UNIQUE, &st)
	if err != nil || st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		return ""
	}
	return strconv.FormatUint(st.Mnt_id, 10)
}

// Preallocate reserves size bytes for f without changing its length, so that a full disk
// shows now and not after the bytes were paid for. It returns errors.ErrUnsupported if the
// file system can't.
func Preallocate(f *os.File, size int64) error {
	err := retry(func() error { return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return os.NewSyscallError("fallocate", err)
}

// Clone makes the empty file dst share the blocks of src (reflink), see ioctl_ficlone(2).
// It returns errors.ErrUnsupported if the file system can't, or if they are on different
// ones.
func Clone(dst, src *os.File) error {
	err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EXDEV), errors.Is(err, unix.EINVAL):
		return errors.ErrUnsupported
	}
	return os.NewSyscallError("ioctl FICLONE", err)
}

func free(path string) (Space, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return Space{}, err
	}
	s := Space{Bytes: int64(st.Bavail) * st.Bsize, Total: int64(st.Blocks) * st.Bsize, Inodes: int64(st.Ffree)} //nolint:gosec // a disk of 2^63 bytes is far off
	if st.Files == 0 {                                                                                          // btrfs and some network file systems make inodes as they go
		s.Inodes = -1
	}
	return s, nil
}

// Magic numbers of file systems whose bytes are on another machine: there flock and mmap
// aren't reliable, and syncfs may sync everybody's files. From linux/magic.h, or else from
// their own sources.
var networkFS = map[int64]string{
	0x6969:     "NFS",
	0xFF534D42: "CIFS",
	0xFE534D42: "SMB2",
	0x517B:     "SMB",
	0x0BD00BD0: "Lustre",
	0x47504653: "GPFS",
	0x00C36400: "Ceph",
	0x19830326: "BeeGFS",
	0x5346414F: "AFS",
	0x01021997: "9P",
	0x65735546: "FUSE",
}

const overlayMagic = 0x794C7630

// localFS are the most common local file systems.
var localFS = map[int64]string{
	0xEF53:       "ext4",
	0x58465342:   "XFS",
	0x9123683E:   "btrfs",
	0x2FC12FC1:   "ZFS",
	0xF2F52010:   "F2FS",
	overlayMagic: "overlayfs",
	0x01021994:   "tmpfs",
	0x2011BAB0:   "exFAT",
	0x4D44:       "FAT",
	0x7366746E:   "NTFS",
}

// FileSystem names the kind of file system of path, empty if unknown, and reports whether
// it is a network file system.
func FileSystem(path string) (name string, network bool) {
	if name, network = NetworkFS(path); network {
		return name, true
	}
	return localFS[magic(path)], false
}

// magic is the number of a file system's kind, 0 if unknown.
func magic(path string) int64 {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return 0
	}
	return int64(uint32(st.Type)) //nolint:gosec // the magic is 32 bits wide; on some platforms its type is signed
}

// NetworkFS names the network file system of path, and reports whether it is one. FUSE
// counts: what is behind it is unknown.
func NetworkFS(path string) (string, bool) {
	name, ok := networkFS[magic(path)]
	return name, ok
}

// BootID names this run of the kernel: as long as it is the same, what a process wrote is
// still there after its death, synced or not.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Processes names the processes among which a PID counts: those of this run of the kernel,
// and of this container; empty if unknown.
func Processes() string {
	boot := BootID()
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil || boot == "" {
		return ""
	}
	return boot + " " + space
}

// retry repeats a call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
