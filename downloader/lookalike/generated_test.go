package lookalike_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"mimicsync/downloader/lookalike"
)

func TestGeneratedIsAFileSystem(t *testing.T) {
	g := lookalike.Generated([]lookalike.GeneratedFile{
		{Path: "b/c/d.txt", Size: 1001}, {Path: "b.txt", Data: []byte("hello")}, {Path: "b/a", Size: 0}, {Path: "b/c-1", Size: 8},
	})
	if err := fstest.TestFS(g, "b/c/d.txt", "b.txt", "b/a", "b/c-1"); err != nil {
		t.Error(err)
	}
	if g.Bytes() != 1014 || g.Len() != 4 {
		t.Errorf("Bytes() = %d, Len() = %d", g.Bytes(), g.Len())
	}
}

func TestGeneratedContent(t *testing.T) {
	read := func(f lookalike.GeneratedFile) []byte {
		t.Helper()
		data, err := fs.ReadFile(lookalike.Generated([]lookalike.GeneratedFile{f}), f.Path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	data := read(lookalike.GeneratedFile{Path: "a", Size: 10_003})
	if !bytes.Equal(data, read(lookalike.GeneratedFile{Path: "a", Size: 10_003})) {
		t.Error("the same description gives other bytes")
	}
	for _, other := range []lookalike.GeneratedFile{{Path: "b", Size: 10_003}, {Path: "a", Size: 10_004}, {Path: "a", Size: 10_003, Seed: 1}} {
		if bytes.Equal(data[:1000], read(other)[:1000]) {
			t.Errorf("%+v has the same bytes", other)
		}
	}
	f, err := lookalike.Generated([]lookalike.GeneratedFile{{Path: "a", Size: 10_003}}).Open("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(f, data); err != nil {
		t.Error(err)
	}
	s, ok := f.(io.ReadSeeker)
	if !ok {
		t.Fatal("no io.ReadSeeker")
	}
	for _, off := range []int64{0, 1, 7, 8, 4095, 10_000, 10_003} {
		if _, err := s.Seek(off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(s); err != nil || !bytes.Equal(rest, data[off:]) {
			t.Errorf("from %d on, the bytes differ: %v", off, err)
		}
	}
}

func TestManifestIsSortedByBytes(t *testing.T) {
	g := lookalike.Generated([]lookalike.GeneratedFile{
		{Path: "ab", Size: 3},
		{Path: "a/2", Size: 3},
		{Path: "a/10", Size: 3},
		{Path: "a+", Size: 3},
		{Path: "B", Data: []byte("x")},
		{Path: "SHA256SUMS.txt", Size: 9},
	})
	lines := strings.Split(strings.TrimSuffix(string(g.Manifest()), "\n"), "\n")
	if want := fmt.Sprintf("%x B", sha256.Sum256([]byte("x"))); lines[0] != want {
		t.Errorf("first line = %q, want %q", lines[0], want)
	}
	var names []string
	for _, l := range lines {
		names = append(names, l[65:])
	}
	if want := []string{"B", "a+", "a/10", "a/2", "ab"}; !slices.Equal(names, want) {
		t.Errorf("names = %v, want %v", names, want)
	}
	sums, err := lookalike.Sums(g)
	if err != nil || !bytes.Equal(sums, g.Manifest()) {
		t.Errorf("Sums differs from Manifest: %v", err)
	}
}

func TestCXRShape(t *testing.T) {
	const n = 50_000
	files := lookalike.CXR(n, func(i int) int64 { return int64(i) })
	patients, studies := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		study := path.Dir(f.Path)
		if ok, _ := path.Match("files/p1[0-9]/p1[0-9][0-9][0-9][0-9][0-9][0-9][0-9]/s[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]", study); !ok {
			t.Fatalf("path %s", f.Path)
		}
		studies[study] = true
		patients[path.Dir(study)] = true
	}
	if len(files) != n {
		t.Errorf("images = %d, want %d", len(files), n)
	}
	if r := float64(len(files)) / float64(len(studies)); r < 1.6 || r > 1.7 {
		t.Errorf("images per study = %.3f, want about 1.655", r)
	}
	if r := float64(len(studies)) / float64(len(patients)); r < 3.4 || r > 3.6 {
		t.Errorf("studies per patient = %.2f, want about 3.5", r)
	}
	if !slices.IsSortedFunc(files, func(a, b lookalike.GeneratedFile) int { return strings.Compare(a.Path, b.Path) }) {
		t.Error("not sorted")
	}
	if last := files[len(files)-1].Path; !strings.HasPrefix(last, "files/p19") && !strings.HasPrefix(last, "files/p18") {
		t.Errorf("the last patient is %s: not spread", last)
	}
	lookalike.Generated(files) // panics on repeated paths
	for _, small := range []int{0, 1, 7} {
		if got := len(lookalike.CXR(small, nil)); got != small {
			t.Errorf("CXR(%d) has %d files", small, got)
		}
	}
}
