package downloader_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A disk went away in the midst of a big file and came back while the machine was
// running: of what was written last, the file has only its length. That costs what had
// not been synced, and what came on top of it before the digest told.
func TestADiskThatCameBack(t *testing.T) {
	for name, tt := range map[string]struct {
		mounted bool  // the kernel can tell that it is another mount
		most    int64 // bytes from the network
	}{
		"the kernel tells":     {true, 5 * mega},
		"the digest finds out": {false, 5*mega + 2*mega},
	} {
		t.Run(name, func(t *testing.T) {
			slow(t)
			f := file("big.csv", 8*mega)
			s := newSite(t, nil, project(f))
			r := newRig(t, rigOptions{site: s, connections: 1})
			partial, path := r.interruptedAt(s, 2*mega)
			half := append(bytes.Clone(content(t, f)[:3*mega]), make([]byte, 3*mega)...)
			must(t, os.WriteFile(path, half, 0o600))
			partial.Durable, partial.Ahead, partial.Split = 3*mega, nil, false
			if tt.mounted {
				partial.Boot += "0"
			}
			must(t, r.store.PutPartials(partial))
			r.reopen()
			s.Reset()

			report := r.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
			r.has(f)
			if got := s.Counters().BytesSent; got > tt.most+256<<10 {
				t.Errorf("%d bytes were fetched of %d, want about %d", got, f.Size, tt.most)
			}
		})
	}
}

// A power cut took back that a person's file was moved to quarantine, and not that its
// record was dropped: it lies among the unfinished files, and nobody knows whose it is.
// It is not emptied, be it longer or shorter than the right one, or one that no entry
// wants.
func TestAStrayMayBeAPersons(t *testing.T) {
	t.Parallel()
	a, b, c := file("hosp/a.csv", 40_000), file("b.csv", 90_000), file("c.csv", 100_000)
	mine := map[string][]byte{
		a.Path: bytes.Repeat([]byte("corrected by hand, weeks of work\n"), 3000),
		b.Path: bytes.Repeat([]byte("notes of the ward round\n"), 100),
		c.Path: content(t, c)[:60_000], // the start of the right one: an interrupted wget's
	}
	s := newSite(t, nil, project(a, b, c))
	r := newRig(t, rigOptions{site: s})
	dir := filepath.Join(r.dir, store.Dir, "partial")
	plant := func(name string, data []byte) { must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600)) }
	digest := func(data []byte) string { return manifest.Digest(sha256.Sum256(data)).String() }
	plant(digest(content(t, a)), mine[a.Path])
	plant(digest(content(t, b)), mine[b.Path])
	plant(digest(content(t, c)), mine[c.Path])
	plant("thesis.docx", []byte("chapter one"))
	must(t, os.Mkdir(filepath.Join(dir, digest([]byte("a folder"))), 0o700))
	plant(filepath.Join(digest([]byte("a folder")), "inside"), []byte("also mine"))
	plant("manifest.0a1b", []byte("a scrap of ours"))
	plant(digest(content(t, b))+".copy.7", []byte("another one"))
	r.reopen()

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 3, Fetched: 3})
	r.has(a, b, c)
	if got := r.quarantined(a.Path); !bytes.Equal(got, mine[a.Path]) {
		t.Errorf("in quarantine are %d bytes of the longer one, want all %d", len(got), len(mine[a.Path]))
	}
	if got := r.quarantined(b.Path); !bytes.Equal(got, mine[b.Path]) {
		t.Errorf("in quarantine are %d bytes of the shorter one, want all %d", len(got), len(mine[b.Path]))
	}
	if got := s.gets(c.Path); len(got) != 1 || got[0].Bytes > 40_000+64<<10 {
		t.Errorf("requests for the one that was a start: %+v, want one for its end", got)
	}
	aside := filepath.Join(r.dir, store.Dir, "quarantine", "unknown")
	for name, want := range map[string]string{"thesis.docx": "chapter one", digest([]byte("a folder")) + "/inside": "also mine"} {
		if got, err := os.ReadFile(filepath.Join(aside, name)); err != nil || string(got) != want {
			t.Errorf("%s in quarantine = %q, %v, want %q", name, got, err, want)
		}
	}
	if q, err := tree.QuarantineOf(r.dir, manifest.Ref{Dataset: "unknown"}); err != nil || q.Files != 2 {
		t.Errorf("quarantine of what nobody knows = %+v, %v, want the two files", q, err)
	}
}
