package downloader_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

var selectAll manifest.Selection

func (r *rig) verify() *report.Verification {
	r.t.Helper()
	v, err := r.syncer.Verify(r.t.Context(), demo, selectAll, new(progress.Progress))
	must(r.t, err)
	return v
}

// The disk lost a bit, a person deleted a file and copied another one in. Verify
// says so and asks nobody; the next pass mends it.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	bad, gone, strange, fine := file("bad", 5000), file("gone", 5000), file("strange", 5000), file("fine", 5000)
	s := newSite(t, nil, project(bad, gone, strange, fine))
	r := newRig(t, rigOptions{site: s})
	r.pull("bad", "gone", "fine")
	fi, err := os.Stat(r.path("bad"))
	must(t, err)
	b := r.read("bad")
	b[99] ^= 1
	must(t, os.WriteFile(r.path("bad"), b, 0o600))
	must(t, os.Chtimes(r.path("bad"), time.Time{}, fi.ModTime())) // a disk does not tell
	must(t, os.Remove(r.path("gone")))
	r.plant("strange", content(t, strange))
	s.Reset()

	v := r.verify()
	if v.Total != 4 || v.Verified != 2 || v.Bytes != 10_000 || v.Wrong != 1 || v.Missing != 1 || v.Absent != 0 {
		t.Errorf("verification = %+v, want 2 right, 1 wrong, 1 missing", v)
	}
	reasons := map[string]string{}
	for _, f := range v.Failures {
		reasons[f.Path] = f.Reason
	}
	if len(reasons) != 2 || reasons["bad"] != "checksum" || reasons["gone"] != "not_found" {
		t.Errorf("failures = %v, want bad: checksum, gone: not_found", v.Failures)
	}
	if got := s.Counters().Requests; got != 0 {
		t.Errorf("verify made %d requests", got)
	}
	if got := r.read("bad"); got[99] != b[99] {
		t.Error("verify changed the wrong file")
	}

	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 4, Present: 2, Fetched: 2})
	r.has(bad, gone, strange, fine)
	if v := r.verify(); v.Verified != 4 || len(v.Failures) != 0 {
		t.Errorf("verification after the repair = %+v", v)
	}
}

// What cannot be read need not be wrong: it is told apart, and the next pass has to
// do with it.
func TestVerifyTellsWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	a, b := file("a", 1000), file("b", 1000)
	s := newSite(t, nil, project(a, b))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	must(t, os.Remove(r.path("a")))
	must(t, os.Mkdir(r.path("a"), 0o700)) // which root cannot read as a file, either
	v := r.verify()
	if v.Verified != 1 || v.Wrong != 0 || v.Unreadable != 1 || v.Failed() != 1 || len(v.Failures) != 1 || v.Failures[0].Reason != "io" {
		t.Errorf("verification = %+v, want 1 right and 1 unreadable", v)
	}
	must(t, os.Remove(r.path("a")))
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 1, Fetched: 1})
}

func TestVerifyOfNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 10), file("b", 10)))
	r := newRig(t, rigOptions{site: s})
	if _, err := r.syncer.Verify(t.Context(), demo, selectAll, new(progress.Progress)); !errors.Is(err, failure.ErrNoManifest) {
		t.Errorf("Verify = %v, want %v", err, failure.ErrNoManifest)
	}
	r.pull("a")
	if v := r.verify(); v.Total != 2 || v.Verified != 1 || v.Absent != 0 || v.Unselected != 1 || len(v.Failures) != 0 {
		t.Errorf("verification = %+v, want 1 right and 1 that nobody selected", v)
	}
}

// The state file was lost: the tree alone gives it back, without a request.
func TestALostStateIsRebuiltFromTheTree(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(manyFiles(10, 2000)...))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	r.close()
	must(t, os.Remove(r.dir+"/.mimicsync/state.db"))
	r.open()
	s.Reset()

	must(t, r.syncer.Adopt(t.Context(), demo))
	if v := r.verify(); v.Verified != 10 {
		t.Errorf("verification = %+v, want 10 right", v)
	}
	if got := s.Counters().Requests; got != 0 {
		t.Errorf("%d requests were made", got)
	}
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 10, Present: 10})
}

// A folder with more files than a verification lists is gone, and the repair
// brings back all of them, and none that was never wanted.
func TestARepairMendsMoreThanIsListed(t *testing.T) {
	slow(t)
	const wanted = 10_020
	one := same("one", "the same everywhere")
	names := []string{one.Path, "unwanted"}
	for i := range wanted {
		names = append(names, fmt.Sprintf("d/%05d", i))
	}
	s := newSite(t, nil, handmade(lines(t, one, names...), one))
	r := newRig(t, rigOptions{site: s})
	r.pull(one.Path) // the others are links to it
	r.pull("d/")
	must(t, os.RemoveAll(r.path("d")))
	r.reopen()
	if v := r.verify(); v.Missing != wanted || int64(len(v.Failures)) >= v.Missing {
		t.Fatalf("%d files are missing and %d listed, want %d and less", v.Missing, len(v.Failures), wanted)
	}
	lost, err := r.syncer.SelectLost(demo)
	must(t, err)
	report, err := r.syncer.Pull(t.Context(), demo, lost, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: wanted, Linked: wanted})
	if v := r.verify(); v.Verified != wanted+1 || v.Unselected != 1 {
		t.Errorf("after the repair: %+v, want %d right and 1 that nobody selected", v, wanted+1)
	}
}

// The manifest was renewed after the verification, and lists the lost file no more:
// the repair has nothing to do, which is no mistake of the person who asked for it.
func TestARepairAfterARenewal(t *testing.T) {
	t.Parallel()
	a, b, c := file("a", 1000), file("b", 1000), file("c", 1000)
	s := newSite(t, nil, project(a, b, c))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	r.rot("b")
	if v := r.verify(); v.Failed() != 1 {
		t.Fatalf("verification = %+v, want 1 wrong", v)
	}
	s.Publish(project(a, c))
	lost, err := r.syncer.SelectLost(demo)
	must(t, err)
	r.syncer.AcceptManifest(demo)
	report, err := r.syncer.Pull(t.Context(), demo, lost, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 2})
}
