package downloader

import (
	"errors"
	"path"
	"sync"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

// sync makes the bytes of a batch durable, and the names of an earlier batch
// that is renamed: by one syncfs(2), or file by file.
func (t *Tree) sync(ref manifest.Ref, batch, renamed []*committed) error {
	if durable.HasSyncFS && !t.options.Network {
		return durable.SyncFS(t.folder)
	}
	return t.syncEach(ref, batch, renamed)
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
		if f.partial {
			name = partialName(f.entry.Digest)
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
