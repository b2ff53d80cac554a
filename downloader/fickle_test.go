package downloader_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
)

// fickle is a source in memory that answers as the test says. An answer takes 10 ms.
// The manifest is that of its objects.
type fickle struct {
	name string

	mu       sync.Mutex
	versions map[manifest.Ref]*sourcetest.Memory
	// answer is what a request for an object is answered with; nil: the object.
	answer func(source.Request) error
	// spoil changes an object on its way; nil: nothing.
	spoil func(source.Request, *source.Object)
	asked map[string]int // requests, by path
	total int            // of them
}

// newFickle returns a source of so many small objects in demo@1.0.
func newFickle(name string, n int) *fickle {
	f := &fickle{name: name, versions: map[manifest.Ref]*sourcetest.Memory{}, asked: map[string]int{}}
	f.publish(demo, numberedObjects(n, "first"))
	return f
}

// numberedObjects are objects with content of their own, by path.
func numberedObjects(n int, edition string) map[string][]byte {
	objects := map[string][]byte{}
	for i := range n {
		objects[fmt.Sprintf("p%02d/%04d.dat", i%7, i)] = fmt.Appendf(nil, "%s %d\n", edition, i)
	}
	return objects
}

// publish makes objects the content of a version, with their manifest unless it is
// among them.
func (f *fickle) publish(ref manifest.Ref, objects map[string][]byte) {
	if objects[manifest.Name] == nil {
		objects[manifest.Name] = sumsOf(objects)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.versions[ref] = sourcetest.NewMemory(ref, objects)
}

// befall sets what requests are answered with from now on.
func (f *fickle) befall(answer func(source.Request) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// requests returns how many there were since the last call.
func (f *fickle) requests() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, f.total = f.total, 0
	return n
}

func (f *fickle) askedFor(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

// Name implements source.Source.
func (f *fickle) Name() string { return f.name }

// Open implements source.Source.
func (f *fickle) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	f.asked[r.Path]++
	f.total++
	answer, spoil, version := f.answer, f.spoil, f.versions[r.Ref]
	f.mu.Unlock()
	if answer != nil {
		if err := answer(r); err != nil {
			return nil, err
		}
	}
	o, err := version.Open(ctx, r)
	if err == nil && spoil != nil {
		spoil(r, o)
	}
	return o, err
}

// replaced makes an object's bytes others, as a proxy or a deployment does.
func replaced(o *source.Object, by string) {
	_ = o.Body.Close()
	o.Body, o.Size = io.NopCloser(bytes.NewReader([]byte(by))), int64(len(by))
}

// sick answers requests for objects, and not for the manifest, with an error.
func sick(err error) func(source.Request) error {
	return func(r source.Request) error {
		if r.Path == manifest.Name {
			return nil
		}
		return err
	}
}

func status(code int) error {
	return &source.StatusError{URL: "https://physionet.org/files/demo/1.0/", Code: code}
}

var (
	badGateway = status(http.StatusBadGateway)
	forbidden  = &source.AccessError{Denial: source.Forbidden, Source: "physionet", Ref: demo, User: "ada"}
)

// sumsOf is the manifest of objects.
func sumsOf(objects map[string][]byte) []byte {
	var sums bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(objects)) {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(objects[path]), path)
	}
	return sums.Bytes()
}

// budgeted are sources with connections of their own.
func budgeted(connections int, sources ...source.Source) (all []host.Source) {
	for _, s := range sources {
		all = append(all, host.Source{Source: s, Budget: pace.NewBudget(connections)})
	}
	return all
}

// inFakeTime runs a story about a mirror of sources in memory in synctest's time.
func inFakeTime(t *testing.T, sources []host.Source, story func(t *testing.T, r *rig)) {
	t.Helper()
	synctestRig(t, sources, nil, story)
}

// synctestRig is inFakeTime with an authority that is not the first source.
func synctestRig(t *testing.T, sources []host.Source, authority *host.Source, story func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		story(t, newRig(t, rigOptions{
			sources: sources, authority: authority, patience: time.Minute, tree: tree.Options{Durability: tree.NoDurability},
		}))
	})
}

// later calls do after a time, while the pass runs.
func later(d time.Duration, do func()) { time.AfterFunc(d, do) }

// patiently runs a pass that may take hours of synctest's time.
func (r *rig) patiently() *report.Report {
	r.t.Helper()
	return r.pullWithin(24 * time.Hour)
}
