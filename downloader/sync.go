package downloader

import (
	"errors"
	"fmt"
	"os"
	"path"
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

// sync makes the bytes of a batch durable, and the names of an earlier batch
// that is renamed, as the mirror's durability says.
func (t *Tree) sync(ref manifest.Ref, batch, renamed []*committed) error {
	switch {
	case t.options.Durability == NoDurability, t.options.ReadOnly:
		return nil
	case durable.HasSyncFS && t.options.Durability != FileDurability && !t.options.Network:
		return durable.SyncFS(t.folder)
	}
	return t.syncEach(ref, batch, renamed)
}

// syncData makes the bytes of a partial durable for a checkpoint.
func (t *Tree) syncData(f *os.File) error {
	if t.options.Durability == NoDurability {
		return nil
	}
	return durable.SyncData(f)
}

// startWriteback lets the disk begin with the bytes of a file that is whole, so
// that the next sync does not find all of them at once.
func (t *Tree) startWriteback(f *os.File) {
	if t.options.Durability != NoDurability {
		durable.StartWriteback(f)
	}
}

// syncEach makes a batch's bytes and an earlier batch's names durable, file by
// file and folder by folder, many at a time: on a file server each takes a trip.
func (t *Tree) syncEach(ref manifest.Ref, batch, renamed []*committed) error {
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
		name := t.name(ref, f.entry.Path)
		switch {
		case f.partial == nil:
		case f.partial.isNameless():
			work <- f.partial.Sync
			continue
		default:
			name = partialDir + "/" + f.partial.name
		}
		work <- func() error { return t.syncFile(name) }
	}
	dirs := map[string]bool{}
	for _, f := range renamed {
		// A new folder's own name is in the folder above it, up to the mirror.
		for dir := path.Dir(t.name(ref, f.entry.Path)); !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	for dir := range dirs {
		work <- func() error { return durable.SyncDir(t.dir(dir)) }
	}
	close(work)
	wg.Wait()
	return first
}
