package downloader_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mimicsync/downloader"
	"mimicsync/downloader/sourcetest"
	"mimicsync/manifest"
	"mimicsync/store"
)

// halting is a source that sends half of a, and then nothing.
type halting struct {
	*sourcetest.Memory

	halted chan struct{}
}

func (h halting) Open(ctx context.Context, r downloader.Request) (*downloader.Object, error) {
	o, err := h.Memory.Open(ctx, r)
	if err == nil && r.Path == "a" {
		o.Body = io.NopCloser(io.MultiReader(io.LimitReader(o.Body, o.Size/2), haltingBody{ctx, h.halted}))
	}
	return o, err
}

type haltingBody struct {
	ctx    context.Context //nolint:containedctx // that of the request
	halted chan struct{}
}

func (b haltingBody) Read([]byte) (int, error) {
	close(b.halted)
	<-b.ctx.Done()
	return 0, context.Cause(b.ctx)
}

// A machine sleeps in the middle of a file. Another takes the mirror, goes on with that
// file and has it verified and in its place: the one that the sleeper has open yet. When
// that one wakes and is interrupted, before its next beat, the file stays whole.
func TestWhoLostTheMirrorLeavesTheNextOwnersFile(t *testing.T) {
	a := file("a", 4*mega)
	whole := content(t, a)
	memory := sourcetest.NewMemory(demo, map[string][]byte{manifest.Name: []byte(sums(a)), "a": whole})
	from := func(s downloader.Source) []downloader.Budgeted {
		return []downloader.Budgeted{{Source: s, Budget: downloader.NewBudget(1)}}
	}
	halted := make(chan struct{})
	r := newRig(t, rigOptions{idle: time.Hour, sources: from(halting{memory, halted})})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := r.tryPull(ctx)
		ended <- err
	}()
	<-halted
	owner := filepath.Join(r.dir, store.Dir, "owner")
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(owner, old, old))

	place, err := store.Locate(r.dir, t.TempDir())
	must(t, err)
	other, err := store.Open(place, "other")
	must(t, err)
	defer func() { must(t, other.Close()) }()
	tree, err := downloader.OpenTree(r.dir, downloader.TreeOptions{})
	must(t, err)
	defer func() { must(t, tree.Close()) }()
	syncer, err := downloader.New(downloader.Options{Tree: tree, Store: other, Sources: from(memory)})
	must(t, err)
	report, err := syncer.Pull(t.Context(), demo, selectAll, new(downloader.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})

	cancel(downloader.ErrInterrupted)
	if err := <-ended; !errors.Is(err, downloader.ErrInterrupted) {
		t.Errorf("Pull = %v, want %v", err, downloader.ErrInterrupted)
	}
	if got := r.read("a"); !bytes.Equal(got, whole) {
		t.Errorf("a, verified by the other, has %d bytes, want its %d", len(got), len(whole))
	}
	if err := r.store.Lost(); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Lost = %v, want ErrLocked", err)
	}
}
