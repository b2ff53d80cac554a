package downloader_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/store"
)

// What PhysioNet corrects in a published dataset is a few files in many: the rest
// is here, and takes a second name in place of the way through the network.
func TestANewVersionCostsWhatChanged(t *testing.T) {
	slow(t)
	const changed = 20
	n := fewer(2000)
	first := lookalike.CXR(n, nil)
	second := slices.Clone(first)
	var corrected []lookalike.GeneratedFile
	for i := 7; i < n; i += n / changed {
		second[i].Seed++
		corrected = append(corrected, second[i])
	}
	s := newSite(t, nil, versions(first, second))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	s.Reset()

	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: int64(n), Linked: int64(n - changed), Fetched: changed})
	var sent int64 // of the dataset, by the server's own count
	for _, request := range s.Requests() {
		if strings.HasPrefix(request.Path, "/files/") {
			sent += request.Bytes
		}
	}
	want := lookalike.Generated(corrected).Bytes() + int64(len(sums(second...)))
	if c := s.Counters(); sent != want || c.Files != changed || c.Manifests != 1 {
		t.Errorf("the server sent %d bytes, of %d files and %d manifests, want %d bytes of %d and one", sent, c.Files, c.Manifests, want, changed)
	}
	for i, f := range second {
		before, err := os.Stat(r.path(f.Path))
		must(t, err)
		after, err := os.Stat(filepath.Join(r.dir, "demo", "2.0", filepath.FromSlash(f.Path)))
		must(t, err)
		if os.SameFile(before, after) != (f.Seed == first[i].Seed) {
			t.Errorf("%s is one file in both versions: %v, want the other", f.Path, os.SameFile(before, after))
		}
	}
}
