package sourcetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// Memory is a Source that serves one version from memory. It follows the contract exactly,
// and breaks it on demand. It is safe for concurrent use.
type Memory struct {
	ref manifest.Ref

	mu      sync.Mutex
	objects map[string]memoryObject
	faults  map[string]fault // for the next request of a path
}

type memoryObject struct {
	data      []byte
	validator string
	modified  time.Time
}

func newMemoryObject(data []byte) memoryObject {
	sum := sha256.Sum256(data)
	return memoryObject{data: data, validator: fmt.Sprintf(`"%x"`, sum[:8]), modified: memoryTime}
}

type fault struct {
	kind  faultKind
	after int64
}

type faultKind int

const (
	faultCut faultKind = iota + 1
	faultStall
	faultHang
)

var _ source.Source = (*Memory)(nil)

// memoryTime is when all objects of a new Memory were modified.
var memoryTime = time.Date(2024, time.January, 15, 12, 0, 0, 0, time.UTC)

// NewMemory returns a Source of these objects, by path. The caller must not change their
// bytes; use Put.
func NewMemory(ref manifest.Ref, objects map[string][]byte) *Memory {
	m := &Memory{ref: ref, objects: make(map[string]memoryObject, len(objects)), faults: make(map[string]fault)}
	for path, data := range objects {
		m.objects[path] = newMemoryObject(data)
	}
	return m
}

// Put adds or replaces an object, which gets another Validator if its bytes differ.
func (m *Memory) Put(path string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[path] = newMemoryObject(data)
}

// Remove removes an object.
func (m *Memory) Remove(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, path)
}

// Objects returns the objects, by path.
func (m *Memory) Objects() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string][]byte, len(m.objects))
	for path, object := range m.objects {
		all[path] = object.data
	}
	return all
}

// Cut makes the body of the next answer for a path end after this many bytes with
// io.ErrUnexpectedEOF.
func (m *Memory) Cut(path string, after int64) { m.inject(path, fault{faultCut, after}) }

// Stall makes the body of the next answer for a path stop after this many bytes, until its
// context is done or it is closed.
func (m *Memory) Stall(path string, after int64) { m.inject(path, fault{faultStall, after}) }

// Hang makes the next call of Open for a path wait until its context is done.
func (m *Memory) Hang(path string) { m.inject(path, fault{kind: faultHang}) }

func (m *Memory) inject(path string, f fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[path] = f
}

// Name implements source.Source.
func (m *Memory) Name() string { return "memory" }

// Open implements source.Source.
func (m *Memory) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	object, f, ok := m.take(r.Path)
	if f.kind == faultHang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if r.Ref != m.ref || !ok {
		return nil, fmt.Errorf("%s of %s: %w", r.Path, r.Ref, source.ErrNotExist)
	}
	if r.NoneMatch == object.validator {
		return nil, source.ErrNotModified
	}
	from, length, size := r.Offset, r.Length, int64(len(object.data))
	if r.Validator != "" && r.Validator != object.validator {
		from, length = 0, 0
	}
	if from > 0 && from >= size {
		return nil, source.ErrRange
	}
	to := size
	if length > 0 {
		to = min(size, from+length)
	}
	body := &memoryBody{ctx: ctx, data: bytes.NewReader(object.data[from:to]), fault: f, left: f.after, closed: make(chan struct{})}
	return &source.Object{Body: body, Offset: from, Size: size, Validator: object.validator, Modified: object.modified}, nil
}

func (m *Memory) take(path string) (memoryObject, fault, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.faults[path]
	delete(m.faults, path)
	object, ok := m.objects[path]
	return object, f, ok
}

// memoryBody is an object's bytes, with a fault.
type memoryBody struct {
	ctx   context.Context // as for a response body: the context of Open governs its reads
	data  *bytes.Reader
	fault fault
	left  int64 // bytes before the fault

	once   sync.Once
	closed chan struct{}
}

// Read implements io.Reader.
func (b *memoryBody) Read(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, fs.ErrClosed
	default:
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.fault.kind == 0 {
		return b.data.Read(p)
	}
	if b.left > 0 || len(p) == 0 {
		n, err := b.data.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		return n, err
	}
	if b.fault.kind == faultCut {
		return 0, io.ErrUnexpectedEOF
	}
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-b.closed:
		return 0, fs.ErrClosed
	}
}

// Close implements io.Closer.
func (b *memoryBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}
