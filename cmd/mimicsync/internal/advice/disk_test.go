package advice

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
		{file(syscall.EDQUOT), ExitNoSpace, "quota -s"},
		{&failure.SpaceError{Free: 1 << 40, Err: file(syscall.EDQUOT)}, ExitNoSpace, "quota -s"},
		{&store.Error{Path: "state.db", Err: syscall.EDQUOT}, ExitNoSpace, "--state DIR"},
		{file(syscall.ENOSPC), ExitNoSpace, "free some space"},
		{file(syscall.EIO), ExitIncomplete, "dmesg"},
		{fmt.Errorf("sync: %w", os.NewSyscallError("syncfs", syscall.EIO)), ExitIncomplete, "dmesg"},
		{file(syscall.ENODEV), ExitIncomplete, "remount it"},
		{file(syscall.ESTALE), ExitIncomplete, "dmesg"},
		{&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.ENOTCONN}, ExitIncomplete, "dmesg"},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ENOTCONN)}, ExitIncomplete, "network"},
		{fmt.Errorf("state.db: %w: %w", store.ErrNoMemory, syscall.ENOMEM), ExitUsage, "ulimit -v"},
		{&tree.SymlinkError{Path: "demo", Folder: true}, ExitUsage, "--mirror DIR"},
	} {
		if a := (Adviser{}).Advise(tt.err); a.Code != tt.code || !strings.Contains(a.Hint, tt.want) {
			t.Errorf("advise(%v) = %+v, want %d and %q", tt.err, a, tt.code, tt.want)
		}
	}
	quota := &failure.SpaceError{Free: 3 << 40, Err: file(syscall.EDQUOT)}
	if says := quota.Error(); !strings.Contains(says, "quota") || !errors.Is(quota, failure.ErrNoSpace) {
		t.Errorf("a full quota says %q, want quota", says)
	}
}
