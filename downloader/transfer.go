package downloader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

const (
	// bufferSize is what a worker collects before it writes: TLS hands out at
	// most 16 KiB a read, and writing those one by one costs a quarter.
	bufferSize = 512 << 10
	// flushAfter bounds how long bytes that came wait in the buffer, so that a
	// kill loses no more on a slow line than on a fast one.
	flushAfter = 250 * time.Millisecond
	// preallocateFrom is the size from which reserving room pays.
	preallocateFrom = 1 << 20
	// registerFrom is the size from which a partial is recorded before its
	// first byte: a smaller one is lost whole by a kill in its first 2 s.
	registerFrom = 4 << 20
	// checkpointEvery and checkpointBytes bound what a kill can cost, see
	// DESIGN promise 3. Smaller steps are taken too, by a clean end.
	checkpointEvery = 2 * time.Second
	checkpointBytes = 8 << 20
	// overlap is how much of bytes without a validator is fetched again, to
	// see whether the rest fits to them.
	overlap = 64 << 10
)

// transfer is one object on its way into its partial.
type transfer struct {
	p     *pass
	entry manifest.Entry
	file  *os.File
	sum   hash.Hash // over the first `have` bytes of file
	have  int64

	metaMu sync.Mutex    // guards meta, which the checkpointer reads
	meta   store.Partial // as it will be recorded next; the worker alone changes it

	// written is have, for the checkpointer to read while the worker writes.
	written  atomic.Int64
	marked   atomic.Int64 // written at the last checkpoint
	recorded bool         // the store knows the partial; guarded by p.checkpoints
	onList   bool         // the checkpointer knows it; owned by the worker
	started  time.Time
	strays   int // answers with other bytes than were asked for
}

// fetch brings an entry's bytes into its partial and verifies them. On success
// the partial is whole and its digest is right; its bytes are not durable yet.
func (p *pass) fetch(ctx context.Context, e manifest.Entry, buf []byte) (done *committed, err error) {
	t, err := p.newTransfer(e)
	if err != nil {
		return nil, err
	}
	defer func() {
		if done == nil {
			err = errors.Join(err, t.abandon())
		}
	}()
	if t.have > 0 && t.digest() == e.Digest {
		return t.finish() // it was whole when the process before ended
	}
	patience := newPatience(p.s.Budget)
	err = patience.persist(ctx, func() (bool, error) {
		before := t.have
		err := t.attempt(ctx, buf)
		return t.have > before+overlap, err
	}, func(err error, wait time.Duration) {
		p.progress.Retries.Add(1)
		p.s.Logger.WarnContext(ctx, "retry", "dataset", p.ref.String(), "object", e.Path, "wait", wait, "err", err)
	})
	if err != nil {
		return nil, err
	}
	return t.finish()
}

// newTransfer opens the entry's partial and finds out how much of it is there.
func (p *pass) newTransfer(e manifest.Entry) (*transfer, error) {
	t := &transfer{p: p, entry: e, sum: sha256.New(), started: time.Now()}
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
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	n, err := io.CopyBuffer(t.sum, struct{ io.Reader }{t.file}, make([]byte, 256<<10))
	if err != nil {
		return err
	}
	if n != have {
		return fmt.Errorf("partial of %s: read %d bytes, want %d", t.entry.Path, n, have)
	}
	t.setHave(have)
	return nil
}

func (t *transfer) setHave(n int64) {
	t.have = n
	t.written.Store(n)
}

// attempt makes a request and reads its body to the end; a second request
// follows at once when what was here turned out to be of no use.
func (t *transfer) attempt(ctx context.Context, buf []byte) error {
	p := t.p
	if err := p.s.Budget.Acquire(ctx); err != nil {
		return err
	}
	p.progress.Connections.Add(1)
	watched, dog := watch(ctx, p.s.IdleTimeout)
	err := t.exchange(watched, dog, buf)
	if errors.Is(err, errRestart) {
		err = t.exchange(watched, dog, buf)
	}
	if errors.Is(context.Cause(watched), ErrStalled) && err != nil {
		err = fmt.Errorf("%w for %s", ErrStalled, p.s.IdleTimeout)
	}
	dog.end()
	p.progress.Connections.Add(-1)
	p.s.release(err)
	return err
}

func (t *transfer) exchange(ctx context.Context, dog *watchdog, buf []byte) error {
	from := t.have
	if t.meta.Validator == "" {
		from -= min(from, overlap)
	}
	object, err := t.p.s.Source.Open(ctx, Request{Ref: t.p.ref, Path: t.entry.Path, Offset: from, Validator: t.meta.Validator})
	if errors.Is(err, ErrRange) && t.have > 0 {
		return t.startOver(ctx, "the object is shorter than what is here")
	}
	if err != nil {
		return err
	}
	defer func() { _ = object.Body.Close() }() // its content is judged by length and digest
	dog.heard()
	if err := t.accept(ctx, object, from); err != nil {
		return err
	}
	if err := t.copy(object.Body, dog, buf); err != nil {
		return err
	}
	if object.Size >= 0 && t.have != object.Size {
		return &SizeError{Want: object.Size, Got: t.have}
	}
	if got := t.digest(); got != t.entry.Digest {
		mismatch := &MismatchError{Path: t.entry.Path, Want: t.entry.Digest, Got: got, Size: t.have}
		return errors.Join(mismatch, t.discard(ctx, "wrong digest"))
	}
	return nil
}

// digest is that of the first `have` bytes.
func (t *transfer) digest() (d manifest.Digest) {
	t.sum.Sum(d[:0])
	return d
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

// reserve asks for the room of a big object before a byte is paid for, and
// records the partial, so that a kill finds it.
func (t *transfer) reserve(object *Object) error {
	left := object.Size - t.have
	if object.Size < 0 || left < preallocateFrom {
		return nil
	}
	fi, err := t.file.Stat()
	if err != nil {
		return err
	}
	reserved := max(durable.Allocated(fi)-t.have, 0) // by an attempt before
	if space, err := t.p.s.Tree.free(); err == nil && space.Bytes+reserved < left {
		return &SpaceError{Need: left - reserved, Free: space.Bytes}
	}
	if err := durable.Preallocate(t.file, object.Size); err != nil && !errors.Is(err, durable.ErrUnsupported) {
		return t.p.spaceError(err, left)
	}
	if left < registerFrom {
		return nil
	}
	return t.p.checkpointOne(t)
}

// copy writes the body to the partial and hashes it on the way.
func (t *transfer) copy(body io.Reader, dog *watchdog, buf []byte) error {
	if _, err := t.file.Seek(t.have, io.SeekStart); err != nil {
		return err
	}
	filled, flushed := 0, time.Now()
	for {
		n, err := body.Read(buf[filled:])
		filled += n
		if n > 0 {
			dog.heard()
		}
		if now := time.Now(); filled == len(buf) || err != nil || now.Sub(flushed) > flushAfter {
			if werr := t.write(buf[:filled]); werr != nil {
				return werr
			}
			filled, flushed = 0, now
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *transfer) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := t.file.Write(b)
	t.sum.Write(b[:n])
	t.setHave(t.have + int64(n))
	t.p.s.Budget.Progress(n)
	t.p.progress.Fetched.Add(int64(n))
	if err != nil {
		return t.p.spaceError(err, max(t.meta.Size-t.have, int64(len(b)-n)))
	}
	t.p.s.at("written")
	t.p.noteWritten(t)
	return nil
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
	if err := t.file.Truncate(0); err != nil {
		return err
	}
	_, err := t.file.Seek(0, io.SeekStart)
	return err
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

// finish closes the verified partial and describes its commit.
func (t *transfer) finish() (*committed, error) {
	t.p.s.at("verified")
	t.p.leave(t)
	fi, err := t.p.s.Tree.stamp(t.file, t.entry.Digest, t.meta.Modified)
	if err != nil {
		return nil, err
	}
	if err := t.file.Close(); err != nil {
		return nil, err
	}
	return &committed{
		entry:  t.entry,
		record: store.Record{Size: fi.Size(), ModTime: fi.ModTime(), Verified: time.Now()},
		from:   partialName(t.entry.Digest),
		how:    fetched,
	}, nil
}

// abandon closes the partial of a transfer that did not succeed, and keeps
// what has come of it for the next pass.
func (t *transfer) abandon() error {
	t.p.leave(t)
	if t.have == 0 {
		err := errors.Join(t.file.Close(), t.p.s.Tree.removePartial(t.entry.Digest))
		if errors.Is(err, fs.ErrClosed) {
			return nil
		}
		return err
	}
	// What was reserved for the rest is given back.
	err := errors.Join(t.file.Truncate(t.have), t.p.checkpointOne(t))
	if errors.Is(err, syscall.ENOSPC) {
		err = nil // said already, and a big partial has had its record since its first byte
	}
	if t.recorded {
		t.p.s.keepPartial(t.meta)
	}
	return errors.Join(err, t.file.Close())
}
