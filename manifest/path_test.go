package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var goodPaths = []string{
	"LICENSE.txt", "hosp/admissions.csv.gz", "files/p10/p10000032/s50414267.txt", "a b/c,d", ".hidden", "..a", "a..",
	"...", "data/SHA256SUMS.txt", "é/ü.txt", "mimicsync", ".mimicsync2", " a", "*a", "~", "-rf",
	strings.Repeat("x", 255), strings.Repeat("abc/", 999) + "abcd",
}

var badPaths = []string{
	"", "/", "/etc/passwd", "//host/share", "..", ".", "../x", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/", "a/b/",
	`a\b`, `..\x`, `\\host\share`, "a\x00b", "a\nb", "a\tb", "a\x7f", "a\u0085b", "a\xffb", "C:", "c:/x", "C:x", "z:a",
	".mimicsync", ".mimicsync/state.db", "a/.MimicSync/b", "a/.mimic\u017fync", ".mimicsync.", "x/.mimicsync ./y",
	"SHA256SUMS.txt", "sha256sums.TXT", strings.Repeat("x", 256), "a/" + strings.Repeat("é", 128),
	strings.Repeat("abc/", 1000) + "a",
}

func TestCheckPath(t *testing.T) {
	for _, path := range goodPaths {
		if err := CheckPath(path); err != nil {
			t.Errorf("CheckPath(%q) = %v, want nil", path, err)
		}
	}
	for _, path := range badPaths {
		if err := CheckPath(path); !errors.Is(err, ErrUnsafePath) {
			t.Errorf("CheckPath(%q) = %v, want %v", path, err, ErrUnsafePath)
		}
	}
}

func TestCheckPathSaysWhatIsWrong(t *testing.T) {
	const want = `unsafe path: contains the component ..: "hosp/../../x"`
	if err := CheckPath("hosp/../../x"); err == nil || err.Error() != want {
		t.Errorf("CheckPath() = %v, want %s", err, want)
	}
}

// A colon is a character on one system and means a stream or a drive on another.
func TestCheckPathLeavesColonsToTheSystem(t *testing.T) {
	const path = "x/12:30.csv"
	_, want := filepath.Localize(path)
	if err := CheckPath(path); (err == nil) != (want == nil) {
		t.Errorf("CheckPath(%q) = %v, want what Localize says: %v", path, err, want)
	}
}

func TestCheckPathDoesNotAllocate(t *testing.T) {
	const path = "files/p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.dcm"
	if n := testing.AllocsPerRun(100, func() { _ = CheckPath(path) }); n != 0 {
		t.Errorf("CheckPath(%q) allocates %v times, want 0", path, n)
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, path := range goodPaths {
		f.Add(path)
	}
	for _, path := range badPaths {
		f.Add(path)
	}
	base := f.TempDir()
	root, err := os.OpenRoot(base)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = root.Close() })
	f.Fuzz(func(t *testing.T, path string) {
		if err := CheckPath(path); err != nil {
			if !errors.Is(err, ErrUnsafePath) {
				t.Fatalf("CheckPath(%q) = %v, want %v", path, err, ErrUnsafePath)
			}
			return
		}
		rel, err := filepath.Rel(base, filepath.Join(base, filepath.FromSlash(path)))
		if err != nil || filepath.ToSlash(rel) != path {
			t.Fatalf("Rel(%q) = %q, %v, want the path itself", path, rel, err)
		}
		// A path that would leave the root fails otherwise than for want of a file.
		if _, err := root.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("Root.Lstat(%q) = %v, want %v", path, err, os.ErrNotExist)
		}
	})
}
