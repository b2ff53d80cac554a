package downloader_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader"
	"mimicsync/downloader/host"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// looker is a rig that only looks at a mirror.
func looker(t *testing.T, dir string, s *site) *downloader.Syncer {
	t.Helper()
	state, err := store.OpenCopy(dir, "")
	must(t, err)
	tree, err := tree.Open(dir, tree.Options{ReadOnly: true})
	must(t, err)
	t.Cleanup(func() {
		must(t, tree.Close())
		must(t, state.Close())
	})
	sy, err := downloader.New(downloader.Options{
		Tree: tree, Store: state, Sources: []host.Source{s.source(t, rigOptions{}.user, 4)}, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return sy
}

// A mirror on a disk that is mounted read-only is planned for and verified, also by a
// manifest that is newer than its own; what is left half done and what is no business
// of ours stays as it is.
func TestAMirrorThatCannotBeWrittenTo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(t.TempDir(), "mirror")
	mountAt(t, dir)
	a, b, c := file("a", 1000), file("d/b", 2000), file("c", 3000)
	s := newSite(t, nil, project(a, b))
	r := newRig(t, rigOptions{site: s, dir: dir})
	r.pull()
	r.close()
	must(t, os.WriteFile(filepath.Join(dir, store.Dir, "partial", "stray"), []byte("x"), 0o600))
	must(t, os.WriteFile(r.path("d/b"), []byte("rotten"), 0o600))
	s.Publish(project(a, b, c))
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	before := snapshot(t, dir)

	sy := looker(t, dir, s)
	v, err := sy.Verify(t.Context(), demo, selectAll, new(progress.Progress))
	must(t, err)
	if v.Verified != 1 || v.Wrong != 1 {
		t.Errorf("verification = %+v, want a right and d/b wrong", v)
	}
	plan, err := sy.Plan(t.Context(), demo, selectAll)
	must(t, err)
	if plan.Total != 3 || plan.Examine != 2 || plan.Fetch != 1 || plan.Free.Total != 8<<20 {
		t.Errorf("plan = %+v, want a and d/b to examine under the new manifest, c to fetch, and the room of the mirror's disk", plan)
	}
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=8m"))
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("the mirror changed (-before +after):\n%s", diff)
	}
}

// Where there is no mirror yet, a plan makes none; where only its tree is left, it
// verifies by the manifest in the version's folder.
func TestAPlanMakesNoMirror(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	a := file("a", 1000)
	s := newSite(t, nil, project(a))
	above := t.TempDir()
	dir := filepath.Join(above, "physionet.org", "files")
	t.Run("none", func(t *testing.T) {
		plan, err := looker(t, dir, s).Plan(t.Context(), demo, selectAll)
		must(t, err)
		if plan.Fetch != 1 || plan.Free.Total == 0 {
			t.Errorf("plan = %+v, want a to fetch, and the room there is", plan)
		}
	})
	if got := names(t, above); len(got) != 1 {
		t.Errorf("the plan made %v", got)
	}
	r := newRig(t, rigOptions{site: s, dir: t.TempDir()})
	r.pull()
	r.close()
	must(t, os.RemoveAll(filepath.Join(r.dir, store.Dir)))
	before := names(t, r.dir)
	t.Run("a tree", func(t *testing.T) {
		sy := looker(t, r.dir, s)
		must(t, sy.Adopt(t.Context(), demo))
		v, err := sy.Verify(t.Context(), demo, manifest.Selection{}, new(progress.Progress))
		must(t, err)
		if v.Verified != 1 {
			t.Errorf("verification = %+v, want a right", v)
		}
	})
	if diff := cmp.Diff(before, names(t, r.dir)); diff != "" {
		t.Errorf("the tree changed (-before +after):\n%s", diff)
	}
	if left := names(t, temp); len(left) != 1 {
		t.Errorf("in TMPDIR is left %v", left)
	}
}

// names are those of all that is in a folder.
func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	must(t, filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	}))
	return all
}
