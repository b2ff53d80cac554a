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
	// BatchFiles is how many files a commit makes durable at once at the most:
	// hundreds of small ones share one sync and one transaction.
	BatchFiles = 512
	// NamelessMax is the size up to which a partial does without a name.
	NamelessMax = 256 << 10
	// namelessFiles is about how many partials of a Tree are without a name at a
	// time: two batches, of all passes together, since each is an open file.
	namelessFiles = 2 * BatchFiles
	// namelessAge is how long one may be. It is named within twice that, so that
	// a kill costs what came in the last 2 seconds and no more, however long the disk
	// takes for a commit.
	namelessAge = time.Second
)

// nameless are the partials of a Tree that were made without a name and are open.
type nameless struct {
	mu   sync.Mutex
	made map[*Partial]time.Time
}

// full reports whether the next partial had better have a name.
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

// old returns those that were made a while ago.
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

// CreatePartial makes the unfinished file of a digest anew: at once in the folder
// of its entry and without a name, where that is possible. A small file then is
// named once, and not in a folder that thousands of others go through, and its
// inode lies near those of its neighbours.
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

// NamePartial gives the unfinished file its name, if it has none and is open. A
// file that has it is one that nobody knows of any more.
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

// placeNameless gives a file without a name its place in the mirror, and closes
// it. ok is false if it has a name, or another file the place: a rename takes that.
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

// NameOld names what has waited for its commit for long, until stop is closed.
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
			_ = t.NamePartial(f) // the commit will say what is the matter
		}
	}
}

// Partial is the open unfinished file of a digest.
type Partial struct {
	*os.File

	Digest manifest.Digest
	name   string    // in the folder of unfinished files, once it has one
	among  *nameless // nil for one that was made with its name
	// unsynced is why its bytes could not be made durable. Of the one that syncs it.
	unsynced error

	mu sync.Mutex // held while it gets its name or is closed; guards what follows
	// nameless says that it has no name yet, so that it is gone when the process
	// dies. It gets one before it is recorded, before it becomes large, and when
	// it is old.
	nameless bool
	closed   bool
}

// Close closes the file, if it is not closed yet.
func (f *Partial) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.close()
}

// close is Close for who holds f.mu.
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

// IsCopy reports whether it is of no use to who fetches the digest: the mirror has
// those bytes.
func (f *Partial) IsCopy() bool { return f.name != f.Digest.String() }

func (f *Partial) IsNameless() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nameless
}
