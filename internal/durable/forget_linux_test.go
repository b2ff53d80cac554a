package durable

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that was written is remembered, by both ways to find out, until it is
// forgotten. What somebody has mapped stays, and keeps nobody waiting for long.
func TestForget(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	content := bytes.Repeat([]byte("remember me, "), 10_000)
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if name, _ := FileSystem(f.Name()); name == "tmpfs" || name == "" {
		t.Skipf("%q has its files in the page cache alone, or may", name)
	}
	if !remembered(f) || !resident(f) {
		t.Errorf("after it was written: remembered %t, resident %t, want both", remembered(f), resident(f))
	}
	Forget(f)
	if remembered(f) || resident(f) {
		t.Errorf("after Forget: remembered %t, resident %t, want neither", remembered(f), resident(f))
	}
	b, err := unix.Mmap(int(f.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(b) }()
	if !bytes.Equal(b, content) { // which maps all pages
		t.Error("it reads otherwise than it was written")
	}
	Forget(f)
	if !remembered(f) {
		t.Error("what is mapped was dropped")
	}
}
