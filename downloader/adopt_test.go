package downloader_test

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// An interrupted wget left right files and the start of one. The pass takes
// them over.
func TestAWgetTreeIsContinuedInPlace(t *testing.T) {
	slow(t)
	right, empty, big, small, gone := file("hosp/right.csv", 90_000), file("empty", 0), file("big.csv", 5*mega), file("small.csv", 5000), file("gone.csv", 700)
	s := newSite(t, nil, project(right, empty, big, small, gone))
	r := newRig(t, rigOptions{site: s})
	r.plant(right.Path, content(t, right))
	r.plant(empty.Path, nil)
	r.plant(big.Path, content(t, big)[:2*mega])
	r.plant(small.Path, content(t, small)[:3000])
	r.plant("index.html", []byte("what wget -r also leaves"))

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 5, Adopted: 2, Fetched: 3})
	r.has(right, empty, big, small, gone)
	s.wantGets(t, right.Path, 0)
	s.wantGets(t, empty.Path, 0)
	s.wantGets(t, small.Path, 1)
	got := s.gets(big.Path)
	if len(got) != 1 || got[0].Range == "" || got[0].Status != http.StatusPartialContent || got[0].Bytes > 3*mega+128<<10 {
		t.Errorf("requests for the big file: %+v, want one for the last 3 MB", got)
	}
	if len(report.Quarantined) != 0 || report.Bytes.Discarded != 0 {
		t.Errorf("quarantined %v, discarded %d bytes, want neither", report.Quarantined, report.Bytes.Discarded)
	}
	if string(r.read("index.html")) != "what wget -r also leaves" {
		t.Error("a file that no manifest names was touched")
	}
	s.Reset()
	r.reopen()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 5, Present: 5})
}

// A wrong file is somebody's: it is moved aside as it is, and the right one is
// fetched.
func TestAWrongFileIsMovedAside(t *testing.T) {
	const size = 500_000
	f := file("hosp/a.csv", size)
	right := content(t, f)
	flipped := func(n, at int) []byte {
		b := bytes.Clone(right[:n])
		b[at] ^= 1
		return b
	}
	for _, tt := range []struct {
		name string
		here []byte
		gets int
	}{
		{"of the same length", flipped(size, 77), 2},
		{"longer", append(bytes.Clone(right), "more"...), 2},
		{"much longer", append(bytes.Clone(right), right...), 2},
		{"a beginning with a wrong last byte", flipped(200_000, 199_999), 2},
		{"a beginning with a wrong first byte", flipped(200_000, 0), 2},
		{"short and nothing alike", []byte("an editor was here"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			s := newSite(t, nil, project(f))
			r := newRig(t, rigOptions{site: s})
			r.plant(f.Path, tt.here)

			result := r.pull()
			wantFiles(t, result, store.Complete, store.Files{Total: 1, Fetched: 1})
			r.has(f)
			if got := r.quarantined(f.Path); !bytes.Equal(got, tt.here) {
				t.Errorf("in quarantine are %d bytes, want the %d that were there, untouched", len(got), len(tt.here))
			}
			want := report.Quarantined{Path: f.Path, To: ".mimicsync/quarantine/demo/1.0/hosp/a.csv"}
			if len(result.Quarantined) != 1 || result.Quarantined[0] != want {
				t.Errorf("quarantined = %v, want %v", result.Quarantined, want)
			}
			s.wantGets(t, f.Path, tt.gets)
		})
	}
}

// Quarantine can't take the wrong start of a file: it stays where it is, that file fails, and
// the others come. When quarantine works again, so does the file.
func TestAWrongStartThatCannotBeMovedIsKept(t *testing.T) {
	slow(t)
	a, b := file("a.csv", 500_000), file("b.csv", mega)
	start := bytes.Clone(content(t, a)[:200_000])
	start[0] ^= 1
	s := newSite(t, nil, project(a, b))
	r := newRig(t, rigOptions{site: s})
	r.plant("a.csv", start)
	block := filepath.Join(r.dir, store.Dir, "quarantine", "demo")
	must(t, os.MkdirAll(filepath.Dir(block), 0o700))
	must(t, os.WriteFile(block, []byte("in the way"), 0o600))

	result := r.pull()
	wantFiles(t, result, store.Incomplete, store.Files{Total: 2, Fetched: 1, Failed: 1})
	r.has(b)
	for _, f := range result.Failures {
		if f.Path != "a.csv" || strings.Contains(f.Detail, os.ErrClosed.Error()) {
			t.Errorf("failed: %s: %s", f.Path, f.Detail)
		}
	}
	must(t, os.Remove(block))
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 1, Fetched: 1})
	r.has(a, b)
	if got := r.quarantined("a.csv"); !bytes.Equal(got, start) {
		t.Errorf("in quarantine are %d bytes, want the %d that were there", len(got), len(start))
	}
}

// wget makes the file before the first byte comes.
func TestAFileOfNoBytesIsFetched(t *testing.T) {
	t.Parallel()
	f := file("a.csv", 5000)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s})
	r.plant("a.csv", nil)
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
}

// Two entries with one digest, one of them half fetched by wget: both are right
// in the end.
func TestABeginningOfATwinIsContinued(t *testing.T) {
	slow(t)
	data := string(content(t, file("x", mega)))
	s := newSite(t, nil, project(same("a", data), same("b", data)))
	r := newRig(t, rigOptions{site: s})
	r.plant("a", []byte(data[:mega/2]))
	r.plant("b", []byte(data[:mega/4]))
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 2, Fetched: 1, Linked: 1})
	r.has(same("a", data), same("b", data))
}

// The process dies between the record of a file's start and its move. The start
// is where it was, and the next pass goes on with it.
func TestABeginningOutlivesACrash(t *testing.T) {
	big := file("big.csv", 4*mega)
	data := content(t, big)
	d := manifest.Digest(sha256.Sum256(data))
	for name, moved := range map[string][]byte{"before it is renamed": nil, "while it is copied": data[:mega]} {
		t.Run(name, func(t *testing.T) {
			slow(t)
			s := newSite(t, nil, project(big))
			r := newRig(t, rigOptions{site: s})
			r.plant("big.csv", data[:3*mega])
			must(t, r.store.PutPartials(store.Partial{
				Digest: d, Ref: demo, Path: "big.csv", Source: "found in the mirror",
				Size: -1, Durable: 3 * mega, Seed: 3 * mega, Updated: time.Now(),
			}))
			if moved != nil {
				must(t, os.WriteFile(filepath.Join(r.dir, store.Dir, "partial", d.String()), moved, 0o600))
			}
			r.reopen()

			report := r.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
			r.has(big)
			if len(report.Quarantined) > 0 {
				t.Errorf("quarantined %v, want nothing", report.Quarantined)
			}
			if got := s.gets("big.csv"); len(got) != 1 || got[0].Bytes > mega+128<<10 {
				t.Errorf("requests for the file: %+v, want one for its last MB", got)
			}
		})
	}
}

// wget's files are for others to read. One that is finished is what mimicsync
// writes: for its user alone.
func TestAFinishedFileIsForItsOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other permissions")
	}
	t.Parallel()
	big := file("big.csv", 2*mega)
	s := newSite(t, nil, project(big))
	r := newRig(t, rigOptions{site: s})
	r.plant("big.csv", content(t, big)[:mega])
	must(t, os.Chmod(r.path("big.csv"), 0o644)) // whatever the umask is
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	fi, err := os.Stat(r.path("big.csv"))
	must(t, err)
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("it has mode %v, want 0600", fi.Mode())
	}
	s.wantGets(t, "big.csv", 1)
}
