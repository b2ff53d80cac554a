package downloader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mimicsync/manifest"
	"mimicsync/store"
)

// newTransfer opens the entry's partial and finds out how much of it is there.
func (p *pass) newTransfer(e manifest.Entry, work *scratch) (*transfer, error) {
	work.sum.Reset()
	t := &transfer{p: p, entry: e, sum: work.sum, started: time.Now()}
	t.meta = store.Partial{Digest: e.Digest, Ref: p.ref, Path: e.Path, Source: p.s.Source.Name(), Size: -1}
	known, ok := p.s.takePartial(e.Digest)
	if !ok {
		var err error
		t.file, err = p.s.Tree.createPartial(e.Digest)
		return t, err
	}
	var err error
	if t.file, err = p.s.Tree.openPartial(e.Digest); err != nil {
		p.s.keepPartial(known)
		return nil, err
	}
	t.meta, t.recorded = known, true
	t.meta.Ref, t.meta.Path = p.ref, e.Path
	if known.Source != p.s.Source.Name() {
		t.meta.Validator = "" // another source's word for it
	}
	if err := t.resume(); err != nil {
		_ = t.file.Close()
		p.s.keepPartial(known)
		return nil, err
	}
	return t, nil
}

// resume takes up what an earlier process left in the partial.
func (t *transfer) resume() error {
	fi, err := t.file.Stat()
	if err != nil {
		return err
	}
	have := fi.Size()
	if t.meta.Boot != t.p.s.boot || t.meta.Boot == "" {
		have = min(have, t.meta.Durable) // the rest was not synced when the machine stopped
	}
	t.marked.Store(have)
	t.p.expect(-have)
	return t.rehash(have)
}

// rehash brings the running digest to the first `have` bytes on disk, and cuts
// the file there.
func (t *transfer) rehash(have int64) error {
	t.sum.Reset()
	if err := t.file.Truncate(have); err != nil {
		return err
	}
	here := io.NewSectionReader(t.file, 0, have)
	n, err := io.CopyBuffer(t.sum, struct{ io.Reader }{here}, make([]byte, 256<<10))
	if err != nil {
		return err
	}
	if n != have {
		return fmt.Errorf("partial of %s: read %d bytes, want %d", t.entry.Path, n, have)
	}
	t.setHave(have)
	return nil
}

// accept makes the partial ready for an object's body: it decides whether the
// bytes here still belong to it.
func (t *transfer) accept(ctx context.Context, object *Object, asked int64) error {
	complete := object.Size >= 0 && object.Size <= t.have // then what is here has the wrong digest, or too many bytes
	switch {
	case object.Offset != 0 && object.Offset != asked:
		if t.strays++; t.strays > 1 {
			return t.startOver(ctx, "the source does not send the bytes that it is asked for")
		}
		return fmt.Errorf("the source sent bytes from %d, asked for %d", object.Offset, asked)
	case object.Offset == 0 && (asked > 0 || complete && t.have > 0):
		if err := t.discard(ctx, "the source sent the object from its start"); err != nil {
			return err
		}
	case asked < t.have && complete:
		return t.startOver(ctx, "what is here is as long as the object and not the same")
	case asked < t.have:
		if err := t.compare(ctx, object.Body, asked); err != nil {
			return err
		}
	}
	t.metaMu.Lock()
	t.meta.Validator, t.meta.Size, t.meta.Modified, t.meta.Source = object.Validator, object.Size, object.Modified, t.p.s.Source.Name()
	t.metaMu.Unlock()
	return t.reserve(object)
}

// compare reads the bytes that were asked for again and checks that they are
// those that are here.
func (t *transfer) compare(ctx context.Context, body io.Reader, asked int64) error {
	fresh, here := make([]byte, t.have-asked), make([]byte, t.have-asked)
	if _, err := io.ReadFull(body, fresh); err != nil {
		return err
	}
	if _, err := t.file.ReadAt(here, asked); err != nil {
		return err
	}
	const why = "what is here is not the start of the object"
	switch {
	case bytes.Equal(fresh, here):
		return nil
	case asked > 0:
		return t.startOver(ctx, why)
	}
	if err := t.discard(ctx, why); err != nil {
		return err
	}
	return t.write(fresh)
}

// errRestart makes the next attempt start from byte 0; what was here is gone
// or in quarantine.
var errRestart = errors.New("starting over")

func (t *transfer) startOver(ctx context.Context, why string) error {
	if err := t.discard(ctx, why); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", errRestart, why)
}

// discard empties the partial. Bytes that another tool had put there go to
// quarantine instead: they were not ours.
func (t *transfer) discard(ctx context.Context, why string) error {
	p := t.p
	p.s.Logger.InfoContext(ctx, "discard what is here", "dataset", p.ref.String(), "object", t.entry.Path, "size", t.have, "reason", why)
	seed := min(t.meta.Seed, t.have)
	if t.have > seed {
		p.discarded(t.have - seed)
	}
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	if seed > 0 {
		if err := t.setAside(seed); err != nil {
			return err
		}
	}
	if t.recorded {
		if err := p.s.Store.DropPartial(t.entry.Digest); err != nil {
			return err
		}
		t.recorded = false
	}
	t.metaMu.Lock()
	t.meta.Seed, t.meta.Validator, t.meta.Size = 0, "", -1
	t.metaMu.Unlock()
	t.marked.Store(0)
	t.sum.Reset()
	t.setHave(0)
	return t.file.Truncate(0)
}

// setAside moves the first seed bytes of the partial to quarantine and opens a
// new one.
func (t *transfer) setAside(seed int64) error {
	p := t.p
	if err := t.file.Truncate(seed); err != nil {
		return err
	}
	if err := t.file.Close(); err != nil {
		return err
	}
	to, err := p.s.Tree.quarantine(partialName(t.entry.Digest), p.ref, t.entry.Path)
	if err != nil {
		return err
	}
	p.quarantined(t.entry.Path, to)
	t.file, err = p.s.Tree.createPartial(t.entry.Digest)
	return err
}
