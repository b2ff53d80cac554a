package tree

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"mimicsync/manifest"
)

const (
	// BatchFiles is the largest number of files in a commit: hundreds of small ones
	// share one sync and one transaction.
	BatchFiles = 512
	// NamelessMax is the size in bytes up to which a partial needs no name.
	NamelessMax = 256 << 10
	// namelessFiles bounds the partials without a name, each of which is an open file:
	// two batches, over all passes.
	namelessFiles = 2 * BatchFiles
	// namelessAge is how long a partial may have no name. It gets one within twice that
	// time, so that a kill loses only the bytes of the last 2 seconds, however long the
	// disk takes for a commit.
	namelessAge = time.Second
)

// nameless is the set of open partials of a Tree that have no name yet.
type nameless struct {
	mu   sync.Mutex
	made map[*Partial]time.Time
}

// full reports whether the next partial should have a name from the start.
func (n *nameless) full() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.made) >= namelessFiles
}

func (n *nameless) add(f *Partial) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made[f] = time.Now()
}

func (n *nameless) remove(f *Partial) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.made, f)
}

// old returns the partials that have had no name for namelessAge.
func (n *nameless) old() []*Partial {
	n.mu.Lock()
	defer n.mu.Unlock()
	var old []*Partial
	for f, made := range n.made {
		if time.Since(made) >= namelessAge {
			old = append(old, f)
		}
	}
	return old
}

// CreatePartial creates the partial of a digest, empty: without a name in the folder of
// its entry, where the file system allows it. A small file then gets a name only once,
// and not in a folder that thousands of others pass through, and its inode is near
// those of its neighbours.
func (t *Tree) CreatePartial(d manifest.Digest, ref manifest.Ref, p string) (*Partial, error) {
	if t.canNameless && !t.nameless.full() {
		if file, err := t.createNameless(t.Name(ref, p)); err == nil {
			f := &Partial{File: file, Digest: d, name: d.String(), nameless: true, among: &t.nameless}
			t.nameless.add(f)
			return f, nil
		}
	}
	return t.CreateNamed(d)
}

// NamePartial gives a partial its name, if it has none and is open. A file that already
// has that name is a leftover without a record, and is removed.
func (t *Tree) NamePartial(f *Partial) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.nameless || f.closed {
		return nil
	}
	err := t.giveName(f.File, partialName(f.Digest))
	if errors.Is(err, fs.ErrExist) {
		if err := t.removePartial(f.Digest); err != nil {
			return err
		}
		err = t.giveName(f.File, partialName(f.Digest))
	}
	if err == nil {
		f.nameless = false
	}
	return err
}

// placeNameless gives a partial without a name its final name, and closes it. ok is false
// if it has a name, or if there is another file: then it must be renamed.
func (t *Tree) placeNameless(f *Partial, to string) (ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.nameless {
		return false, nil
	}
	err = t.giveName(f.File, to)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, f.close()
}

// NameOld gives names to partials that have waited long for their commit, until stop is
// closed.
func (t *Tree) NameOld(stop <-chan struct{}) {
	tick := time.NewTicker(namelessAge)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for _, f := range t.nameless.old() {
			_ = t.NamePartial(f) // the commit reports the error
		}
	}
}

// Partial is the open, unfinished file of a digest. One goroutine owns it; NamePartial and
// Close may be called from others.
type Partial struct {
	*os.File

	Digest manifest.Digest
	name   string    // in the folder of partials, once it has one
	among  *nameless // nil if it was created with its name
	// unsynced is the error of making its bytes durable. Owned by the goroutine that
	// syncs it.
	unsynced error

	mu sync.Mutex // held while it is named or closed; guards the fields below
	// nameless means that it has no name yet and vanishes when the process dies. It
	// gets one before it is recorded, before it becomes large, and when it is old.
	nameless bool
	closed   bool
}

// Close closes the file, if it isn't closed yet.
func (f *Partial) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.close()
}

// close is Close for callers that hold f.mu.
func (f *Partial) close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	if f.among != nil {
		f.among.remove(f)
	}
	return f.File.Close()
}

// IsCopy reports whether it is a copy of a file that the mirror has, see CreateCopy.
func (f *Partial) IsCopy() bool { return f.name != f.Digest.String() }

// IsNameless reports whether it has no name yet.
func (f *Partial) IsNameless() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nameless
}
