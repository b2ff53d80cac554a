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

// Durability is how a mirror makes sure that a power cut loses no recorded file. If only
// the process dies, no file is lost with any of them: the kernel has its bytes.
type Durability string

const (
	// GroupDurability makes hundreds of files durable with one syncfs(2), or syncs each
	// on its own where there is no syncfs or the disk isn't local. It also flushes files
	// of other programs on the same file system. The default.
	GroupDurability Durability = "group"
	// FileDurability syncs each file and each folder on its own, many at a time, for a
	// disk that other programs write to heavily. It is as safe as GroupDurability.
	FileDurability Durability = "file"
	// NoDurability doesn't sync files, for a scratch disk. After a power cut, a recorded
	// file may be incomplete; `mimicsync verify --repair` finds and replaces it. The
	// state file itself stays consistent.
	NoDurability Durability = "none"
)

// ParseDurability parses "group", "file" or "none".
func ParseDurability(s string) (Durability, error) {
	switch d := Durability(s); d {
	case GroupDurability, FileDurability, NoDurability:
		return d, nil
	}
	return "", fmt.Errorf("%q is not group, file or none", s)
}

// Session makes durable what one pass writes. Each pass opens its own before it writes its
// first byte: the kernel reports a failed write once to each open file, so two passes
// that shared one would miss each other's failures. A Session is safe for concurrent use.
type Session struct {
	t      *Tree
	folder *os.File // the mirror's

	mu     sync.Mutex
	failed error // the first failure: after it, what is durable is unknown
}

// Placed is a file of a version that is to be made durable.
type Placed struct {
	Path string // of its entry
	// Partial holds its bytes until it has its final name, and is nil after that.
	Partial *Partial
}

// OpenSession returns a Session that notices failed writes from now on. The caller closes
// it.
func (t *Tree) OpenSession() (*Session, error) {
	folder, err := os.Open(t.path)
	return &Session{t: t, folder: folder}, err
}

// Close ends the session, after the pass has closed all its files. It collects pending
// reports of failed writes from the kernel, so that the next pass doesn't get them.
func (s *Session) Close() {
	if s.failed != nil {
		_ = durable.SyncFS(s.folder)
	}
	_ = s.folder.Close() // opened for reading only
}

// Sync makes the bytes of a batch durable, and the names of an earlier, renamed batch and
// of files that were moved to quarantine, as Options.Durability says. After an error, all
// later calls return it too, and only files that were durable before it count.
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

// notKept explains a failed sync.
func notKept(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the mirror's disk failed to write data: %w", err)
}

// Fail makes all later calls of Sync return err, the error of another sync.
func (s *Session) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// moves is the set of folders that files were moved from or to, and that aren't synced
// yet. It is safe for concurrent use.
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

// SyncMoves makes moves to quarantine durable. Call it before removing a record that says
// whose the file is, or before putting another file in its place.
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

// syncMoved syncs a folder that files were moved into or out of. It may have been removed
// since.
func (t *Tree) syncMoved(dir string) error {
	err := durable.SyncDir(t.dir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// SyncData makes the bytes of a partial durable for a checkpoint. After a failure it always
// fails: the kernel doesn't report again what it couldn't write.
func (t *Tree) SyncData(f *Partial) error {
	if t.options.Durability == NoDurability {
		return nil
	}
	if err := durable.SyncData(f.File); f.unsynced == nil {
		f.unsynced = notKept(err)
	}
	return f.unsynced
}

// ReadAnew makes sure that a file which another process left is read from the disk, not
// from the page cache. It also collects pending reports of failed writes, so that the next
// sync reports only what is written from now on.
func (t *Tree) ReadAnew(f *os.File) {
	if t.options.Durability != NoDurability {
		_ = durable.SyncData(f)
	}
	durable.Forget(f)
}

// StartWriteback starts writing a complete file to the disk, so that the next sync has
// less to do.
func (t *Tree) StartWriteback(f *os.File) {
	if t.options.Durability != NoDurability {
		durable.StartWriteback(f)
	}
}

// syncEach is Sync without syncfs: file by file and folder by folder, many at a time,
// because on a file server each takes a round trip.
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
		// The name of a new folder is in the folder above it, up to the mirror.
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
