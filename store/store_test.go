package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mimicsync/manifest"
	"mimicsync/store"
)

func TestRecordsComeInManifestOrder(t *testing.T) {
	m := newMirror(t)
	id := m.put(demo, "a").ID
	var puts []store.Verified
	for _, offset := range []int64{1 << 40, 7, 300, 0, 256, 255, 1 << 20} {
		puts = append(puts, verified(offset))
	}
	m.commit(store.Batch{ID: id, Put: puts[:4]})
	m.commit(store.Batch{ID: id, Put: puts[4:]})
	want := []int64{0, 7, 255, 256, 300, 1 << 20, 1 << 40}
	if diff := cmp.Diff(want, m.offsets(id)); diff != "" {
		t.Errorf("Records (-want +got):\n%s", diff)
	}

	// The same in steps of three, into one buffer.
	var got []int64
	var buf []store.Located
	for from := int64(0); ; {
		var err error
		buf, err = m.Records(id, from, 3, buf[:0])
		must(t, err)
		if len(buf) == 0 {
			break
		}
		for _, r := range buf {
			got = append(got, r.Offset)
			if want := verified(r.Offset).Record; !r.Record.ModTime.Equal(want.ModTime) || !r.Record.Verified.Equal(want.Verified) || r.Record.Size != want.Size {
				t.Errorf("Records gave %v at %d, want %v", r.Record, r.Offset, want)
			}
		}
		from = buf[len(buf)-1].Offset + 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Records in steps (-want +got):\n%s", diff)
	}
	files, size, err := m.Totals(id)
	if wantSize := int64(7*1000 + 818 + 1<<20 + 1<<40); err != nil || files != 7 || size != wantSize {
		t.Errorf("Totals = %d, %d, %v, want 7, %d", files, size, err, wantSize)
	}
}

func TestRecordsOfUnknownID(t *testing.T) {
	m := newMirror(t)
	if got, err := m.Records(99, 0, 10, nil); err != nil || len(got) != 0 {
		t.Errorf("Records(99) = %v, %v, want none", got, err)
	}
	if files, size, err := m.Totals(99); err != nil || files != 0 || size != 0 {
		t.Errorf("Totals(99) = %d, %d, %v, want 0, 0", files, size, err)
	}
}

func TestCommitPutsLosesAndEndsPartials(t *testing.T) {
	m := newMirror(t)
	id := m.put(demo, "a").ID
	m.commit(store.Batch{ID: id, Put: verifiedRange(0, 3)})
	must(t, m.PutPartials(store.Partial{Digest: digestOf(3)}, store.Partial{Digest: digestOf(4)}))
	m.commit(store.Batch{ID: id, Put: verifiedRange(3, 1), Lost: []store.Verified{verified(1)}, Done: []manifest.Digest{digestOf(3)}})
	expect := func(want ...string) {
		t.Helper()
		records, err := m.Records(id, 0, 100, nil)
		must(t, err)
		var got []string
		for _, r := range records {
			got = append(got, fmt.Sprint(r.Offset, " lost: ", r.Record.Lost))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Records (-want +got):\n%s", diff)
		}
	}
	expect("0 lost: false", "1 lost: true", "2 lost: false", "3 lost: false")
	if files, size, err := m.Totals(id); err != nil || files != 3 || size != 3005 {
		t.Errorf("Totals = %d, %d, %v, want 3, 3005", files, size, err)
	}
	if found, err := m.Copies(digestOf(1), store.Located{}, 10); err != nil || len(found) != 0 {
		t.Errorf("Copies of a lost file = %v, %v, want none", found, err)
	}
	partials, err := m.Partials()
	if err != nil || len(partials) != 1 || partials[0].Digest != digestOf(4) {
		t.Errorf("Partials = %v, %v, want that of 4", partials, err)
	}
	m.commit(store.Batch{ID: id}) // nothing
	m.commit(store.Batch{ID: id, Done: []manifest.Digest{digestOf(77)}})
	// It is there again, and one that was lost and replaced in one batch is there.
	m.commit(store.Batch{ID: id, Lost: []store.Verified{verified(2)}, Put: []store.Verified{verified(2), verified(1)}})
	expect("0 lost: false", "1 lost: false", "2 lost: false", "3 lost: false")
	for n := range int64(4) {
		if found, err := m.Copies(digestOf(n), store.Located{}, 10); err != nil || len(found) != 1 {
			t.Errorf("Copies(%d) = %v, %v, want one", n, found, err)
		}
	}
}

func TestCopiesAcrossVersions(t *testing.T) {
	m := newMirror(t)
	a, b := m.put(demo, "a").ID, m.put(demo2, "b").ID
	same := digest("same bytes")
	at := func(offset int64) store.Verified {
		v := verified(offset)
		v.Digest = same
		return v
	}
	m.commit(store.Batch{ID: a, Put: []store.Verified{at(10), verified(11)}})
	m.commit(store.Batch{ID: b, Put: []store.Verified{at(20), at(30), verified(31)}})

	places := func(limit int, after ...store.Located) []string {
		found, err := m.Copies(same, append(after, store.Located{})[0], limit)
		must(t, err)
		var all []string
		for _, f := range found {
			all = append(all, fmt.Sprint(f.ID, "/", f.Offset, "/", f.Record.Size))
		}
		return all
	}
	want := []string{fmt.Sprint(a, "/10/1010"), fmt.Sprint(b, "/20/1020"), fmt.Sprint(b, "/30/1030")}
	if diff := cmp.Diff(want, places(10)); diff != "" {
		t.Errorf("Copies (-want +got):\n%s", diff)
	}
	if got := places(2); len(got) != 2 {
		t.Errorf("Copies with limit 2 = %v, want two", got)
	}
	for i, after := range []store.Located{{ID: a, Offset: 10}, {ID: b, Offset: 20}, {ID: b, Offset: 30}} {
		if diff := cmp.Diff(want[i+1:], places(10, after), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("Copies after place %d (-want +got):\n%s", i, diff)
		}
	}
	recorded, err := m.Recorded([]manifest.Digest{digest("other bytes"), same, verified(31).Digest, {}, {0xff, 0xff}})
	must(t, err)
	if diff := cmp.Diff([]bool{false, true, true, false, false}, recorded); diff != "" {
		t.Errorf("Recorded (-want +got):\n%s", diff)
	}
	m.commit(store.Batch{ID: b, Lost: []store.Verified{at(20)}})
	if diff := cmp.Diff([]string{want[0], want[2]}, places(10)); diff != "" {
		t.Errorf("Copies after a loss (-want +got):\n%s", diff)
	}
	m.put(demo, "a2")
	must(t, m.DropFormer(demo))
	if diff := cmp.Diff(want[2:], places(10)); diff != "" {
		t.Errorf("Copies after the manifest's drop (-want +got):\n%s", diff)
	}
	if found, err := m.Copies(digest("other bytes"), store.Located{}, 10); err != nil || len(found) != 0 {
		t.Errorf("Copies of unknown bytes = %v, %v, want none", found, err)
	}
}

func TestPartials(t *testing.T) {
	m := newMirror(t)
	p := store.Partial{
		Digest: digest("x"), Ref: demo, Path: "a/b c.csv.gz", Source: "physionet", Validator: `"5f-10"`,
		Size: 1 << 40, Durable: 1 << 30, Boot: "boot", Seed: 17, Updated: noon,
	}
	q := store.Partial{Digest: digest("y"), Size: -1}
	must(t, m.PutPartials())
	must(t, m.PutPartials(p, q))
	m.close()
	m.open()
	expect := func(want ...store.Partial) {
		t.Helper()
		got, err := m.Partials()
		must(t, err)
		byPath := cmpopts.SortSlices(func(a, b store.Partial) bool { return a.Path < b.Path })
		if diff := cmp.Diff(want, got, byPath); diff != "" {
			t.Errorf("Partials (-want +got):\n%s", diff)
		}
	}
	expect(p, q)
	p.Durable++
	must(t, m.PutPartials(p))
	expect(p, q)
	must(t, m.DropPartial(p.Digest))
	must(t, m.DropPartial(p.Digest))
	expect(q)
}

func TestClosed(t *testing.T) {
	m := newMirror(t)
	s := m.Store
	m.close()
	for name, err := range map[string]error{
		"Commit":     s.Commit(store.Batch{ID: 1, Put: verifiedRange(0, 1)}),
		"Check":      s.Check(),
		"AddPass":    s.AddPass(demo, store.Pass{}),
		"DropFormer": s.DropFormer(demo),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close = %v, want ErrClosed", name, err)
		}
	}
	if _, err := s.Versions(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Versions after Close = %v, want ErrClosed", err)
	}
}

func TestCloseTwice(t *testing.T) {
	m := newMirror(t)
	s := m.Store
	m.close()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("the second Close panics: %v", r)
		}
	}()
	if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
		t.Errorf("the second Close = %v, want <nil> or ErrClosed", err)
	}
}

func TestCloseGivesTheMirrorBack(t *testing.T) {
	m := newMirror(t)
	owner := ownerPath(m.place.Mirror)
	if text := read(t, owner); !strings.Contains(text, strconv.Itoa(os.Getpid())) || !strings.Contains(text, `"test"`) {
		t.Errorf("the owner file is %q, want this pid and command", text)
	}
	m.close()
	if _, err := os.Stat(owner); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(owner) after Close = %v, want it gone", err)
	}
	m.open()
}

func TestReadersBesideTheWriter(t *testing.T) {
	m := newMirror(t)
	id := m.put(demo, "a").ID
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				files, _, err := m.Totals(id)
				if err != nil || files%10 != 0 {
					t.Errorf("Totals = %d, %v, want whole batches of 10", files, err)
					return
				}
			}
		})
	}
	for i := range int64(20) {
		m.commit(store.Batch{ID: id, Put: verifiedRange(i*10, 10)})
	}
	close(stop)
	wg.Wait()
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes do not say who can read a file")
	}
	m := newMirror(t)
	for _, path := range []string{m.place.File(), ownerPath(m.place.Mirror)} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("Stat(%s) = %v, %v, want mode 0600", path, fi.Mode(), err)
		}
	}
	if fi, err := os.Stat(filepath.Join(m.place.Mirror, store.Dir)); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("Stat(%s) = %v, %v, want mode 0700", store.Dir, fi.Mode(), err)
	}
}

// The digest of zeros is one that nobody computed: a record with it would call any
// file verified.
func TestCommitRefusesADigestOfZeros(t *testing.T) {
	m := newMirror(t)
	id := m.put(demo, "a").ID
	if err := m.Commit(store.Batch{ID: id, Put: []store.Verified{verified(3), {Offset: 9}}}); err == nil {
		t.Error("Commit of a digest of zeros = <nil>, want an error")
	}
	if got := m.offsets(id); len(got) > 0 {
		t.Errorf("Records = %v, want none of the batch", got)
	}
}
