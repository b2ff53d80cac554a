package downloader_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// More files than a batch holds: all of them get their names and records, and
// the time that the source says.
func TestManyFilesAreCommittedInBatches(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options tree.Options
	}{
		{"by syncfs", tree.Options{}},
		{"file by file", tree.Options{Durability: tree.FileDurability}},
		{"on a file server", tree.Options{Network: true}},
		{"not at all", tree.Options{Durability: tree.NoDurability}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			files := manyFiles(700, 300)
			s := newSite(t, nil, project(files...))
			r := newRig(t, rigOptions{site: s, tree: tt.options, connections: 8})
			wantFiles(t, r.pull(), store.Complete, store.Files{Total: 700, Fetched: 700})
			r.reopen()
			s.Reset()
			wantFiles(t, r.pull(), store.Complete, store.Files{Total: 700, Present: 700})
			v, _, err := r.store.Version(demo)
			must(t, err)
			n, size, err := r.store.Totals(v.ID)
			if err != nil || n != 700 || size != 700*300 {
				t.Errorf("Totals = %d files of %d bytes, %v", n, size, err)
			}
		})
	}
}

// wget -N over the same tree must find every file current.
func TestFilesHaveTheServersTime(t *testing.T) {
	t.Parallel()
	day := time.Date(2023, 1, 6, 12, 0, 0, 0, time.UTC)
	p := project(file("a", 100))
	p.Versions[0].ModTime = day
	s := newSite(t, nil, p)
	r := newRig(t, rigOptions{site: s})
	r.pull()
	fi, err := os.Stat(r.path("a"))
	must(t, err)
	response, err := testClient(t).Get(s.url + "/files/demo/1.0/a")
	must(t, err)
	must(t, response.Body.Close())
	want, err := http.ParseTime(response.Header.Get("Last-Modified"))
	must(t, err)
	if !fi.ModTime().Equal(want) {
		t.Errorf("a has the time %v, want the server's %v", fi.ModTime(), want)
	}
}

// A source dates a file where a count of nanoseconds does not reach: fetched or
// adopted, it is read once.
func TestAFileOfAnotherCenturyIsPresent(t *testing.T) {
	t.Parallel()
	p := project(file("a", 100))
	p.Versions[0].ModTime = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newSite(t, nil, p)
	r := newRig(t, rigOptions{site: s})
	r.pull()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Present: 1})
	r.close()
	must(t, os.Remove(filepath.Join(r.dir, store.Dir, "state.db")))
	r.open()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Adopted: 1})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Present: 1})
}

// A person removes folders that a process which goes on, as a daemon does, has
// made and remembers: they are made again, for whatever comes into them.
func TestAFolderRemovedInMidLifeIsMadeAgain(t *testing.T) {
	for _, tt := range []struct {
		name, made, removed string
		elsewhere           bool // another version has the same files
		again               store.Files
	}{
		{"of a file that is fetched", "**", "hosp/deep", false, store.Files{Total: 2, Present: 1, Fetched: 1}},
		{"of a file that is linked", "**", "hosp/deep", true, store.Files{Total: 2, Present: 1, Linked: 1}},
		{"with another in it", "**", "hosp", false, store.Files{Total: 2, Fetched: 2}},
		{"before another came into it", "hosp/b", "hosp", false, store.Files{Total: 2, Fetched: 2}},
		{"of the whole version", "**", "", true, store.Files{Total: 2, Linked: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := []lookalike.GeneratedFile{same("hosp/deep/a", "a\n"), same("hosp/b", "b\n")}
			s := newSite(t, nil, versions(files, files))
			r := newRig(t, rigOptions{site: s})
			if tt.elsewhere {
				_, err := r.run(t.Context(), demo2, new(progress.Progress))
				must(t, err)
			}
			r.pull(tt.made)
			must(t, os.RemoveAll(r.path(tt.removed)))
			wantFiles(t, r.pull(), store.Complete, tt.again)
			r.has(files...)
			if _, err := os.Stat(r.path(manifest.Name)); err != nil {
				t.Errorf("the version has no manifest again: %v", err)
			}
		})
	}
}

// Programs read the report: its form is a contract.
func TestTheReportsForm(t *testing.T) {
	t.Parallel()
	a := file("hosp/a.csv.gz", 1000)
	s := newSite(t, nil, project(a))
	r := newRig(t, rigOptions{site: s})
	form := func(report *report.Report) map[string]any {
		b, err := json.Marshal(report)
		must(t, err)
		got := map[string]any{}
		must(t, json.Unmarshal(b, &got))
		if _, ok := got["elapsed_s"].(float64); !ok {
			t.Errorf("elapsed_s = %v, want a number", got["elapsed_s"])
		}
		delete(got, "elapsed_s")
		return got
	}
	want := map[string]any{
		"dataset": "demo", "version": "1.0", "state": "complete",
		"files":    map[string]any{"total": 1., "present": 0., "adopted": 0., "linked": 0., "fetched": 1., "failed": 0.},
		"bytes":    map[string]any{"fetched": 1000., "present": 0., "adopted": 0., "linked": 0., "discarded": 0.},
		"failures": []any{},
	}
	if diff := cmp.Diff(want, form(r.pull())); diff != "" {
		t.Errorf("a complete pass: -want +got\n%s", diff)
	}

	s.Publish(handmade(sums(a, file("hosp/x.csv.gz", 5)), a))
	got := form(r.pull())
	failure, _ := got["failures"].([]any)
	if len(failure) != 1 || got["state"] != "incomplete" {
		t.Fatalf("an incomplete pass: %v", got)
	}
	one, _ := failure[0].(map[string]any)
	if one["detail"] == "" {
		t.Error("the failure has no detail")
	}
	delete(one, "detail")
	if diff := cmp.Diff(map[string]any{"path": "hosp/x.csv.gz", "reason": "not_found", "source": "physionet"}, one); diff != "" {
		t.Errorf("a failure: -want +got\n%s", diff)
	}
}

// The history keeps each pass, the failed ones too.
func TestPassesAreRemembered(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 100)))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden, Path: "SHA256SUMS.txt"})
	if _, err := r.tryPull(t.Context()); err == nil {
		t.Fatal("Pull = nil, want a denial")
	}
	passes, err := r.store.Passes(demo, 10)
	must(t, err)
	if len(passes) != 2 || passes[0].State != store.Failed || passes[0].Error == "" || passes[1].State != store.Complete {
		t.Errorf("passes = %+v, want a failed one after a complete one", passes)
	}
}

// A plan counts what Pull would do, and changes nothing of the dataset.
func TestAPlanChangesNothing(t *testing.T) {
	t.Parallel()
	files := []lookalike.GeneratedFile{file("a", 1000), file("b", 2000), file("c", 3000), file("d", 4000)}
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})
	r.pull("a")
	r.plant("b", content(t, files[1]))
	before := snapshot(t, r.path(""))
	s.Reset()

	plan, err := r.syncer.Plan(t.Context(), demo, selectAll)
	must(t, err)
	if plan.Total != 4 || plan.Present != 1 || plan.Examine != 1 || plan.Fetch != 2 || plan.PresentBytes != 1000 || plan.Free.Bytes == 0 {
		t.Errorf("plan = %+v", plan)
	}
	if diff := cmp.Diff(before, snapshot(t, r.path(""))); diff != "" {
		t.Errorf("the plan changed the tree: %s", diff)
	}
	if got := s.Counters().Files; got != 0 {
		t.Errorf("the plan fetched %d files", got)
	}
}

// What a killed process left in the partial folder without a record is cleared away.
func TestLeftoversAreSwept(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 100)))
	r := newRig(t, rigOptions{site: s})
	stray := filepath.Join(r.dir, store.Dir, "partial", "stray")
	must(t, os.WriteFile(stray, []byte("x"), 0o600))
	r.reopen()
	if _, err := os.Lstat(stray); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stray partial is still there (%v)", err)
	}
}
