package downloader

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/segment"
	"mimicsync/downloader/source"
	"mimicsync/downloader/tree"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// newTransfer opens the entry's partial and finds out how much of it is there.
func (p *pass) newTransfer(e manifest.Entry, work *scratch) (*transfer, error) {
	t := &transfer{p: p, entry: e, digest: work.digest, started: time.Now()}
	t.digest.Reset()
	t.segs.Reset(0)
	t.meta = store.Partial{Digest: e.Digest, Ref: p.ref, Path: e.Path, Size: -1}
	known, ok := p.s.takePartial(e.Digest)
	if !ok {
		var err error
		t.file, err = p.s.Tree.CreatePartial(e.Digest, p.ref, e.Path)
		return t, err
	}
	var err error
	if t.file, err = p.s.Tree.OpenPartial(e.Digest); err != nil {
		p.s.keepPartial(known)
		return nil, err
	}
	t.meta, t.recorded = known, true
	t.meta.Ref, t.meta.Path = p.ref, e.Path
	if err := t.resume(); err != nil {
		_ = t.file.Close()
		p.s.keepPartial(known)
		return nil, err
	}
	return t, nil
}

// resume takes up what an earlier process left in the partial. Its digest is
// taken while the rest is fetched, of what the disk has: the page cache may have bytes
// that could not be written, and nobody is told of that twice.
func (t *transfer) resume() error {
	if err := t.p.s.Store.Lost(); err != nil { // as in abandon
		return err
	}
	fi, err := t.file.Stat()
	if err != nil {
		return err
	}
	t.p.s.Tree.ReadAnew(t.file.File)
	length := fi.Size()
	front := length
	if t.meta.Split || t.meta.Boot != t.p.s.boot || t.meta.Boot == "" {
		front = min(length, t.meta.Durable) // the rest has gaps, or was not synced when the machine stopped or the disk failed
	}
	if front > t.meta.Durable {
		t.synced = t.meta.Durable
	}
	t.segs.Reset(front)
	if n := len(t.meta.Ahead); n > 0 && t.meta.Validator != "" && t.meta.Ahead[n-1].To <= length {
		t.segs.Restore(front, t.meta.Size, t.meta.Ahead)
	}
	if err := t.file.Truncate(t.segs.Last()); err != nil {
		return err
	}
	if have := t.segs.Have(); have > 0 {
		t.before = have
		t.p.expect(-have)
		t.digest.Follow(t.file.File, t.segs.Front)
	}
	return nil
}

// accept makes the partial ready for an object's body: it decides whether the
// bytes here still belong to it.
func (t *transfer) accept(ctx context.Context, from source.Source, object *source.Object, g *segment.Segment, asked int64) error {
	complete := object.Size >= 0 && object.Size <= g.At // then what is here has the wrong digest, or too many bytes
	switch {
	case object.Offset != 0 && object.Offset != asked:
		return t.strayed(fmt.Errorf("%w: from %d, and not from %d", failure.ErrStray, object.Offset, asked))
	case object.Offset == 0 && (asked > 0 || complete && g.At > 0):
		if err := t.discard(ctx, "the source sent the object from its start"); err != nil {
			return err
		}
	case asked < g.At && complete:
		return t.misfit("what is here is as long as the object and not the same")
	case asked < g.At:
		if err := t.compare(ctx, object.Body, g, asked); err != nil {
			return err
		}
	}
	t.mu.Lock()
	t.doubt.fixed = object.Fixed
	t.meta.Validator, t.meta.Size, t.meta.Modified, t.meta.Source = object.Validator, object.Size, object.Modified, from.Name()
	t.mu.Unlock()
	if object.Size < 0 || object.Size > tree.NamelessMax {
		if err := t.p.s.Tree.NamePartial(t.file); err != nil {
			return err
		}
	}
	return t.reserve(object)
}

// forsake leaves the source that gave what is here for another one, which has
// just answered and whose validator says nothing about those bytes: those ahead
// of a gap go, the start stays for compare to judge.
func (t *transfer) forsake() error {
	p := t.p
	if err := p.s.Store.Lost(); err != nil { // as in abandon
		return err
	}
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	front, have := t.segs.Front(), t.segs.Have()
	t.mu.Lock()
	t.earlier = append(t.earlier, share{t.meta.Source, max(front-t.before, 0)})
	t.before = front
	t.meta.Validator, t.meta.Ahead = "", nil
	t.mu.Unlock()
	if have == front {
		return nil
	}
	p.discarded(have - front)
	t.segs.Reset(front)
	if err := t.file.Truncate(front); err != nil || !t.recorded {
		return err
	}
	return p.record(t)
}

// compare reads the bytes that were asked for again and checks that they are
// those that are here.
func (t *transfer) compare(ctx context.Context, body io.Reader, g *segment.Segment, asked int64) error {
	if g.At-asked > overlap {
		return t.compareLong(body, g, asked)
	}
	fresh, here := make([]byte, g.At-asked), make([]byte, g.At-asked)
	if _, err := io.ReadFull(body, fresh); err != nil {
		return err
	}
	if _, err := t.file.ReadAt(here, asked); err != nil {
		return t.cannotRead(err)
	}
	const why = "what is here is not the start of the object"
	switch {
	case bytes.Equal(fresh, here):
		return nil
	case asked > 0:
		return t.misfit(why)
	}
	if err := t.discard(ctx, why); err != nil {
		return err
	}
	return t.write(g, fresh)
}

// compareLong is compare for a source that gives the whole only: what is here may
// be long. If it is not the start of the object, the source is asked once more.
func (t *transfer) compareLong(body io.Reader, g *segment.Segment, asked int64) error {
	fresh, here := make([]byte, overlap), make([]byte, overlap)
	for at := asked; at < g.At; {
		n := int(min(overlap, g.At-at))
		if _, err := io.ReadFull(body, fresh[:n]); err != nil {
			return err
		}
		if _, err := t.file.ReadAt(here[:n], at); err != nil {
			return t.cannotRead(err)
		}
		if !bytes.Equal(fresh[:n], here[:n]) {
			return t.misfit("what is here is not the start of the object")
		}
		at += int64(n)
	}
	return nil
}

// discard empties the partial, while nobody else is at work on it. Bytes that
// another tool had put there go to quarantine instead: they were not ours.
func (t *transfer) discard(ctx context.Context, why string) error {
	p := t.p
	if err := p.s.Store.Lost(); err != nil { // as in abandon
		return err
	}
	p.s.Logger.InfoContext(ctx, "discard what is here", "dataset", p.ref.String(), "object", t.entry.Path, "size", t.segs.Have(), "reason", why)
	have := t.segs.Have()
	seed := min(t.meta.Seed, have)
	if have > seed {
		p.discarded(have - seed)
	}
	t.digest.Unfollow()
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
	t.mu.Lock()
	t.meta.Seed, t.meta.Source, t.meta.Validator, t.meta.Size, t.meta.Split, t.meta.Ahead = 0, "", "", -1, false, nil
	t.void, t.tail, t.before, t.earlier = "", false, 0, nil
	t.mu.Unlock()
	t.synced = 0
	t.digest.Reset()
	t.segs.Reset(0)
	return t.file.Truncate(0)
}

// misfit revokes what is here because its bytes are not the object's. It may be that
// only those are wrong that an earlier process had not synced.
func (t *transfer) misfit(why string) error {
	t.mu.Lock()
	t.tail = true
	t.mu.Unlock()
	return t.revoke(why)
}

// giveUp drops what is here after a misfit: first what had not been synced when it
// was found, for a disk may have lost that, and only the next time all.
func (t *transfer) giveUp(ctx context.Context, why string) (all bool, err error) {
	t.mu.Lock()
	tail := t.tail
	t.mu.Unlock()
	p, have := t.p, t.segs.Have()
	if !tail || t.synced < max(t.meta.Seed, 1) || t.segs.Front() < have || have <= t.synced {
		return true, t.discard(ctx, why)
	}
	if err := p.s.Store.Lost(); err != nil { // as in abandon
		return false, err
	}
	p.s.Logger.InfoContext(ctx, "discard what was not synced", "dataset", p.ref.String(), "object", t.entry.Path, "size", have-t.synced, "reason", why)
	p.discarded(have - t.synced)
	t.digest.Unfollow()
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	t.mu.Lock()
	t.void, t.tail, t.before, t.earlier, t.meta.Ahead = "", false, t.synced, nil, nil
	t.mu.Unlock()
	t.digest.Reset()
	t.segs.Reset(t.synced)
	t.synced = 0 // the next time all goes
	t.digest.Follow(t.file.File, t.segs.Front)
	if err := t.file.Truncate(t.segs.Last()); err != nil || !t.recorded {
		return false, err
	}
	return false, p.record(t)
}

// cannotRead revokes what is here where an error of reading it says that the disk
// lost it. The whole is moved aside: what is written next must not lie there.
func (t *transfer) cannotRead(err error) error {
	if !durable.IsUnreadable(err) {
		return err
	}
	t.mu.Lock()
	t.meta.Seed, t.tail = t.segs.Have(), false
	t.mu.Unlock()
	return t.revoke("it cannot be read: " + err.Error())
}

// setAside moves the first seed bytes of the partial to quarantine and opens a
// new one. They are there for good before the record goes that says whose they are.
func (t *transfer) setAside(seed int64) error {
	p := t.p
	if err := t.file.Truncate(seed); err != nil {
		return err
	}
	if err := t.file.Close(); err != nil {
		return err
	}
	to, err := p.s.Tree.QuarantinePartial(t.entry.Digest, p.ref, t.entry.Path)
	if err == nil {
		err = p.s.Tree.SyncMoves()
	}
	if err != nil {
		return err
	}
	p.quarantined(t.entry.Path, to)
	t.file, err = p.s.Tree.CreateNamed(t.entry.Digest)
	return err
}
