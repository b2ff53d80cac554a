//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// chunkSize is small enough that all connections end together, and big enough that a request costs nothing beside it.
const chunkSize = 4 << 20

// spread is a file that the bare loop fetches as byte ranges over all its connections. Its digest follows the front, out of
// the page cache.
type spread struct {
	path   string
	want   [sha256.Size]byte
	fd     int
	size   int64
	sized  chan struct{}   // closed when fd, size and chunks are set
	chunks []chan struct{} // each closed when its bytes are written
}

// chunk is the i-th range of a file.
type chunk struct {
	of *spread
	i  int64
}

// startChunks returns the work of one connection. The first range of each file tells how many more there are.
func (l *loop) startChunks(ctx context.Context) func(context.Context) error {
	queue := make(chan chunk, 1<<16) // enough for 256 GB
	digests, hashing := errgroup.WithContext(ctx)
	var broken error
	files := make([]*spread, len(l.lines))
	for i := range files {
		f := &spread{sized: make(chan struct{})}
		if f.path, f.want, broken = l.line(int64(i)); broken != nil {
			return func(context.Context) error { return broken }
		}
		files[i] = f
		queue <- chunk{f, 0}
	}
	for _, f := range files {
		digests.Go(func() error { return l.follow(hashing, f) })
	}
	ended := make(chan error, 1)
	go func() {
		ended <- digests.Wait()
		close(queue)
	}()
	return func(ctx context.Context) error {
		buf := make([]byte, loopBuffer)
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case c, more := <-queue:
				if !more {
					err := <-ended
					ended <- err
					return err
				}
				if err := l.fetchChunk(ctx, c, queue, buf); err != nil {
					return fmt.Errorf("%s: %w", c.of.path, err)
				}
			}
		}
	}
}

func (l *loop) fetchChunk(ctx context.Context, c chunk, queue chan<- chunk, buf []byte) error {
	from := c.i * chunkSize
	request := l.request(ctx, c.of.path)
	request.Header = request.Header.Clone()
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+chunkSize-1))
	res, err := l.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	if res.StatusCode != http.StatusPartialContent {
		return errors.New(res.Status)
	}
	if c.i == 0 {
		_, total, _ := strings.Cut(res.Header.Get("Content-Range"), "/")
		if err := l.spread(c.of, total, queue); err != nil {
			return err
		}
	}
	size := min(chunkSize, c.of.size-from)
	err = copyFilled(res.Body, buf, size, func(b []byte, at int64) error { return writeAt(c.of.fd, b, from+at) })
	if err == nil {
		close(c.of.chunks[c.i])
	}
	return err
}

// spread makes room for a file and lines up its other chunks.
func (l *loop) spread(f *spread, total string, queue chan<- chunk) (err error) {
	if f.size, err = strconv.ParseInt(total, 10, 64); err != nil {
		return err
	}
	if f.fd, err = l.create(filepath.Join(l.dir, f.path)); err != nil {
		return err
	}
	if err := unix.Fallocate(f.fd, 0, 0, f.size); err != nil {
		return err
	}
	f.chunks = make([]chan struct{}, (f.size+chunkSize-1)/chunkSize)
	for i := range f.chunks {
		f.chunks[i] = make(chan struct{})
	}
	close(f.sized)
	for i := range f.chunks[1:] {
		queue <- chunk{f, int64(i) + 1}
	}
	return nil
}

// follow hashes a file as its front moves on, and closes it.
func (l *loop) follow(ctx context.Context, f *spread) error {
	if !await(ctx, f.sized) {
		return context.Cause(ctx)
	}
	sum, buf := sha256.New(), make([]byte, loopBuffer)
	for i, done := range f.chunks {
		if !await(ctx, done) {
			return context.Cause(ctx)
		}
		end := min(f.size, int64(i+1)*chunkSize)
		for at := int64(i) * chunkSize; at < end; {
			n, err := unix.Pread(f.fd, buf[:min(int64(len(buf)), end-at)], at)
			if err != nil || n == 0 {
				return fmt.Errorf("read %s at %d: %d bytes, %w", f.path, at, n, err)
			}
			sum.Write(buf[:n])
			at += int64(n)
		}
	}
	if [sha256.Size]byte(sum.Sum(nil)) != f.want {
		return fmt.Errorf("%s: wrong digest", f.path)
	}
	atomic.AddInt64(&l.result.Files, 1)
	atomic.AddInt64(&l.result.Bytes, f.size)
	return unix.Close(f.fd)
}

func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
