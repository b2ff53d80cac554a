package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/segment"
	"mimicsync/downloader/source"
	"mimicsync/internal/durable"
)

const (
	// flushAfter limits how long bytes wait in the buffer, so that a kill loses no more on
	// a slow line than on a fast one.
	flushAfter = 250 * time.Millisecond
	// preallocateFrom is the size from which preallocation pays.
	preallocateFrom = 1 << 20
	// registerFrom is the size from which a partial is recorded before its first byte. A
	// kill in the first 2 s of a smaller one loses it.
	registerFrom = 4 << 20
	// writebackFrom is the size from which a file is written back continuously: syncing a
	// gigabyte at once takes as long as fetching it.
	writebackFrom = 256 << 10
	// overlap is how many bytes without a validator are fetched again, to see whether the
	// rest belongs to them.
	overlap = 64 << 10
)

// attempt makes a request for a segment and reads the answer to its end.
func (t *transfer) attempt(ctx context.Context, buf []byte, helper bool) error {
	p, c := t.p, t.source()
	if !helper {
		t.answerAsked(failure.ErrVoid) // not judged yet, and another entry may be judged sooner
	}
	asks, err := t.enter(ctx, c, helper)
	if err != nil {
		return err
	}
	begun := time.Now()
	if !helper {
		t.begun = begun
	}
	watched, dog := host.Watch(ctx, p.s.IdleTimeout)
	defer dog.End()
	told := false
	if asks {
		dog.First = func() {
			if told = !t.isToTell(c); told {
				c.Health.Asked(nil)
			}
		}
	}
	g := t.segs.Take(helper, dog.Cancel)
	if g != nil && t.source() != c { // from here on the owner waits for g before it changes the source
		t.segs.Release(g)
		g = nil
	}
	if g == nil { // others were faster
		c.Budget.Release(pace.NoAnswer, 0)
		if asks {
			c.Health.Asked(failure.ErrVoid)
		}
		return nil
	}
	dog.Source = p.progress.Request(c.Name())
	runs := p.crowd.begin(t, g, c, dog.Cancel)
	err = t.exchangeAs(watched, c, dog, g, buf, helper)
	p.crowd.end(runs, err)
	p.progress.Ended(dog.Source)
	err = t.explain(err, context.Cause(watched))
	t.segs.Release(g)
	t.noteHealth(c, err, begun, ctx.Err() != nil || c.isDropped() || errors.Is(err, errStraggler) || refusesRange(err), asks && !told)
	p.s.release(c.Source, err)
	if errors.Is(err, errStraggler) {
		p.retried(c.Name())
		return nil // its bytes are present, and the next worker takes the rest
	}
	return err
}

// exchangeAs requests a segment in the way that suits the present bytes, and the caller.
func (t *transfer) exchangeAs(ctx context.Context, c *candidate, dog *host.Watchdog, g *segment.Segment, buf []byte, helper bool) (err error) {
	switch whole := t.wantsWhole(); {
	case whole && helper:
		return errResting
	case whole && !t.segs.Alone():
		return t.revoke("the source gives it as a whole only")
	case helper:
		err = t.exchangePart(ctx, c, dog, g, buf)
		if errors.Is(err, failure.ErrStray) {
			t.segs.Unshare() // the owner's answer may bring everything
		}
	case t.foreign(c) || t.segs.Alone():
		err = t.exchange(ctx, c, dog, g, buf)
	default:
		err = t.exchangePart(ctx, c, dog, g, buf)
		if errors.Is(err, failure.ErrStray) {
			err = t.strayed(err)
		}
	}
	return err
}

// explain returns the error of an attempt whose context ended with this cause.
func (t *transfer) explain(err, cause error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*failure.UnansweredError](err); ok {
		t.unanswered.Add(1)
		return err
	}
	switch {
	case errors.Is(cause, failure.ErrStalled):
		return fmt.Errorf("%w for %s", failure.ErrStalled, t.p.s.IdleTimeout)
	case errors.Is(cause, failure.ErrVoid), errors.Is(cause, errStraggler):
		return cause
	}
	return err
}

// foreign reports whether the present bytes came from another source than c, or from an
// unknown one.
func (t *transfer) foreign(c *candidate) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.meta.Source != "" && t.meta.Source != c.Name()
}

// exchange requests everything missing from an object whose start is present, or nothing,
// while nobody else works on it. The answer may also be the whole of another object. If
// another source served the present bytes, they stay if the answer matches their end.
func (t *transfer) exchange(ctx context.Context, c *candidate, dog *host.Watchdog, g *segment.Segment, buf []byte) error {
	foreign := t.foreign(c)
	t.mu.Lock()
	from, validator := g.At, t.meta.Validator
	t.mu.Unlock()
	if foreign {
		validator = "" // another source's validator
	}
	switch {
	case t.wantsWhole():
		if from > 0 {
			t.p.s.Logger.WarnContext(ctx, "ask without a range", "dataset", t.p.ref.String(), "object", t.entry.Path, "from", c.Name())
		}
		from, validator = 0, ""
	case validator == "":
		from -= min(from, overlap)
	}
	object, err := t.ask(ctx, c, source.Request{Ref: t.p.ref, Path: t.entry.Path, Offset: from, Validator: validator, NoneMatch: t.noneMatch(validator)})
	if different := t.recognise(object, err); different != nil {
		if err == nil {
			_ = object.Body.Close() // it has been read
		}
		return different
	}
	if g.At > 0 && (errors.Is(err, source.ErrRange) || errors.Is(err, source.ErrChanged)) {
		return t.revoke(err.Error())
	}
	if err != nil {
		return err
	}
	defer func() { _ = object.Body.Close() }() // judged by length and digest
	dog.Heard()
	if foreign {
		if err := t.forsake(); err != nil {
			return err
		}
	}
	if err = t.accept(ctx, c, object, g, from); err == nil {
		t.segs.SetSize(object.Size)
		if t.open() {
			t.segs.Trim(g, segment.FirstPiece)
		}
		err = t.copy(object, g, dog, buf, object.Size)
	}
	if from > 0 {
		t.judgePart(t.explain(err, context.Cause(ctx)))
	}
	return err
}

// exchangePart requests a segment of an object whose other bytes are present or on their
// way: the answer must be of the same object.
func (t *transfer) exchangePart(ctx context.Context, c *candidate, dog *host.Watchdog, g *segment.Segment, buf []byte) error {
	if err := t.p.divide(t); err != nil {
		return err
	}
	t.mu.Lock()
	validator, size := t.meta.Validator, t.meta.Size
	t.mu.Unlock()
	t.segs.Trim(g, segment.LargestPiece)
	from, length := g.At, int64(t.segs.Limit(g, segment.LargestPiece+segment.LeastPiece))
	object, err := t.ask(ctx, c, source.Request{Ref: t.p.ref, Path: t.entry.Path, Offset: from, Length: length, Validator: validator})
	if errors.Is(err, source.ErrRange) || errors.Is(err, source.ErrChanged) {
		return t.revoke(err.Error())
	}
	if err != nil {
		return err
	}
	defer func() { _ = object.Body.Close() }() // judged by length and digest
	dog.Heard()
	switch {
	case object.Validator != validator || object.Size != size:
		return t.revoke(source.ErrChanged.Error())
	case object.Offset != from:
		return fmt.Errorf("%w: from %d, and not from %d", failure.ErrStray, object.Offset, from)
	}
	t.open()
	err = t.copy(object, g, dog, buf, from+length)
	t.judgePart(t.explain(err, context.Cause(ctx)))
	return err
}

// strayed handles a stray answer to the owner: the present bytes must go if there is no way
// to continue from them.
func (t *transfer) strayed(err error) error {
	t.mu.Lock()
	t.stray++
	often := t.stray > 1
	t.mu.Unlock()
	if often {
		return t.revoke(err.Error())
	}
	return err
}

// open lets others help, if enough is left, and if a validator ensures that they get parts
// of the same object.
func (t *transfer) open() bool {
	t.mu.Lock()
	ok := t.meta.Size >= segment.SplitFrom && t.meta.Validator != "" && t.stray == 0 && !t.ranges.whole
	t.mu.Unlock()
	if ok {
		t.segs.Share()
		t.p.crowd.open(t)
	}
	return ok
}

// reserve preallocates a big object before its first byte, and records the partial so that
// a kill finds it.
func (t *transfer) reserve(object *source.Object) error {
	left := object.Size - t.segs.Have()
	if object.Size < 0 || left < preallocateFrom {
		return nil
	}
	fi, err := t.file.Stat()
	if err != nil {
		return err
	}
	reserved := max(durable.Allocated(fi)-t.segs.Have(), 0) // by an earlier attempt
	if space, err := t.p.s.Tree.Free(); err == nil && space.Total > 0 && space.Bytes+reserved < left {
		return t.p.tooLarge(object.Size, left-reserved, space)
	}
	if err := durable.Preallocate(t.file.File, object.Size); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return t.p.spaceError(err, left)
	}
	if left < registerFrom {
		return nil
	}
	return t.p.checkpointOne(t)
}

// tooLarge judges the stated size of an object that doesn't fit on the disk. A source may
// state anything: a likely size ends the pass, otherwise the other entries continue.
func (p *pass) tooLarge(size, need int64, room durable.Space) error {
	if published := p.version.Bytes; published > 0 && size/2 > published { // the published size is rounded
		return &failure.SizeError{Want: published, Got: size}
	}
	lack := &failure.SpaceError{Need: need, Free: room.Bytes}
	if size > room.Total {
		lack.Disk = room.Total
	}
	return lack
}

// copy writes a body to the partial until its segment is complete. The body reaches up to
// the byte reach, -1 if unknown; the segment grows while the next bytes belong to nobody.
func (t *transfer) copy(object *source.Object, g *segment.Segment, dog *host.Watchdog, buf []byte, reach int64) error {
	filled, flushed := 0, time.Now()
	for {
		room := t.segs.Limit(g, len(buf))
		if room == 0 && t.segs.Extend(g, reach) {
			continue
		}
		if room == 0 {
			return t.end(object.Body, g.At, reach)
		}
		n, err := object.Body.Read(buf[filled:room])
		filled += n
		if reach < 0 {
			if berr := t.withinBound(g.At + int64(filled)); berr != nil {
				return berr
			}
		}
		if n > 0 {
			dog.Brought(n)
		}
		if now := time.Now(); filled == room || err != nil || now.Sub(flushed) > flushAfter {
			if werr := t.write(g, buf[:filled]); werr != nil {
				return werr
			}
			filled, flushed = 0, now
		}
		if errors.Is(err, io.EOF) {
			return t.ended(g, object.Size)
		}
		if err != nil {
			return err
		}
	}
}

// ended judges a body that ended.
func (t *transfer) ended(g *segment.Segment, size int64) error {
	switch {
	case size < 0:
		t.segs.SetSize(g.At)
	case t.segs.Limit(g, 1) > 0:
		return &failure.SizeError{Want: size, Got: g.At}
	}
	return nil
}

// end finishes a body that delivered everything wanted, so that its connection can be
// reused. One that goes on, because others fetch the rest, is just closed.
func (t *transfer) end(body io.Reader, at, reach int64) error {
	if at < reach {
		return nil
	}
	var one [1]byte
	if n, err := io.ReadFull(body, one[:]); n > 0 {
		return &failure.SizeError{Want: reach, Got: reach + 1}
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (t *transfer) write(g *segment.Segment, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	at := g.At
	n, err := t.file.WriteAt(b, at)
	t.digest.Written(at, b[:n])
	t.noteProgress(n)
	since := t.segs.Written(g, n)
	c := t.source()
	c.Budget.Progress(n)
	t.p.s.Observer.Received(c.Name(), int64(n))
	t.p.progress.Fetched.Add(int64(n))
	if err != nil {
		return t.p.spaceError(err, max(t.meta.Size-t.segs.Have(), int64(len(b)-n)))
	}
	t.p.s.at("written")
	t.p.noteWritten(t, since)
	return nil
}
