package downloader_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A lab's mirror has symlinks to files elsewhere: right ones, another's, and one that
// leads nowhere, as git-annex leaves them. None is called wrong, moved, followed or
// fetched again; a person reads what to do, and what a person puts right is taken.
func TestSymlinksInThePlaceOfFilesStay(t *testing.T) {
	t.Parallel()
	right, wrong, gone, plain := file("d/right", 1000), file("d/wrong", 1000), file("gone", 1000), file("plain", 10)
	s := newSite(t, nil, project(right, wrong, gone, plain))
	r := newRig(t, rigOptions{site: s})
	shared := t.TempDir()
	must(t, os.MkdirAll(r.path("d"), 0o700))
	must(t, os.WriteFile(filepath.Join(shared, "right"), content(t, right), 0o600))
	must(t, os.WriteFile(filepath.Join(shared, "wrong"), []byte("somebody's own"), 0o600))
	for _, name := range []string{"d/right", "d/wrong", "gone"} {
		must(t, os.Symlink(filepath.Join(shared, filepath.Base(name)), r.path(name)))
	}
	before := snapshot(t, shared)

	plan, err := r.syncer.Plan(t.Context(), demo, selectAll)
	must(t, err)
	if plan.Unsafe != 3 || plan.Fetch != 1 || plan.Examine != 0 {
		t.Errorf("plan = %+v, want 3 refused and 1 to fetch", plan)
	}
	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 4, Fetched: 1, Failed: 3})
	for _, f := range report.Failures {
		if f.Reason != string(failure.ReasonUnsafePath) || !strings.Contains(f.Detail, "demo/1.0/"+f.Path+" is a symlink") {
			t.Errorf("%s failed by %s: %s; want the symlink named", f.Path, f.Reason, f.Detail)
		}
	}
	v := r.verify()
	if v.Verified != 1 || v.Unreadable != 3 || v.Wrong != 0 || v.Missing != 0 {
		t.Errorf("verification = %+v, want 1 right and the symlinks unreadable", v)
	}
	if got := s.Counters().Files; got != 1 {
		t.Errorf("%d files were asked for, want the one that is none of them", got)
	}
	if after := snapshot(t, shared); len(after) != len(before) || after["right"] != before["right"] || after["wrong"] != before["wrong"] {
		t.Errorf("behind the symlinks is now %v, want %v", after, before)
	}
	if fi, err := os.Lstat(r.path("gone")); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("gone is now %v, %v, want the symlink", fi, err)
	}

	must(t, os.Remove(r.path("d/right")))
	r.plant("d/right", content(t, right))
	for _, name := range []string{"d/wrong", "gone"} {
		must(t, os.Remove(r.path(name)))
	}
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 4, Present: 1, Adopted: 1, Fetched: 2})
}

// The folder of a version or of its dataset was moved to a bigger disk, and a symlink
// to it left in its place. Nothing is fetched again, and nothing recorded is given up.
func TestASymlinkInThePlaceOfADatasetEndsEverything(t *testing.T) {
	for _, folder := range []string{"demo", "demo/1.0"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			a, b := file("a", 1000), file("d/b", 1000)
			s := newSite(t, nil, project(a, b))
			r := newRig(t, rigOptions{site: s})
			r.pull()
			s.Reset()
			moved := filepath.Join(t.TempDir(), "moved")
			must(t, os.Rename(filepath.Join(r.dir, folder), moved))
			must(t, os.Symlink(moved, filepath.Join(r.dir, folder)))

			_, planned := r.syncer.Plan(t.Context(), demo, selectAll)
			_, pulled := r.run(t.Context(), demo, new(progress.Progress))
			_, verified := r.syncer.Verify(t.Context(), demo, selectAll, new(progress.Progress))
			for what, err := range map[string]error{"Plan": planned, "Pull": pulled, "Verify": verified} {
				link, ok := errors.AsType[*tree.SymlinkError](err)
				if !ok || link.Path != folder || !link.Folder || !errors.Is(err, manifest.ErrUnsafePath) || !strings.Contains(err.Error(), "--mirror") {
					t.Errorf("%s = %v, want a *SymlinkError of %s", what, err, folder)
				}
			}
			if got := s.Counters().Files; got != 0 {
				t.Errorf("%d files were asked for, want none", got)
			}
			must(t, os.Remove(filepath.Join(r.dir, folder)))
			must(t, os.Rename(moved, filepath.Join(r.dir, folder)))
			wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 2})
		})
	}
}
