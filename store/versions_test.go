package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mimicsync/manifest"
	"mimicsync/store"
)

func TestChangedManifest(t *testing.T) {
	m := newMirror(t)
	first := m.put(demo, "a")
	other := m.put(demo2, "b")
	m.commit(store.Batch{ID: first.ID, Put: verifiedRange(0, 100)})
	m.commit(store.Batch{ID: other.ID, Put: verifiedRange(1000, 5)})

	if again := m.put(demo, "a"); again.ID != first.ID || len(again.Former) != 0 {
		t.Errorf("PutVersion of the same manifest = id %d, former %v, want id %d", again.ID, again.Former, first.ID)
	}
	second := m.put(demo, "a2")
	if second.ID == first.ID || second.ID == other.ID {
		t.Errorf("PutVersion of a changed manifest = id %d, want a new one", second.ID)
	}
	third := m.put(demo, "a3")
	want := []store.Former{{ID: first.ID, Digest: digest("a")}, {ID: second.ID, Digest: digest("a2")}}
	if diff := cmp.Diff(want, third.Former); diff != "" {
		t.Errorf("Former (-want +got):\n%s", diff)
	}
	m.commit(store.Batch{ID: second.ID, Put: verifiedRange(50, 3)})
	m.commit(store.Batch{ID: third.ID, Put: verifiedRange(0, 10)})
	if got := len(m.offsets(first.ID)); got != 100 {
		t.Errorf("%d records of the former manifest, want its 100", got)
	}
	stored, ok, err := m.Version(demo)
	must(t, err)
	if diff := cmp.Diff(third, stored); diff != "" || !ok {
		t.Errorf("Version (-want +got):\n%s", diff)
	}

	must(t, m.DropFormer(demo))
	must(t, m.DropFormer(demo)) // it may be repeated
	must(t, m.DropFormer(manifest.Ref{Dataset: "none", Version: "1.0"}))
	stored, _, err = m.Version(demo)
	if err != nil || stored.ID != third.ID || len(stored.Former) != 0 {
		t.Errorf("Version after DropFormer = id %d, former %v, %v, want %d and none", stored.ID, stored.Former, err, third.ID)
	}
	for id, n := range map[uint32]int{first.ID: 0, second.ID: 0, third.ID: 10, other.ID: 5} {
		if got := len(m.offsets(id)); got != n {
			t.Errorf("%d records of id %d, want %d", got, id, n)
		}
	}
	file := m.place.File()
	m.close()
	got := keys(t, file)
	// A nested bucket counts for one key, besides its own.
	if got["digests"] != 15 || got["records"] != 15+2 {
		t.Errorf("%d digests and %d records are left, want 15 and 15 in 2 buckets", got["digests"], got["records"]-2)
	}
}

func TestDropFormerOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 50,000 records")
	}
	m := newMirror(t)
	first := m.put(demo, "a")
	m.commit(store.Batch{ID: first.ID, Put: verifiedRange(0, 50_000)}) // more than one transaction drops
	second := m.put(demo, "a2")
	m.commit(store.Batch{ID: second.ID, Put: verifiedRange(0, 100)})
	must(t, m.DropFormer(demo))
	file := m.place.File()
	m.close()
	if got := keys(t, file)["digests"]; got != 100 {
		t.Errorf("%d digests are left, want 100", got)
	}
}

func TestVersionsAreSortedByName(t *testing.T) {
	m := newMirror(t)
	if _, ok, err := m.Version(demo); ok || err != nil {
		t.Errorf("Version of an empty store = %t, %v, want false", ok, err)
	}
	m.put(demo2, "b")
	m.put(manifest.Ref{Dataset: "a", Version: "1.0"}, "c")
	m.put(demo, "a")
	versions, err := m.Versions()
	must(t, err)
	var got []string
	for _, v := range versions {
		got = append(got, v.Ref.String())
	}
	if diff := cmp.Diff([]string{"a@1.0", "demo@1.0", "demo@2.0"}, got); diff != "" {
		t.Errorf("Versions (-want +got):\n%s", diff)
	}
}
