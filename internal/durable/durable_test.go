package durable_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mimicsync/internal/durable"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// supported skips the rest of a test where the platform has no such call.
func supported(t *testing.T, call string, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("%s: %v", call, err)
	}
	if err != nil {
		t.Fatalf("%s = %v, want <nil>", call, err)
	}
}

func create(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	_, err = f.WriteString(text)
	must(t, err)
	return f
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "owner")
	for _, text := range []string{"first\n", "second, which is longer\n", ""} {
		must(t, durable.WriteFile(path, []byte(text)))
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("ReadFile after WriteFile(%q) = %q, %v", text, got, err)
		}
		if diff := cmp.Diff([]string{"owner"}, names(t, dir)); diff != "" {
			t.Errorf("WriteFile left (-want +got):\n%s", diff)
		}
	}
	fi, err := os.Stat(path)
	must(t, err)
	if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("WriteFile made mode %v, want 0600", fi.Mode())
	}
}

// Whoever reads beside writers sees one content or another, whole.
func TestWriteFileIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "owner")
	content := func(i int) string { return strings.Repeat(fmt.Sprint(i), 5000) }
	must(t, durable.WriteFile(path, []byte(content(0))))
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for range 10 {
				if err := durable.WriteFile(path, []byte(content(i))); err != nil {
					t.Errorf("WriteFile = %v, want <nil>", err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		got, err := os.ReadFile(path)
		if err != nil || len(got) != 5000 || string(got) != strings.Repeat(string(got[:1]), 5000) {
			t.Fatalf("ReadFile beside WriteFile = %d bytes, %v, want 5000 of one writer", len(got), err)
		}
	}
	if diff := cmp.Diff([]string{"owner"}, names(t, dir)); diff != "" {
		t.Errorf("WriteFile left (-want +got):\n%s", diff)
	}
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	if err := durable.WriteFile(filepath.Join(dir, "none", "x"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile in no folder = %v, want ErrNotExist", err)
	}
	// A folder stands where the file should be: the rename fails, after all else went well.
	folder := filepath.Join(dir, "folder")
	must(t, os.MkdirAll(filepath.Join(folder, "full"), 0o700))
	if err := durable.WriteFile(folder, []byte("x")); err == nil {
		t.Error("WriteFile over a folder = <nil>, want an error")
	}
	if diff := cmp.Diff([]string{"folder"}, names(t, dir)); diff != "" {
		t.Errorf("WriteFile left (-want +got):\n%s", diff)
	}
}

// Of several that make a file at once, one does; the others leave it as it is.
func TestCreateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "owner")
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { must(t, root.Close()) })
	const writers = 8
	errs := make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() { errs[i] = durable.CreateFileIn(root, "owner", []byte(fmt.Sprint(i))) })
	}
	all.Wait()
	got, err := os.ReadFile(path)
	must(t, err)
	for i, err := range errs {
		if made := string(got) == fmt.Sprint(i); made != (err == nil) || !made && !errors.Is(err, fs.ErrExist) {
			t.Errorf("CreateFile(%d) = %v, and the file is %q, want <nil> for its writer and ErrExist for others", i, err, got)
		}
	}
	if diff := cmp.Diff([]string{"owner"}, names(t, dir)); diff != "" {
		t.Errorf("CreateFile left (-want +got):\n%s", diff)
	}
	if fi, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("CreateFile made mode %v, %v, want 0600", fi.Mode(), err)
	}
	if err := durable.CreateFileIn(root, "none/x", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("CreateFile in no folder = %v, want ErrNotExist", err)
	}
}

func TestSync(t *testing.T) {
	f := create(t, "bytes")
	must(t, durable.SyncData(f))
	must(t, durable.SyncDir(filepath.Dir(f.Name())))
	if err := durable.SyncDir(filepath.Join(f.Name(), "none")); err == nil {
		t.Error("SyncDir of no folder = <nil>, want an error")
	}
	supported(t, "SyncFS", durable.SyncFS(f))
	closed := create(t, "")
	fd, err := os.Open(closed.Name())
	must(t, err)
	must(t, fd.Close())
	if err := durable.SyncFS(fd); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyncFS of a closed file = %v, want an error", err)
	}
}

func TestPreallocateKeepsLength(t *testing.T) {
	f := create(t, "bytes")
	supported(t, "Preallocate", durable.Preallocate(f, 1<<20))
	fi, err := f.Stat()
	if err != nil || fi.Size() != 5 {
		t.Errorf("size after Preallocate = %d, %v, want 5", fi.Size(), err)
	}
	if got, err := os.ReadFile(f.Name()); err != nil || string(got) != "bytes" {
		t.Errorf("ReadFile after Preallocate = %q, %v, want bytes", got, err)
	}
	supported(t, "Preallocate", durable.Preallocate(f, 1<<10)) // less than there is
}

func TestClone(t *testing.T) {
	src, dst := create(t, strings.Repeat("bytes", 10_000)), create(t, "")
	supported(t, "Clone", durable.Clone(dst, src))
	want, err := os.ReadFile(src.Name())
	must(t, err)
	if got, err := os.ReadFile(dst.Name()); err != nil || string(got) != string(want) {
		t.Errorf("Clone made %d bytes, %v, want the %d of the source", len(got), err, len(want))
	}
}

func TestFree(t *testing.T) {
	s, err := durable.Free(t.TempDir())
	if err != nil || s.Bytes <= 0 || s.Total < s.Bytes || s.Inodes < -1 || s.Inodes == 0 {
		t.Errorf("Free = %+v, %v, want some bytes, fewer than all, and some inodes", s, err)
	}
	if _, err := durable.Free(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Free of no folder = %v, want ErrNotExist", err)
	}
}

func TestNetworkFS(t *testing.T) {
	if name, network := durable.NetworkFS(filepath.Join(t.TempDir(), "none")); network || name != "" {
		t.Errorf("NetworkFS of no folder = %q, %t, want false", name, network)
	}
	if name, network := durable.NetworkFS(t.TempDir()); network == (name == "") {
		t.Errorf("NetworkFS = %q, %t, want a name where it is one", name, network)
	}
}

func TestBootID(t *testing.T) {
	id := durable.BootID()
	if runtime.GOOS == "linux" && len(id) != 36 {
		t.Errorf("BootID = %q, want a UUID", id)
	}
	if again := durable.BootID(); again != id {
		t.Errorf("BootID = %q, then %q, want the same", id, again)
	}
}
