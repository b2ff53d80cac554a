package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sync"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

// Durability says what a mirror does so that a power cut takes nothing that is
// recorded. Against the death of the process all are alike: what it wrote is
// the kernel's.
type Durability string

const (
	// GroupDurability makes hundreds of files durable by one syncfs(2), where
	// there is one and the disk is local, and else each on its own. It flushes
	// what other programs have written to the same file system too. The default.
	GroupDurability Durability = "group"
	// FileDurability makes each file and each folder durable on its own, many
	// at a time: for a disk that others write to heavily. It promises the same.
	FileDurability Durability = "file"
	// NoDurability leaves files to the kernel, for a scratch disk: promises 1
	// and 2 of the design then hold when the process dies, and not when the
	// machine does. After that, a file may be torn and recorded as whole, and
	// `mimicsync verify --repair` finds it. The state file itself stays sound.
	NoDurability Durability = "none"
)

// ParseDurability reads "group", "file" or "none".
func ParseDurability(s string) (Durability, error) {
	switch d := Durability(s); d {
	case GroupDurability, FileDurability, NoDurability:
		return d, nil
	}
	return "", fmt.Errorf("%q is not group, file or none", s)
}

// Session makes durable what a pass writes. Each pass has its own, made before its
// first byte: the kernel tells an open file of each failure to write once, and who
// shares one with another pass does not hear of its own.
type Session struct {
	t      *Tree
	folder *os.File // the mirror's

	mu     sync.Mutex
	failed error // the first failure: from then on nobody knows what is durable
}

// Placed is a file of a version to be made durable.
type Placed struct {
	Path string // of its entry
	// Partial has its bytes while it is not in its place, nil when it is.
	Partial *Partial
}

// OpenSession begins to listen for failures to write. Close it.
func (t *Tree) OpenSession() (*Session, error) {
	folder, err := os.Open(t.path)
	return &Session{t: t, folder: folder}, err
}

// Close ends that, when the pass has no file open any more. What the kernel has to say
// of a failure is taken note of, so that it does not tell the next pass.
func (s *Session) Close() {
	if s.failed != nil {
		_ = durable.SyncFS(s.folder)
	}
	_ = s.folder.Close() // opened for reading only
}

// Sync makes the bytes of a batch durable, and the names of an earlier batch
// that is renamed and of what was moved aside, as the mirror's durability says. After
// an error, which all later calls return too, what was not durable before does not
// count.
func (s *Session) Sync(ref manifest.Ref, batch, renamed []Placed) error {
	t := s.t
	if t.options.Durability == NoDurability || t.options.ReadOnly {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	moved := t.moves.take()
	if t.groupSync && t.options.Durability != FileDurability && !t.options.Network {
		s.failed = durable.SyncFS(s.folder)
	} else {
		s.failed = t.syncEach(ref, batch, renamed, moved)
	}
	if s.failed != nil {
		s.failed = notKept(s.failed)
		t.moves.add(moved...)
	}
	return s.failed
}

// notKept says what a failed sync means.
func notKept(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the mirror's disk did not keep what was written to it: %w", err)
}

// Fail has all later calls of sync return an error of another sync.
func (s *Session) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// moves are the folders of a Tree that files were moved aside from or to, whose names
// are not durable yet. Safe for concurrent use.
type moves struct {
	mu   sync.Mutex
	dirs map[string]struct{}
}

func (m *moves) add(dirs ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs == nil {
		m.dirs = map[string]struct{}{}
	}
	for _, dir := range dirs {
		m.dirs[dir] = struct{}{}
	}
}

func (m *moves) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	dirs := slices.Collect(maps.Keys(m.dirs))
	clear(m.dirs)
	return dirs
}

// SyncMoves makes durable that files were moved aside: before a record goes that says
// that they are not ours, or their place is another's.
func (t *Tree) SyncMoves() error {
	if t.options.Durability == NoDurability {
		return nil
	}
	dirs := t.moves.take()
	for i, dir := range dirs {
		if err := t.syncMoved(dir); err != nil {
			t.moves.add(dirs[i:]...)
			return err
		}
	}
	return nil
}

// syncMoved makes durable what was moved into a folder or out of it. One that is gone was
// removed since, with what was in it.
func (t *Tree) syncMoved(dir string) error {
	err := durable.SyncDir(t.dir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// SyncData makes the bytes of a partial durable for a checkpoint. One that failed
// once fails always: the kernel has forgotten by then what it could not write.
func (t *Tree) SyncData(f *Partial) error {
	if t.options.Durability == NoDurability {
		return nil
	}
	if err := durable.SyncData(f.File); f.unsynced == nil {
		f.unsynced = notKept(err)
	}
	return f.unsynced
}

// ReadAnew has a file that was left here be read from the disk. What the kernel has to
// say of writing it is about the process that wrote it, and heard here, so that the next
// sync is about what is written now.
func (t *Tree) ReadAnew(f *os.File) {
	if t.options.Durability != NoDurability {
		_ = durable.SyncData(f)
	}
	durable.Forget(f)
}

// StartWriteback lets the disk begin with the bytes of a file that is whole, so
// that the next sync does not find all of them at once.
func (t *Tree) StartWriteback(f *os.File) {
	if t.options.Durability != NoDurability {
		durable.StartWriteback(f)
	}
}

// syncEach makes a batch's bytes and an earlier batch's names durable, file by
// file and folder by folder, many at a time: on a file server each takes a trip.
func (t *Tree) syncEach(ref manifest.Ref, batch, renamed []Placed, moved []string) error {
	const atOnce = 32
	work := make(chan func() error)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	for range atOnce {
		wg.Go(func() {
			for f := range work {
				if err := f(); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, f := range batch {
		name := t.Name(ref, f.Path)
		switch {
		case f.Partial == nil:
		case f.Partial.IsNameless():
			work <- f.Partial.Sync
			continue
		default:
			name = partialDir + "/" + f.Partial.name
		}
		work <- func() error { return t.syncFile(name) }
	}
	dirs := map[string]bool{}
	for _, f := range renamed {
		// A new folder's own name is in the folder above it, up to the mirror.
		for dir := path.Dir(t.Name(ref, f.Path)); !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	for dir := range dirs {
		work <- func() error { return durable.SyncDir(t.dir(dir)) }
	}
	for _, dir := range moved {
		if !dirs[dir] {
			work <- func() error { return t.syncMoved(dir) }
		}
	}
	close(work)
	wg.Wait()
	return first
}
