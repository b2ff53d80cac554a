package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mimicsync/internal/durable"
)

// More than the disk has is refused before a byte is written. The disk is one of
// the test's own: some file systems give all that they have before they refuse,
// and everybody else would be without room meanwhile.
func TestPreallocateTooMuch(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("mimicsync-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	f, err := os.Create(filepath.Join(dir, "file"))
	must(t, err)
	defer func() { must(t, f.Close()) }()
	_, err = f.WriteString("bytes")
	must(t, err)

	supported(t, "Preallocate", durable.Preallocate(f, 512<<10))
	if err := durable.Preallocate(f, 2<<20); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Preallocate of more than the disk has = %v, want ENOSPC", err)
	}
	if fi, err := f.Stat(); err != nil || fi.Size() != 5 {
		t.Errorf("size after Preallocate has failed = %d, %v, want 5", fi.Size(), err)
	}
}
