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

// newTransfer opens the entry's partial and finds out how much of it is present.
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

// resume continues the partial of an earlier process. It hashes the partial, while the rest
// is fetched, from the disk: the page cache may hold bytes that couldn't be written, an
// error that is reported only once.
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
		front = min(length, t.meta.Durable) // the rest has gaps, or wasn't synced when the machine stopped or the disk failed
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

// accept prepares the partial for the body of an object: it decides whether the present
// bytes still belong to it.
func (t *transfer) accept(ctx context.Context, from source.Source, object *source.Object, g *segment.Segment, asked int64) error {
	complete := object.Size >= 0 && object.Size <= g.At // then the present bytes have the wrong digest, or are too many
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

// forsake changes from the source of the present bytes to another one, which has just
// answered and whose validator says nothing about them: bytes after a gap go, the start
// stays for compare to judge.
func (t *transfer) forsake() error {
	p := t.p
	if err := p.s.Store.Lost(); err != nil { // as in abandon
		return err
	}
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	front, have := t.segs.Front(), t.segs.Have()
	t.mu.Lock()
	t.earlier = append(t.earlier, portion{t.meta.Source, max(front-t.before, 0)})
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

// compare reads the bytes that were requested again and checks that they equal the present
// ones.
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

// compareLong is compare for a source that serves only whole objects: the present bytes may
// be many. If they are not the start of the object, the source is asked again.
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

// discard empties the partial, while nobody else works on it. Bytes that another tool left
// there go to quarantine instead, since they aren't ours.
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

// misfit revokes the present bytes because they are not the object's. Perhaps only those
// are wrong that an earlier process hadn't synced.
func (t *transfer) misfit(why string) error {
	t.mu.Lock()
	t.tail = true
	t.mu.Unlock()
	return t.revoke(why)
}

// giveUp drops bytes after a misfit: first those that weren't synced when they were found,
// since a disk may have lost them; everything only the next time.
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
	t.synced = 0 // next time everything goes
	t.digest.Follow(t.file.File, t.segs.Front)
	if err := t.file.Truncate(t.segs.Last()); err != nil || !t.recorded {
		return false, err
	}
	return false, p.record(t)
}

// cannotRead revokes the present bytes if a read error says that the disk lost them. The
// file moves to quarantine as a whole, so that nothing new is written to the same place.
func (t *transfer) cannotRead(err error) error {
	if !durable.IsUnreadable(err) {
		return err
	}
	t.mu.Lock()
	t.meta.Seed, t.tail = t.segs.Have(), false
	t.mu.Unlock()
	return t.revoke("it cannot be read: " + err.Error())
}

// setAside moves the first seed bytes of the partial to quarantine and opens a new partial.
// They are durable there before the record that says whose they are is removed.
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
	if err != nil { // the bytes are still here: a checkpoint must not find a closed file
		if f, oerr := p.s.Tree.OpenPartial(t.entry.Digest); oerr == nil {
			t.file = f
		}
		return err
	}
	p.quarantined(t.entry.Path, to)
	t.file, err = p.s.Tree.CreateNamed(t.entry.Digest)
	return err
}
