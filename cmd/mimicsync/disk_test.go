package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/tree"
	"mimicsync/store"
)

// What a disk says in its own words is told with what a person can do about it, and
// what a socket says in the same words is not taken for it.
func TestTroubleOfTheDisk(t *testing.T) {
	file := func(err error) error { return &fs.PathError{Op: "write", Path: "mirror/x", Err: err} }
	for _, tt := range []struct {
		err  error
		code int
		want string
	}{
		{file(syscall.EDQUOT), exitNoSpace, "quota -s"},
		{&failure.SpaceError{Free: 1 << 40, Err: file(syscall.EDQUOT)}, exitNoSpace, "quota -s"},
		{&store.Error{Path: "state.db", Err: syscall.EDQUOT}, exitNoSpace, "--state DIR"},
		{file(syscall.ENOSPC), exitNoSpace, "make room"},
		{file(syscall.EIO), exitUnexpected, "dmesg"},
		{fmt.Errorf("sync: %w", os.NewSyscallError("syncfs", syscall.EIO)), exitUnexpected, "dmesg"},
		{file(syscall.ENODEV), exitUnexpected, "mount it again"},
		{file(syscall.ESTALE), exitUnexpected, "dmesg"},
		{&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.ENOTCONN}, exitUnexpected, "dmesg"},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ENOTCONN)}, exitIncomplete, "network"},
		{fmt.Errorf("state.db: %w: %w", store.ErrNoMemory, syscall.ENOMEM), exitUnexpected, "ulimit -v"},
		{&tree.SymlinkError{Path: "demo", Folder: true}, exitUsage, "--mirror DIR"},
	} {
		if a := advise(tt.err); a.code != tt.code || !strings.Contains(a.hint, tt.want) {
			t.Errorf("advise(%v) = %+v, want %d and %q", tt.err, a, tt.code, tt.want)
		}
	}
	quota := &failure.SpaceError{Free: 3 << 40, Err: file(syscall.EDQUOT)}
	if says := quota.Error(); !strings.Contains(says, "quota") || !errors.Is(quota, failure.ErrNoSpace) {
		t.Errorf("a full quota says %q, want quota", says)
	}
}

// A share of SMB that lends out files by their names is told by doctor.
func TestNamesThatCannotBeRead(t *testing.T) {
	f := linksFinding(tree.Ground{HardLinks: true, Unreadable: syscall.EACCES})
	if f.State != hasFailed || len(f.Cure) == 0 || !strings.Contains(f.Cure[0].Do, "nolease") {
		t.Errorf("linksFinding = %+v, want the mount option", f)
	}
	if f := linksFinding(tree.Ground{HardLinks: true}); f.State != isOK {
		t.Errorf("linksFinding of good links = %+v, want ok", f)
	}
}
