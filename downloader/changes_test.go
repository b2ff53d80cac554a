package downloader_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
)

// A pipeline that only wants what is new reads the list of changes: files that were
// fetched, those that replaced others, and those that a new manifest no longer has. A pass
// that changes nothing tells nothing.
func TestAPassTellsItsChanges(t *testing.T) {
	t.Parallel()
	var told []string
	s := newSite(t, nil, project(file("a", 1000), file("b", 500), file("c", 700)))
	r := newRig(t, rigOptions{site: s, changes: func(ref manifest.Ref, changes []report.Change) error {
		for _, c := range changes {
			told = append(told, fmt.Sprintf("%s %s %s", c.Kind, ref, c.Path))
		}
		return nil
	}})
	want := func(lines ...string) {
		t.Helper()
		slices.Sort(told)
		if diff := cmp.Diff(lines, told); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		told = nil
	}
	r.pull()
	want("added demo@1.0 a", "added demo@1.0 b", "added demo@1.0 c")
	r.pull()
	want()

	changed := lookalike.GeneratedFile{Path: "b", Size: 500, Seed: 7}
	s.Publish(project(file("a", 1000), changed, file("d", 10)))
	r.pull()
	want("added demo@1.0 d", "removed demo@1.0 c", "replaced demo@1.0 b")
}
