package store_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// Batches are whole after kill -9, those that were acknowledged are there, and
// the file is in order.
func TestKill(t *testing.T) {
	kills := 10
	if testing.Short() {
		kills = 2
	}
	dir := t.TempDir()
	place := locate(t, dir, "")
	acknowledged := int64(0) // records
	for range kills {
		p := startHelper(t, "write", dir)
		p.line(t) // it is at work
		time.Sleep(time.Duration(rand.IntN(15_000)) * time.Microsecond)
		for _, line := range p.kill(t) {
			from, err := strconv.ParseInt(line, 10, 64)
			must(t, err)
			acknowledged = max(acknowledged, from+batchSize)
		}

		m := openMirror(t, place)
		v, _, err := m.Version(demo)
		must(t, err)
		offsets := m.offsets(v.ID)
		if n := int64(len(offsets)); n%batchSize != 0 || n < acknowledged || n > acknowledged+2*batchSize {
			t.Errorf("%d records after kill -9, want whole batches of %d, and the %d that were acknowledged", n, batchSize, acknowledged)
		}
		for i, offset := range offsets {
			if offset != int64(i) {
				t.Fatalf("record %d is that of %d", i, offset)
			}
		}
		// A batch and the end of its partial are one: a partial is left only of
		// a batch that is not there.
		partials, err := m.Partials()
		must(t, err)
		for _, left := range partials {
			if left.Digest != digestOf(int64(len(offsets))) {
				t.Errorf("the partial %v is left, want only that of the next batch", left.Digest)
			}
		}
		acknowledged = int64(len(offsets))
		m.close()
		if got := keys(t, place.File())["digests"]; got != len(offsets) {
			t.Errorf("%d digests, want one for each of %d records", got, len(offsets))
		}
	}
	if acknowledged == 0 {
		t.Error("no batch was written")
	}
}
