//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// loop is the bare loop, the least that a verified download over net/http can cost: N workers fetch over HTTP/1.1 with
// keep-alive, hash and write. It has no state, no temporary names, no sync, no retry and no time limit, and it trusts the
// manifest's paths. A worker makes one request object, fills its buffer before it writes, and creates each folder once.
type loop struct {
	base      *url.URL // of the version, with a slash at the end
	header    http.Header
	dir       string
	transport *http.Transport
	lines     [][]byte // of the manifest
	next      atomic.Int64
	folders   sync.Map // path → struct{}
	result    outcome
}

const (
	loopBuffer = 512 << 10
	// loopFallocate is the size from which reserving room pays.
	loopFallocate = 1 << 20
)

// bareLoop runs the loop and prints its outcome.
func bareLoop(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("loop", flag.ContinueOnError)
	site := flags.String("url", "", "of the version")
	dir := flags.String("dir", "", "where the files go")
	connections := flags.Int("connections", 16, "workers")
	chunks := flags.Bool("chunks", false, "fetch each file as byte ranges, for a few big ones")
	only := flags.Bool("manifest", false, "fetch the manifest only")
	plain := flags.Bool("plain", false, "be the plain loop")
	sync := flags.Bool("sync", false, "make all durable at the end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	stop, err := startProfile()
	if err != nil {
		return err
	}
	defer stop()
	base, err := url.Parse(*site + "/")
	if err != nil {
		return err
	}
	login := http.Request{Header: http.Header{"User-Agent": {"Wget/1.21 (bare loop)"}}}
	login.SetBasicAuth(os.Getenv("PHYSIONET_USERNAME"), os.Getenv("PHYSIONET_PASSWORD"))
	l := &loop{base: base, header: login.Header, dir: *dir, transport: &http.Transport{
		MaxIdleConnsPerHost: *connections, MaxConnsPerHost: *connections, DisableCompression: true, ReadBufferSize: 64 << 10,
	}}
	defer l.transport.CloseIdleConnections()
	if err := l.fetchManifest(ctx); err != nil || *only {
		return err
	}
	work := l.work
	switch {
	case *plain:
		work = l.workPlain
	case *chunks:
		work = l.startChunks(ctx)
	}
	group, ctx := errgroup.WithContext(ctx)
	for range *connections {
		group.Go(func() error { return work(ctx) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if *sync {
		if err := l.sync(); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(&l.result)
}

// sync makes everything durable in one call: the least that a download which is to survive a power cut can cost.
func (l *loop) sync() error {
	dir, err := os.Open(l.dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // opened for reading only
	return unix.Syncfs(int(dir.Fd()))
}

func (l *loop) fetchManifest(ctx context.Context) error {
	res, err := l.transport.RoundTrip(l.request(ctx, "SHA256SUMS.txt"))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	return l.readManifest(res.Body)
}

func (l *loop) readManifest(body io.Reader) error {
	text, err := io.ReadAll(body)
	l.lines = bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return err
}

func (l *loop) request(ctx context.Context, path string) *http.Request {
	u := *l.base
	u.Path += path
	request := &http.Request{Method: http.MethodGet, URL: &u, Host: u.Host, Header: l.header}
	return request.WithContext(ctx)
}

// line returns what the i-th line of the manifest says.
func (l *loop) line(i int64) (path string, want [sha256.Size]byte, err error) {
	line := l.lines[i]
	if len(line) < 2*sha256.Size+2 {
		return "", want, fmt.Errorf("line %d of the manifest is too short", i+1)
	}
	_, err = hex.Decode(want[:], line[:2*sha256.Size])
	return string(line[2*sha256.Size+1:]), want, err
}

// work fetches lines until there are no more.
func (l *loop) work(ctx context.Context) error {
	request := l.request(ctx, "")
	return l.each(func(path string, buf []byte, sum hash.Hash) (int64, error) {
		request.URL.Path = l.base.Path + path
		return l.fetch(request, path, buf, sum)
	})
}

// each calls fetch for a line after the other, until there are no more, and compares the digests.
func (l *loop) each(fetch func(path string, buf []byte, sum hash.Hash) (int64, error)) error {
	buf, sum := make([]byte, loopBuffer), sha256.New()
	var got [sha256.Size]byte
	for {
		i := l.next.Add(1) - 1
		if i >= int64(len(l.lines)) {
			return nil
		}
		path, want, err := l.line(i)
		if err != nil {
			return err
		}
		n, err := fetch(path, buf, sum)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if sum.Sum(got[:0]); got != want {
			return fmt.Errorf("%s: wrong digest", path)
		}
		atomic.AddInt64(&l.result.Files, 1)
		atomic.AddInt64(&l.result.Bytes, n)
	}
}

// fetch gets one file.
func (l *loop) fetch(request *http.Request, path string, buf []byte, sum hash.Hash) (int64, error) {
	res, err := l.transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	if res.StatusCode != http.StatusOK {
		return 0, errors.New(res.Status)
	}
	return res.ContentLength, l.keep(res.Body, res.ContentLength, path, buf, sum)
}

// keep writes a body of size bytes, straight to its name, and hashes it on the way.
func (l *loop) keep(body io.Reader, size int64, path string, buf []byte, sum hash.Hash) (err error) {
	fd, err := l.create(filepath.Join(l.dir, path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if size >= loopFallocate {
		if err := unix.Fallocate(fd, 0, 0, size); err != nil {
			return err
		}
	}
	sum.Reset()
	return copyFilled(body, buf, size, func(b []byte, at int64) error {
		sum.Write(b)
		return writeAt(fd, b, at)
	})
}

// copyFilled hands over the bytes of a body, size in all, in pieces as big as buf.
func copyFilled(body io.Reader, buf []byte, size int64, piece func(b []byte, at int64) error) error {
	for at := int64(0); at < size; {
		k, err := io.ReadFull(body, buf[:min(int64(len(buf)), size-at)])
		if err != nil {
			return err
		}
		if err := piece(buf[:k], at); err != nil {
			return err
		}
		at += int64(k)
	}
	_, err := body.Read(buf[:1]) // the end, so that the connection is kept
	if !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("the body does not end where it should"), err)
	}
	return nil
}

func writeAt(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, at)
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

func (l *loop) create(name string) (int, error) {
	folder := filepath.Dir(name)
	if _, known := l.folders.Load(folder); !known {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return 0, err
		}
		l.folders.Store(folder, struct{}{})
	}
	return unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
}
