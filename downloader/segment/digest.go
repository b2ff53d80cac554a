package segment

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"mimicsync/manifest"
)

// followStep is how much is read back and hashed at a time, while the lock is held.
const followStep = 256 << 10

// Digest is the running digest of a partial: over its bytes in order, each once. Bytes
// written at its position are hashed from the writer's buffer; bytes written ahead are read
// back, from the page cache unless they are far ahead.
type Digest struct {
	mu  sync.Mutex
	sum hash.Hash
	n   int64 // bytes hashed

	grown     chan struct{} // holds a token when there may be more to read back
	buf       []byte        // for reading back, allocated when needed
	following sync.WaitGroup
	stop      chan struct{} // nil while nobody follows
}

// NewDigest returns the digest of no bytes.
func NewDigest() *Digest { return &Digest{sum: sha256.New(), grown: make(chan struct{}, 1)} }

// Reset starts again from no bytes.
func (d *Digest) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sum.Reset()
	d.n = 0
}

// Written tells the digest of bytes written at an offset.
func (d *Digest) Written(at int64, b []byte) {
	if d.mu.TryLock() { // otherwise the follower is at work, and will get here
		if d.n == at {
			d.sum.Write(b)
			d.n += int64(len(b))
		}
		d.mu.Unlock()
	}
	select {
	case d.grown <- struct{}{}:
	default:
	}
}

// catchUp hashes the bytes in the file up to a position.
func (d *Digest) catchUp(f *os.File, to int64) error {
	for {
		more, err := d.step(f, to)
		if err != nil || !more {
			return err
		}
	}
}

// step reads back one piece, and reports whether there may be more.
func (d *Digest) step(f *os.File, to int64) (more bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n >= to {
		return false, nil
	}
	if d.buf == nil {
		d.buf = make([]byte, followStep)
	}
	b := d.buf[:min(int64(len(d.buf)), to-d.n)]
	if n, err := f.ReadAt(b, d.n); n < len(b) {
		if err == io.EOF { //nolint:errorlint // as io.ReaderAt has it
			err = fmt.Errorf("the partial ends after %d bytes, %d were written: %w", d.n+int64(n), to, io.ErrUnexpectedEOF)
		}
		return false, err
	}
	d.sum.Write(b)
	d.n += int64(len(b))
	return true, nil
}

// Follow hashes in the background what is written, up to front(). An error ends it: the
// next caller of Of gets the error again.
func (d *Digest) Follow(f *os.File, front func() int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		return
	}
	stop := make(chan struct{})
	d.stop = stop
	d.following.Go(func() {
		for {
			for more, err := true, error(nil); more; {
				select {
				case <-stop:
					return
				default:
				}
				if more, err = d.step(f, front()); err != nil {
					return
				}
			}
			select {
			case <-stop:
				return
			case <-d.grown:
			}
		}
	})
}

// Unfollow ends Follow, before the file is closed or truncated.
func (d *Digest) Unfollow() {
	d.mu.Lock()
	stop := d.stop
	d.stop = nil
	d.mu.Unlock()
	if stop != nil {
		close(stop)
		d.following.Wait()
	}
}

// Of returns the digest of the first n bytes of the file.
func (d *Digest) Of(f *os.File, n int64) (got manifest.Digest, err error) {
	if err := d.catchUp(f, n); err != nil {
		return got, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sum.Sum(got[:0])
	return got, nil
}
