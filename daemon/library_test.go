package daemon_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/manifest"
)

// library is a PhysioNet in memory: datasets with their versions, and what befalls
// those who ask for them.
type library struct {
	mu       sync.Mutex
	versions map[manifest.Ref]*sourcetest.Memory
	latest   map[string]string
	trouble  func(manifest.Ref) error // what a request is answered with; nil, or nothing: normally
	broken   map[string]error         // what requests for a file are answered with, by names as "demo@1.0/a.csv"
	rate     int64                    // bytes a second of an answer with data, 0: at once
	think    time.Duration            // before a manifest is answered
	diary    []string                 // requests for manifests, as "02 03:00 demo@1.0", one for all in a minute
	bytes    int64                    // of data that was served, manifests left out
	spoil    func(*source.Object)     // changes data on its way; may be nil
	onFetch  func(name string)        // is told of each request for data, as "demo@1.0/a.csv"; may be nil
}

func newLibrary() *library {
	return &library{versions: map[manifest.Ref]*sourcetest.Memory{}, latest: map[string]string{}}
}

// publish makes files the content of a version, which is the newest from then on.
func (l *library) publish(ref manifest.Ref, files map[string]string) {
	objects := map[string][]byte{}
	var sums bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte(files[path])), path)
		objects[path] = []byte(files[path])
	}
	objects[manifest.Name] = sums.Bytes()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.versions[ref] = sourcetest.NewMemory(ref, objects)
	l.latest[ref.Dataset] = ref.Version
}

// remove takes a file away that the manifest has.
func (l *library) remove(ref manifest.Ref, path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.versions[ref].Remove(path)
}

// befall sets what requests are answered with; nil is the end of it.
func (l *library) befall(trouble func(manifest.Ref) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = trouble
}

// breaks sets what requests for a file are answered with; nil is the end of it.
func (l *library) breaks(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = map[string]error{}
	}
	l.broken[name] = err
}

func (l *library) slow(rate int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = rate
}

// served returns how many bytes of data came since the last call.
func (l *library) served() (bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes, l.bytes = l.bytes, 0
	return bytes
}

// readDiary returns what was asked since the last call, in the order of days.
func (l *library) readDiary() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	diary := l.diary
	l.diary = []string{}
	slices.Sort(diary)
	return slices.Compact(diary)
}

// Name implements source.Source.
func (l *library) Name() string { return "library" }

// Open implements source.Source.
func (l *library) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	l.mu.Lock()
	version, rate := l.versions[r.Ref], l.rate
	isManifest := r.Path == manifest.Name
	if isManifest {
		l.diary = append(l.diary, time.Now().UTC().Format("02 15:04 ")+r.Ref.String())
	}
	var err error
	if l.trouble != nil {
		err = l.trouble(r.Ref)
	}
	think := l.think
	l.mu.Unlock()
	if isManifest {
		select {
		case <-time.After(think):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	if version == nil {
		return nil, fmt.Errorf("%s: %w", r.Ref, source.ErrNotExist)
	}
	if rate > 0 {
		time.Sleep(time.Millisecond) // that nothing has the same time as what came before it
	}
	o, err := version.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if isManifest {
		return o, nil
	}
	if err := l.broken[r.Ref.String()+"/"+r.Path]; err != nil {
		return nil, errors.Join(err, o.Body.Close())
	}
	if l.spoil != nil {
		l.spoil(o)
	}
	if l.onFetch != nil {
		l.onFetch(r.Ref.String() + "/" + r.Path)
	}
	o.Body = &slowBody{ReadCloser: o.Body, ctx: ctx, l: l, rate: rate}
	return o, nil
}

// Latest implements source.Publisher.
func (l *library) Latest(_ context.Context, dataset string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trouble != nil {
		if err := l.trouble(manifest.Ref{Dataset: dataset}); err != nil {
			return "", err
		}
	}
	version, ok := l.latest[dataset]
	if !ok {
		return "", &source.AccessError{Denial: source.UnknownVersion, Ref: manifest.Ref{Dataset: dataset}, Source: "library"}
	}
	return version, nil
}

// PublishedSize implements source.Publisher.
func (l *library) PublishedSize(_ context.Context, ref manifest.Ref) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(0)
	for _, data := range l.versions[ref].Objects() {
		n += int64(len(data))
	}
	return n, nil
}

// slowBody counts what is read, and takes its time.
type slowBody struct {
	io.ReadCloser

	ctx  context.Context // as a response body does
	l    *library
	rate int64
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.rate > 0 {
		p = p[:min(int64(len(p)), b.rate)]
		select {
		case <-time.After(time.Duration(len(p)) * time.Second / time.Duration(b.rate)):
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	n, err := b.ReadCloser.Read(p)
	b.l.mu.Lock()
	defer b.l.mu.Unlock()
	b.l.bytes += int64(n)
	return n, err
}
