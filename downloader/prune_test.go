package downloader_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// twoVersions is a mirror of demo@1.0 and of demo@2.0, which has half of it.
func twoVersions(t *testing.T) (r *rig, s *site, old, shared []lookalike.GeneratedFile) {
	t.Helper()
	for i := range 40 {
		old = append(old, same(fmt.Sprintf("d%d/%02d", i%4, i), fmt.Sprintf("content %02d", i)))
	}
	shared = old[:20]
	s = newSite(t, nil, versions(old, append(slices.Clone(shared), same("new", "new"))))
	r = newRig(t, rigOptions{site: s})
	r.pull()
	_, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	return r, s, old, shared
}

func (r *rig) prunable(want manifest.Ref, keep int) []manifest.Ref {
	r.t.Helper()
	refs, err := r.syncer.Prunable(r.t.Context(), want, downloader.Retentions{Old: &keep})
	must(r.t, err)
	return refs
}

// wantPruned fails the test unless demo@1.0 is gone without a trace, and demo@2.0
// as it was.
func (r *rig) wantPruned(s *site) {
	r.t.Helper()
	if _, err := os.Stat(filepath.Join(r.dir, "demo", "1.0")); !errors.Is(err, fs.ErrNotExist) {
		r.t.Errorf("the folder of 1.0 is there yet (%v)", err)
	}
	versions, err := r.store.Versions()
	must(r.t, err)
	if len(versions) != 1 || versions[0].Ref != demo2 {
		r.t.Errorf("versions = %+v, want 2.0 alone", versions)
	}
	kept, err := os.ReadDir(filepath.Join(r.dir, store.Dir, "manifests"))
	must(r.t, err)
	if len(kept) != 1 {
		r.t.Errorf("%d manifests are kept, want that of 2.0", len(kept))
	}
	s.Reset()
	report, err := r.run(r.t.Context(), demo2, new(progress.Progress))
	must(r.t, err)
	wantFiles(r.t, report, store.Complete, store.Files{Total: 21, Present: 21})
	if got := s.Counters().Files; got != 0 {
		r.t.Errorf("%d files were fetched after the old version was removed", got)
	}
}

// An old version goes, and what the next one shares with it stays there.
func TestPruneRemovesAnOldVersion(t *testing.T) {
	t.Parallel()
	r, s, _, _ := twoVersions(t)
	if got := r.prunable(manifest.Ref{}, 0); !slices.Equal(got, []manifest.Ref{demo}) {
		t.Fatalf("Prunable = %v, want %v", got, demo)
	}
	before := snapshot(t, filepath.Join(r.dir, "demo"))
	plan, err := r.syncer.PlanPrune(t.Context(), demo)
	must(t, err)
	want := report.Pruned{Dataset: "demo", Version: "1.0", Files: 40, Bytes: 400, Shared: 20, Freed: 200}
	if diff := cmp.Diff(want, *plan); diff != "" {
		t.Errorf("PlanPrune (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, snapshot(t, filepath.Join(r.dir, "demo"))); diff != "" {
		t.Errorf("PlanPrune changed the mirror:\n%s", diff)
	}

	result, err := r.syncer.Prune(t.Context(), demo)
	must(t, err)
	if diff := cmp.Diff(want, *result); diff != "" {
		t.Errorf("Prune (-want +got):\n%s", diff)
	}
	r.wantPruned(s)
	if _, err := r.syncer.Prune(t.Context(), demo); !errors.Is(err, failure.ErrNoManifest) {
		t.Errorf("Prune again = %v, want %v", err, failure.ErrNoManifest)
	}
}

// What mimicsync has not put there, or somebody has changed since, is not its to
// remove, nor is what lies behind a symlink.
func TestPruneLeavesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	r, _, old, _ := twoVersions(t)
	r.plant("notes.txt", []byte("mine"))
	edited := old[20].Path // which has no other name
	r.plant(edited, []byte("edited"))
	// A person has moved a folder to another disk.
	away := filepath.Join(t.TempDir(), "d3")
	must(t, os.Rename(r.path("d3"), away))
	must(t, os.Symlink(away, r.path("d3")))
	aside := filepath.Join(r.dir, store.Dir, "quarantine", "demo", "1.0", "x")
	must(t, os.MkdirAll(filepath.Dir(aside), 0o700))
	must(t, os.WriteFile(aside, []byte("wrong"), 0o600))

	result, err := r.syncer.Prune(t.Context(), demo)
	must(t, err)
	want := []string{"demo/1.0/" + edited, "demo/1.0/d3", "demo/1.0/notes.txt"}
	if !slices.Equal(result.Left, want) || result.LeftFiles != 3 || result.Files != 29 {
		t.Errorf("Prune = %+v, want %v left", result, want)
	}
	if got, err := os.ReadDir(away); err != nil || len(got) != 10 {
		t.Errorf("%d files are left behind the symlink (%v), want 10", len(got), err)
	}
	if _, err := os.Stat(aside); err != nil {
		t.Errorf("quarantine was touched: %v", err)
	}
	r.lacks("SHA256SUMS.txt", old[1].Path)
}

// Records go before files: the store claims nothing that is gone, whenever the
// process dies, and the next prune finds what the last one left.
func TestPruneSurvivesAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, tt := range []struct {
		point string
		n     int
	}{{"records retired", 1}, {"file removed", 1}, {"file removed", 17}, {"file removed", 40}} {
		t.Run(fmt.Sprint(tt.point, " ", tt.n), func(t *testing.T) {
			t.Parallel()
			r, s, _, _ := twoVersions(t)
			r.close()
			cmd := victim(t, s, r.dir, 4, tt.point, tt.n)
			cmd.Env = append(cmd.Env, "MIMICSYNC_VICTIM_PRUNES=1")
			if out, err := cmd.CombinedOutput(); !killed(err) {
				t.Fatalf("the victim was not killed: %v\n%s", err, out)
			}
			r.open()
			r.checkTree()
			if n, _, err := r.store.Totals(1); err != nil || n != 0 {
				t.Errorf("%d files are recorded while they are being removed (%v)", n, err)
			}
			_, err := r.syncer.Prune(t.Context(), demo)
			must(t, err)
			r.wantPruned(s)
		})
	}
}

// Who changes his mind after a prune that died pulls again: what is left is
// adopted, and no later prune takes it for its own.
func TestAPullAfterHalfAPrune(t *testing.T) {
	t.Parallel()
	r, s, _, _ := twoVersions(t)
	died := errors.New("died")
	removed := 0
	r.syncer.SetReached(func(point string) {
		if point == "file removed" {
			if removed++; removed == 30 {
				panic(died)
			}
		}
	})
	func() {
		defer func() {
			if got := recover(); got != died { //nolint:errorlint // the very one
				t.Fatalf("recovered %v", got)
			}
		}()
		_, _ = r.syncer.Prune(t.Context(), demo)
	}()
	r.reopen()
	s.Reset()
	report := r.pull()
	if f := report.Files; report.State != store.Complete || f.Adopted != 10 || f.Linked+f.Fetched != 30 {
		t.Errorf("report = %+v, want 10 files adopted and the others back", report)
	}
	v, _, err := r.store.Version(demo)
	must(t, err)
	if len(v.Retiring) != 0 {
		t.Errorf("%d files are to be removed after a pull", len(v.Retiring))
	}
}

// The newest version of which all is here stays, with what is newer.
func TestWhatMayBePruned(t *testing.T) {
	t.Parallel()
	files := []lookalike.GeneratedFile{same("a", "a"), same("b", "b")}
	s := newSite(t, nil, versions(files, files, files, files))
	r := newRig(t, rigOptions{site: s})
	ref := func(version string) manifest.Ref { return manifest.Ref{Dataset: "demo", Version: version} }
	for _, version := range []string{"1.0", "2.0", "3.0"} {
		_, err := r.run(t.Context(), ref(version), new(progress.Progress))
		must(t, err)
	}
	part, err := manifest.NewSelection([]string{"a"}, nil)
	must(t, err)
	_, err = r.syncer.Pull(t.Context(), ref("4.0"), part, new(progress.Progress))
	must(t, err)

	for _, tt := range []struct {
		want manifest.Ref
		keep int
		kept string
		refs []manifest.Ref
		err  error
	}{
		{refs: []manifest.Ref{ref("1.0"), ref("2.0")}},
		{keep: 1, refs: []manifest.Ref{ref("1.0")}},
		{keep: 2},
		{keep: -1, refs: []manifest.Ref{ref("1.0"), ref("2.0")}}, // never the newest complete one
		{want: ref(""), refs: []manifest.Ref{ref("1.0"), ref("2.0")}},
		{want: ref("2.0"), keep: 5, refs: []manifest.Ref{ref("2.0")}},
		{kept: "1.0", refs: []manifest.Ref{ref("2.0")}},
		{want: ref("2.0"), kept: "1.0", refs: []manifest.Ref{ref("2.0")}},
		{want: ref("1.0"), kept: "1.0", err: failure.ErrKept},
		{want: ref("3.0"), err: failure.ErrKept},
		{want: ref("4.0"), err: failure.ErrKept},
		{want: manifest.Ref{Dataset: "other"}},
	} {
		got, err := r.syncer.Prunable(t.Context(), tt.want, downloader.Retentions{Datasets: map[string]downloader.Retention{demo.Dataset: {Old: tt.keep, Version: tt.kept}}})
		if !slices.Equal(got, tt.refs) || !errors.Is(err, tt.err) {
			t.Errorf("Prunable(%v, %d, %s) = %v, %v, want %v, %v", tt.want, tt.keep, tt.kept, got, err, tt.refs, tt.err)
		}
	}
	// A file of the newest complete version is lost: there is none any more.
	must(t, os.Remove(filepath.Join(r.dir, "demo", "3.0", "a")))
	_, err = r.syncer.Verify(t.Context(), ref("3.0"), selectAll, new(progress.Progress))
	must(t, err)
	if got := r.prunable(manifest.Ref{}, 0); !slices.Equal(got, []manifest.Ref{ref("1.0")}) {
		t.Errorf("Prunable = %v, want what is older than 2.0", got)
	}
}

// A person removed a kept manifest. Nobody knows whether that version is complete, so
// that it makes no other one old, and hinders nobody from pruning another dataset.
func TestAVersionWithoutItsManifestIsNotComplete(t *testing.T) {
	t.Parallel()
	r, _, _, _ := twoVersions(t)
	other, err := r.store.PutVersion(store.Version{
		Ref: manifest.Ref{Dataset: "other", Version: "1.0"}, Manifest: store.Manifest{Digest: manifest.Digest{1}, Entries: 1, Size: 80},
	})
	must(t, err)
	must(t, r.store.Commit(store.Batch{ID: other.ID, Put: []store.Verified{{Digest: manifest.Digest{2}, Record: store.Record{Size: 1}}}}))
	if got := r.prunable(manifest.Ref{}, 0); !slices.Equal(got, []manifest.Ref{demo}) {
		t.Errorf("Prunable beside a dataset whose manifest is gone = %v, want %v", got, demo)
	}
	must(t, r.store.DropVersion(other.Ref))

	v, _, err := r.store.Version(demo2)
	must(t, err)
	kept := filepath.Join(r.dir, store.Dir, "manifests", v.Manifest.Digest.String())
	shown := filepath.Join(r.dir, "demo/2.0", manifest.Name)
	must(t, os.Remove(shown))
	must(t, os.Rename(kept, kept+".away"))
	if got := r.prunable(manifest.Ref{}, 0); len(got) != 0 {
		t.Errorf("Prunable without the manifest of 2.0 = %v, want none", got)
	}
	must(t, os.Rename(kept+".away", kept))
}

// A manifest that has just come is that of a pass over another dataset, which has
// not said so yet; an older one that nobody uses is what an earlier end left.
func TestPruneLeavesAManifestThatHasJustCome(t *testing.T) {
	t.Parallel()
	r, _, _, _ := twoVersions(t)
	kept := func(d manifest.Digest) string { return filepath.Join(r.dir, store.Dir, "manifests", d.String()) }
	fresh, old := kept(manifest.Digest{1}), kept(manifest.Digest{2})
	for _, path := range []string{fresh, old} {
		must(t, os.WriteFile(path, nil, 0o600))
	}
	before := time.Now().Add(-2 * time.Hour)
	must(t, os.Chtimes(old, before, before))
	_, err := r.syncer.Prune(t.Context(), demo)
	must(t, err)
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the fresh one: %v", err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old one: %v, want it gone", err)
	}
	if left, err := os.ReadDir(filepath.Dir(old)); err != nil || len(left) != 2 { // that of 1.1, too
		t.Errorf("manifests: %v, %v, want 2", left, err)
	}
}

// A person has removed the newest version by hand, or a file of it: what is left is
// all there is.
func TestPruneKeepsTheOnlyCopy(t *testing.T) {
	t.Parallel()
	r, _, _, shared := twoVersions(t)
	newest := filepath.Join(r.dir, "demo", "2.0")
	must(t, os.Remove(filepath.Join(newest, shared[3].Path)))
	if got := r.prunable(manifest.Ref{}, 0); len(got) != 0 {
		t.Errorf("Prunable = %v without a file of 2.0, want none", got)
	}
	must(t, os.RemoveAll(newest))
	if got := r.prunable(manifest.Ref{}, 0); len(got) != 0 {
		t.Errorf("Prunable = %v without 2.0, want none", got)
	}
	if _, err := r.syncer.Prunable(t.Context(), demo, downloader.Retentions{}); !errors.Is(err, failure.ErrKept) {
		t.Errorf("Prunable(%v) = %v, want %v", demo, err, failure.ErrKept)
	}
	_, err := r.syncer.Verify(t.Context(), demo2, selectAll, new(progress.Progress))
	must(t, err)
	if got := r.prunable(manifest.Ref{}, 0); len(got) != 0 {
		t.Errorf("Prunable = %v when the store knows, too, want none", got)
	}
}

// An unfinished file of a version that goes, goes with it.
func TestPruneDropsPartials(t *testing.T) {
	t.Parallel()
	r, _, _, _ := twoVersions(t)
	d := manifest.Digest{1}
	must(t, os.WriteFile(filepath.Join(r.dir, store.Dir, "partial", d.String()), []byte("begun"), 0o600))
	must(t, r.store.PutPartials(store.Partial{Digest: d, Ref: demo, Path: "x", Size: -1, Durable: 5, Updated: time.Now()}))
	r.reopen()
	_, err := r.syncer.Prune(t.Context(), demo)
	must(t, err)
	if left, err := r.store.Partials(); err != nil || len(left) != 0 {
		t.Errorf("partials = %+v, %v, want none", left, err)
	}
}
