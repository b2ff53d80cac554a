package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/store"
)

func TestTheLastRateOfEachKindIsKept(t *testing.T) {
	m := newMirror(t)
	if got, known, err := m.Rate("s3", store.LargeFiles); known || err != nil {
		t.Errorf("Rate = %+v, %v, %v before any pass", got, known, err)
	}
	small := store.Rate{Bytes: 5e6, Files: 20_000, Elapsed: time.Minute, At: time.Now().UTC().Round(0)}
	large := store.Rate{Bytes: 7e9, Files: 40, Elapsed: time.Hour, At: small.At}
	must(t, m.PutRate("s3", store.SmallFiles, store.Rate{Bytes: 1}))
	must(t, m.PutRate("s3", store.SmallFiles, small))
	must(t, m.PutRate("s3", store.LargeFiles, large))
	m.close()
	m.open()
	for kind, want := range map[store.Kind]store.Rate{store.SmallFiles: small, store.LargeFiles: large} {
		got, known, err := m.Rate("s3", kind)
		if diff := cmp.Diff(want, got); diff != "" || !known || err != nil {
			t.Errorf("Rate(%s) = %v, %v (-want +got):\n%s", kind, known, err, diff)
		}
	}
	if _, known, err := m.Rate("gcs", store.SmallFiles); known || err != nil {
		t.Errorf("Rate = %v, %v, want that nothing is known of another source", known, err)
	}
}
