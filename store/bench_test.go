package store_test

import (
	"bytes"
	"os"
	"slices"
	"testing"
	"time"

	"mimicsync/store"
)

// cxr is the size of the largest dataset today.
const (
	cxr      = 600_000
	cxrBatch = 256 // files that a pass commits at once
	cxrLine  = 144 // bytes of a line in its manifest

	large = 10_000 // batches, where only their sum matters
)

// fillCXR commits n records like those of MIMIC-CXR, so many at once.
func fillCXR(b *testing.B, m *mirror, n int64, size int) (id uint32) {
	b.Helper()
	id = m.put(demo, "cxr").ID
	batch := make([]store.Verified, 0, size)
	for i := range n {
		v := verified(i)
		v.Offset = i * cxrLine
		if batch = append(batch, v); len(batch) == cap(batch) {
			m.commit(store.Batch{ID: id, Put: batch})
			batch = batch[:0]
		}
	}
	m.commit(store.Batch{ID: id, Put: batch})
	return id
}

func BenchmarkCommit600k(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		m := newMirror(b)
		b.StartTimer()
		fillCXR(b, m, cxr, cxrBatch)
		b.StopTimer()
		if fi, err := os.Stat(m.place.File()); err == nil {
			b.ReportMetric(float64(fi.Size())/1e6, "MB")
		}
		m.close()
		b.StartTimer()
	}
}

func BenchmarkRecordsScan600k(b *testing.B) {
	m := newMirror(b)
	id := fillCXR(b, m, cxr, large)
	var buf []store.Located
	for b.Loop() {
		n := 0
		for from := int64(0); ; {
			var err error
			buf, err = m.Records(id, from, 1000, buf[:0])
			must(b, err)
			if len(buf) == 0 {
				break
			}
			n += len(buf)
			from = buf[len(buf)-1].Offset + 1
		}
		if n != cxr {
			b.Fatalf("%d records, want %d", n, cxr)
		}
	}
}

func BenchmarkCopies(b *testing.B) {
	m := newMirror(b)
	fillCXR(b, m, cxr/6, large)
	i := int64(0)
	for b.Loop() {
		found, err := m.Copies(digestOf(i*7919%(cxr/6)), store.Located{}, 4)
		if err != nil || len(found) != 1 {
			b.Fatalf("Copies = %v, %v, want one", found, err)
		}
		i++
	}
}

// BenchmarkCheck600k is what opening costs after a crash.
func BenchmarkCheck600k(b *testing.B) {
	m := newMirror(b)
	fillCXR(b, m, cxr, large)
	for b.Loop() {
		must(b, m.Check())
	}
}

// BenchmarkDropFormer600k forgets a manifest of 600,000 entries, and measures
// for how long a writer beside it waits at most.
func BenchmarkDropFormer600k(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		m := newMirror(b)
		fillCXR(b, m, cxr, large)
		v := m.put(demo2, "small")
		m.commit(store.Batch{ID: v.ID, Put: verifiedRange(0, 10)})
		m.put(demo, "cxr2")
		m.put(demo2, "small2")
		b.StartTimer()
		longest := longestWait(b, m, func() { must(b, m.DropFormer(demo2)) })
		b.ReportMetric(longest.Seconds()*1000, "ms-wait-few")
		longest = longestWait(b, m, func() { must(b, m.DropFormer(demo)) })
		b.ReportMetric(longest.Seconds()*1000, "ms-wait-all")
		b.StopTimer()
		m.close()
		b.StartTimer()
	}
}

func longestWait(b *testing.B, m *mirror, work func()) time.Duration {
	b.Helper()
	done := make(chan struct{})
	go func() { work(); close(done) }()
	waits := []time.Duration{0}
	for {
		select {
		case <-done:
			return slices.Max(waits)
		default:
			start := time.Now()
			must(b, m.PutPartials(store.Partial{Digest: digest("w"), Path: string(bytes.Repeat([]byte("x"), 10))}))
			waits = append(waits, time.Since(start))
		}
	}
}
