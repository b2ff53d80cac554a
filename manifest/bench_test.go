package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const benchLines = 600_000

// bigManifest has the shape and order of a large image dataset: three levels of folders, 87 bytes a line.
var bigManifest = sync.OnceValue(func() []byte {
	var text bytes.Buffer
	for i := range benchLines {
		patient, study := 10_000_000+i/9, 50_000_000+i/3
		fmt.Fprintf(&text, "%064x files/p%d/p%d/s%d/%08x.jpg\n", uint64(i)*0x9e3779b97f4a7c15, patient/1_000_000, patient, study, i)
	}
	return text.Bytes()
})

func BenchmarkReader(b *testing.B) {
	text := bigManifest()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		r := NewReader(bytes.NewReader(text))
		n := 0
		_, err := r.Next()
		for ; err == nil; n++ {
			_, err = r.Next()
		}
		if n != benchLines || !errors.Is(err, io.EOF) {
			b.Fatalf("Next() = %d entries, %v, want %d", n, err, benchLines)
		}
		runtime.KeepAlive(r)
	}
	// What is live after the stream shows that memory does not grow with it.
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)), "live-B")
}

func BenchmarkEntryAt(b *testing.B) {
	text := bytes.NewReader(bigManifest())
	entries := NewReader(text)
	if _, err := entries.Next(); err != nil {
		b.Fatal(err)
	}
	second, err := entries.Next()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := EntryAt(text, second.Offset); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckPath(b *testing.B) {
	const path = "files/p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.dcm"
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckPath(path); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCollisions(b *testing.B) {
	text := bigManifest()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if got, err := Collisions(bytes.NewReader(text), int64(len(text))); err != nil || got != nil {
			b.Fatalf("Collisions() = %v, %v, want none", got, err)
		}
	}
}

func BenchmarkSelection(b *testing.B) {
	s, err := NewSelection([]string{"files/p10/**/*.dcm", "*.csv.gz"}, []string{"**/s5[0-4]*/"})
	if err != nil {
		b.Fatal(err)
	}
	path := "files/p10/p10000032/s55414267/" + strings.Repeat("02aa804e-", 4) + ".dcm"
	b.ReportAllocs()
	for b.Loop() {
		if !s.Match(path) {
			b.Fatalf("Match(%q) = false, want true", path)
		}
	}
}
