package downloader_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"mimicsync/downloader"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

var benchRef = manifest.Ref{Dataset: "demo", Version: "1.0"}

// published gives objects a manifest and serves them from memory: no network, and no other process.
func published(objects map[string][]byte) *sourcetest.Memory {
	var sums bytes.Buffer
	for path, data := range objects {
		fmt.Fprintf(&sums, "%x %s\n", sha256.Sum256(data), path)
	}
	objects[manifest.Name] = sums.Bytes()
	return sourcetest.NewMemory(benchRef, objects)
}

// benchSyncer works on an empty mirror. It is closed with the benchmark, or before by the function that comes with it.
func benchSyncer(b *testing.B, source source.Source) (*downloader.Syncer, func()) {
	b.Helper()
	dir := b.TempDir()
	place, err := store.Locate(dir, "")
	must(b, err)
	state, err := store.Open(place, "bench")
	must(b, err)
	tree, err := tree.Open(dir, tree.Options{})
	must(b, err)
	syncer, err := downloader.New(downloader.Options{Tree: tree, Store: state, Sources: []host.Source{{Source: source, Budget: pace.NewBudget(16)}}})
	must(b, err)
	return syncer, func() {
		must(b, tree.Close())
		must(b, state.Close())
	}
}

// benchPull measures whole passes into an empty mirror: copy, digest, commit.
func benchPull(b *testing.B, objects map[string][]byte) {
	var size int64
	for _, data := range objects {
		size += int64(len(data))
	}
	files := int64(len(objects))
	source := published(objects)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		syncer, done := benchSyncer(b, source)
		b.StartTimer()
		report, err := syncer.Pull(b.Context(), benchRef, manifest.Selection{}, new(progress.Progress))
		b.StopTimer()
		if err != nil || report.Files.Fetched != files {
			b.Fatalf("Pull = %+v, %v, want %d files", report, err, files)
		}
		done()
		b.StartTimer()
	}
}

func BenchmarkPullLarge(b *testing.B) {
	data := make([]byte, 64<<20)
	for i := range data {
		data[i] = byte(i * 7)
	}
	benchPull(b, map[string][]byte{"hosp/labevents.csv.gz": data})
}

func BenchmarkPullSmall(b *testing.B) {
	objects := make(map[string][]byte, 1000)
	for i := range 1000 {
		objects[fmt.Sprintf("files/p%02d/s%04d/%d.jpg", i%10, i/3, i)] = fmt.Appendf(nil, "%05000d", i)
	}
	benchPull(b, objects)
}

// BenchmarkPlan600k plans a dataset of the size of MIMIC-CXR: for an empty mirror, which has no folder to look into, and for
// one with a single file, where each entry is looked for.
func BenchmarkPlan600k(b *testing.B) {
	const entries = 600_000
	const first = "files/p10/p10000000/s50000000/00000000.jpg"
	content := []byte("the only file that is fetched")
	var sums bytes.Buffer
	fmt.Fprintf(&sums, "%x %s\n", sha256.Sum256(content), first)
	for i := 1; i < entries; i++ {
		patient, study := 10_000_000+i/9, 50_000_000+i/3
		fmt.Fprintf(&sums, "%064x files/p%d/p%d/s%d/%08x.jpg\n", uint64(i)*0x9e3779b97f4a7c15, patient/1_000_000, patient, study, i)
	}
	source := sourcetest.NewMemory(benchRef, map[string][]byte{manifest.Name: sums.Bytes(), first: content})
	plan := func(b *testing.B, syncer *downloader.Syncer, present int64) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			p, err := syncer.Plan(b.Context(), benchRef, manifest.Selection{})
			if err != nil || p.Total != entries || p.Present != present {
				b.Fatalf("Plan = %+v, %v, want %d entries and %d present", p, err, entries, present)
			}
		}
	}
	b.Run("empty", func(b *testing.B) {
		syncer, done := benchSyncer(b, source)
		defer done()
		plan(b, syncer, 0)
	})
	b.Run("begun", func(b *testing.B) {
		syncer, done := benchSyncer(b, source)
		defer done()
		one, err := manifest.NewSelection([]string{first}, nil)
		must(b, err)
		_, err = syncer.Pull(b.Context(), benchRef, one, new(progress.Progress))
		must(b, err)
		plan(b, syncer, 1)
	})
}
