package report_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// sameWords compares errors by what a person reads.
var sameWords = cmp.Comparer(func(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
})

// A client of the daemon shows a result as the process that made it would.
func TestResultsRoundTripThroughJSON(t *testing.T) {
	failures := []store.Failure{{Path: "a", Reason: "checksum", Source: "s3", Detail: "wrong"}}
	aside := []report.Quarantined{{Path: "b", To: ".mimicsync/quarantine/demo/1.0/b"}}
	result := report.Report{
		Dataset: "demo", Version: "1.0", State: store.Incomplete,
		Files:        store.Files{Total: 6, Present: 1, Adopted: 1, Linked: 1, Fetched: 1, Failed: 1},
		Bytes:        store.Bytes{Fetched: 1, Present: 2, Adopted: 3, Linked: 4, Discarded: 5},
		Failures:     failures,
		ManifestFrom: "s3",
		Sources:      []report.SourceReport{{Name: "s3", Files: 1, Bytes: 1, Cost: 120_400, Failed: 1, Dropped: "no", Err: errors.New("no")}},
		Quarantined:  aside,
		Collisions:   []manifest.Collision{{Path: "A", With: "a"}},
		Elapsed:      1930 * time.Millisecond, Left: 2, LeftBytes: 99,
		AuthorityErr: errors.New("not heard"), Err: errors.New("the limit is reached"),
	}
	roundTrip(t, result, `"elapsed_s":1.93`, `"error":"the limit is reached"`, `"state":"incomplete"`, `"cost_usd":0.1204`, `"left":2`)
	roundTrip(t, report.Report{State: store.Complete, Failures: []store.Failure{}}, `"failures":[]`)
	roundTrip(t, report.Verification{
		Dataset: "demo", Version: "1.0", Total: 9, Verified: 2, Bytes: 3, Recent: 4, Wrong: 1, Missing: 1, Absent: 1,
		Failures: failures, Quarantined: aside, Elapsed: 61 * time.Second,
	}, `"elapsed_s":61`)
	roundTrip(t, []progress.Phase{progress.PhaseManifest, progress.PhaseSurvey, progress.PhaseTransfer, progress.PhaseEnd},
		`["manifest","survey","transfer","end"]`)

	var p progress.Phase
	if err := json.Unmarshal([]byte(`"lunch"`), &p); err == nil {
		t.Error("lunch is taken for a phase")
	}
}

func roundTrip[T any](t *testing.T, sent T, parts ...string) {
	t.Helper()
	data, err := json.Marshal(sent)
	must(t, err)
	for _, part := range parts {
		if !strings.Contains(string(data), part) {
			t.Errorf("%s, want %s in it", data, part)
		}
	}
	var got T
	must(t, json.Unmarshal(data, &got))
	if diff := cmp.Diff(sent, got, sameWords); diff != "" {
		t.Errorf("%T (-sent +got):\n%s", sent, diff)
	}
}
