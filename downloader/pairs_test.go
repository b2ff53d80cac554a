package downloader_test

import (
	"fmt"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/store"
)

// Each file has a twin right behind it in the manifest, which is linked to it once it
// is recorded. Workers that wait for that hurry the commit: at one commit a second
// these took 20 seconds.
func TestTwinsHurryTheCommit(t *testing.T) {
	slow(t)
	var all []lookalike.GeneratedFile
	for i := range 60 {
		data := fmt.Sprintf("the same in two of them: %d\n", i)
		all = append(all, same(fmt.Sprintf("d/%02d.a", i), data), same(fmt.Sprintf("d/%02d.b", i), data))
	}
	s := newSite(t, nil, project(all...))
	r := newRig(t, rigOptions{site: s})
	start := time.Now()
	report, err := r.run(t.Context(), demo, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 120, Fetched: 60, Linked: 60})
	if took := time.Since(start); took > 12*time.Second {
		t.Errorf("60 pairs took %v, want a few seconds", took)
	}
}
