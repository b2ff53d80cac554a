package downloader_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/manifest"
	"mimicsync/store"
)

// river is a source whose bodies come at a rate, in bytes per second, by the path
// and by how often it was asked for, and by when.
type river struct {
	*sourcetest.Memory
	rate func(path string, turn int, at time.Time) float64

	mu    sync.Mutex
	asked map[string]int
}

func newRiver(objects map[string][]byte, rate func(string, int, time.Time) float64) *river {
	data := map[string][]byte{}
	sums := ""
	for _, path := range slices.Sorted(maps.Keys(objects)) { // the order in which they are asked for
		b := objects[path]
		data[path] = b
		sums += fmt.Sprintf("%s %s\n", manifest.Digest(sha256.Sum256(b)), path)
	}
	data[manifest.Name] = []byte(sums)
	return &river{Memory: sourcetest.NewMemory(demo, data), rate: rate, asked: map[string]int{}}
}

func (v *river) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	v.mu.Lock()
	v.asked[r.Path]++
	turn := v.asked[r.Path]
	v.mu.Unlock()
	object, err := v.Memory.Open(ctx, r)
	if err == nil {
		object.Body = &current{object.Body, ctx, func() float64 { return v.rate(r.Path, turn, time.Now()) }}
	}
	return object, err
}

// current is a body that takes its time.
type current struct {
	io.ReadCloser
	ctx  context.Context // as an http.Response's body has it
	rate func() float64
}

func (c *current) Read(p []byte) (int, error) {
	rate := c.rate()
	n := max(min(len(p), int(rate/4)), 1)
	select {
	case <-time.After(time.Duration(float64(n) / rate * float64(time.Second))):
	case <-c.ctx.Done():
		return 0, context.Cause(c.ctx)
	}
	return c.ReadCloser.Read(p[:n])
}

// noise is data that no two files have in common.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7+i>>8*13) ^ seed
	}
	return b
}

// pullFrom is a pass over a river, which must end complete.
func pullFrom(t *testing.T, v *river, connections int) (took time.Duration, report *report.Report) {
	t.Helper()
	budget := pace.NewBudgetAt(connections)
	r := newRig(t, rigOptions{sources: []host.Source{{Source: v, Budget: budget}}, log: io.Discard})
	start := time.Now()
	report, err := r.run(t.Context(), demo, new(progress.Progress))
	must(t, err)
	if report.State != store.Complete || report.Bytes.Discarded != 0 {
		t.Errorf("the pass is %v with %d bytes discarded, want a complete one, and none: %+v", report.State, report.Bytes.Discarded, report.Failures)
	}
	return time.Since(start), report
}

// One connection brings three bytes a second, and whoever asks again gets the rest
// at once; with one connection too, and in the middle of a pass.
func TestAConnectionFarBelowItsPeersIsBrokenOff(t *testing.T) {
	for _, connections := range []int{1, 4} {
		t.Run(fmt.Sprint(connections), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				objects := map[string][]byte{}
				for i := range 9 {
					objects[fmt.Sprintf("f%d.csv", i)] = noise(byte(i), 200_000)
				}
				v := newRiver(objects, func(path string, turn int, _ time.Time) float64 {
					if path == "f5.csv" && turn <= 2 {
						return 3
					}
					return 90_000
				})
				took, report := pullFrom(t, v, connections)
				if took > 70*time.Second || v.asked["f5.csv"] != 3 {
					t.Errorf("took %v and %d requests, want a minute at most and 3", took, v.asked["f5.csv"])
				}
				if report.Bytes.Fetched != 9*200_000 {
					t.Errorf("%d bytes fetched, want each once", report.Bytes.Fetched)
				}
			})
		})
	}
}

// A host that is slow to everybody is left alone, and so is a line that becomes
// slow, but for a few tries.
func TestASlowHostIsNotAskedAgain(t *testing.T) {
	small := func(objects map[string][]byte) map[string][]byte {
		for i := range 12 {
			objects[fmt.Sprintf("small/%02d", i)] = noise(byte(i), 30_000)
		}
		return objects
	}
	for _, tt := range []struct {
		name    string
		objects map[string][]byte
		rate    func(path string, turn int, at time.Time) float64
		most    int // requests for big
	}{
		{"40 KB/s each", small(map[string][]byte{"big": noise(99, 8_000_000)}), func(string, int, time.Time) float64 { return 40_000 }, 1},
		{"a burst for small files", small(map[string][]byte{"big": noise(99, 8_000_000)}), func(path string, _ int, _ time.Time) float64 {
			if path == "big" {
				return 40_000
			}
			return 300_000
		}, 1},
		{"big files are slow", small(map[string][]byte{"big": noise(99, 2_000_000)}), func(path string, _ int, _ time.Time) float64 {
			if path == "big" {
				return 2_000
			}
			return 300_000
		}, 7}, // in a quarter of an hour
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newRiver(tt.objects, tt.rate)
				took, _ := pullFrom(t, v, 4)
				if n := v.asked["big"]; n > tt.most {
					t.Errorf("asked %d times in %v, want %d at most", n, took, tt.most)
				}
			})
		})
	}
}

// All that is on its way becomes slow at once: that is the line.
func TestASlowLineBreaksNothingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objects := map[string][]byte{}
		for i := range 6 {
			objects[fmt.Sprintf("early/%d", i)] = noise(byte(i), 100_000)
			objects[fmt.Sprintf("late/%d", i)] = noise(byte(50+i), 3_000_000)
		}
		start := time.Now()
		v := newRiver(objects, func(_ string, _ int, at time.Time) float64 {
			if at.Sub(start) > 6*time.Second {
				return 5_000
			}
			return 400_000
		})
		pullFrom(t, v, 6)
		for path, n := range v.asked {
			if n > 1 && path != manifest.Name {
				t.Errorf("%s was asked for %d times, want once", path, n)
			}
		}
	})
}
