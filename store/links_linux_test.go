package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// withoutLinks makes link(2) fail in this process, as it does on exFAT.
func withoutLinks() error {
	runtime.LockOSThread() // the first call is about one thread
	defer runtime.UnlockOSThread()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_LINKAT, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

func init() { helpers["linkless"] = contendWithoutLinks }

// contendWithoutLinks has several stores contend for the mirror args[0], and says how
// many got it. The others of args are their states.
func contendWithoutLinks(args []string) error {
	if err := withoutLinks(); err != nil {
		return err
	}
	if err := os.Link(args[0], filepath.Join(args[0], "link")); !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("a link where there are none: %w", err)
	}
	n, err := contend(args[0], args[1:])
	if err == nil {
		fmt.Println(n)
	}
	return err
}

// Where there are no hard links, a mirror has one owner too.
func TestOneOfSeveralOwnsAMirrorWithoutLinks(t *testing.T) {
	for _, silent := range []time.Duration{0, 3 * time.Minute} {
		for range 5 {
			dir := t.TempDir()
			locate(t, dir, "")
			if silent > 0 {
				elsewhere(t, dir, silent)
			}
			p := startHelper(t, "linkless", dir, t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir())
			if got := p.line(t); got != "1" {
				t.Errorf("%s of 4 have the mirror, after an owner that was silent for %v, want 1", got, silent)
			}
			must(t, p.Wait())
		}
	}
}
