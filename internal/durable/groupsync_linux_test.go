package durable

import (
	"path/filepath"
	"syscall"
	"testing"
)

// Only kernels that report what could not be written are asked for all files at once.
func TestKernelsThatTellOfFailedWrites(t *testing.T) {
	for release, want := range map[string]bool{
		"5.8.0": true, "5.8": true, "5.15.0-101-generic": true, "6.1.0-18-amd64": true, "10.0": true,
		"5.7.19": false, "5.4.0-150-generic": false, "4.18.0-553.el8.x86_64": false, "3.10.0": false, "": false, "unknown": false,
	} {
		if got := isSince(release, 5, 8); got != want {
			t.Errorf("isSince(%q, 5, 8) = %t, want %t", release, got, want)
		}
	}
}

// An overlay keeps from syncfs what fails in its upper layer.
func TestAnOverlayIsNotSyncedAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("mimicsync-test", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("cannot mount a disk here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // the overlay with it
	under, merged := GroupSync(dir), filepath.Join(dir, "merged")
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := syscall.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	options := "lowerdir=" + dir + "/lower,upperdir=" + dir + "/upper,workdir=" + dir + "/work"
	if err := syscall.Mount("mimicsync-test", merged, "overlay", 0, options); err != nil {
		t.Skipf("cannot mount an overlay here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(merged, 0) })
	if GroupSync(merged) {
		t.Errorf("GroupSync of an overlay = true, want false; of the disk below it is %t", under)
	}
}
