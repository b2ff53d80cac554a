package downloader

import (
	"context"
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

// scratch is what a worker uses for one transfer after the other.
type scratch struct {
	buf []byte
	sum hash.Hash
}

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
func (p *pass) fetch(ctx context.Context, e manifest.Entry, work *scratch) (done *committed, err error) {
	t, err := p.newTransfer(e, work)
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
		err := t.attempt(ctx, work.buf)
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
	if t.have > 0 && (errors.Is(err, ErrRange) || errors.Is(err, ErrChanged)) {
		return t.startOver(ctx, err.Error())
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
	n, err := t.file.WriteAt(b, t.have)
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
		how:    fetched, partial: true,
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
