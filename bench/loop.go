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

	"golang.org/x/sys/unix"
)

// loop is the tight loop, the least that a verified download over net/http can cost: N workers fetch over HTTP/1.1 with keep-alive, hash
// and write. It has no state, no temporary names, no sync, no retry and no time limit, and it trusts the manifest's
// paths. A worker makes one request object, fills its buffer before it writes, and creates each folder once.
type loop struct {
	base      *url.URL // of the version, with a slash at the end
	dir       string
	transport *http.Transport
	lines     [][]byte // of the manifest
	next      atomic.Int64
	folders   sync.Map // path → struct{}
	result    outcome
}

// bareLoop runs the loop and prints its outcome.
func bareLoop(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("loop", flag.ContinueOnError)
	site := flags.String("url", "", "server")
	dir := flags.String("dir", "", "where the files go")
	connections := flags.Int("connections", 16, "workers")
	plain := flags.Bool("plain", false, "the plain loop in place of the tight one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	stop, err := startProfile()
	if err != nil {
		return err
	}
	defer stop()
	base, err := url.Parse(*site + "/files/" + demo.Dataset + "/" + demo.Version + "/")
	if err != nil {
		return err
	}
	l := &loop{base: base, dir: *dir, transport: &http.Transport{
		MaxIdleConnsPerHost: *connections, DisableCompression: true, ReadBufferSize: 64 << 10,
	}}
	defer l.transport.CloseIdleConnections()
	if err := l.fetchManifest(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range *connections {
		workers.Go(func() {
			work := l.work
			if *plain {
				work = l.workPlain
			}
			if err := work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(&l.result)
}

func (l *loop) fetchManifest(ctx context.Context) error {
	res, err := l.transport.RoundTrip(l.request(ctx, "SHA256SUMS.txt"))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	text, err := io.ReadAll(res.Body)
	l.lines = bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return err
}

func (l *loop) request(ctx context.Context, path string) *http.Request {
	u := *l.base
	u.Path += path
	request := &http.Request{
		Method: http.MethodGet, URL: &u, Host: u.Host, Header: http.Header{"User-Agent": {"Wget/1.21 (bare loop)"}},
	}
	return request.WithContext(ctx)
}

// work fetches lines until there are no more.
func (l *loop) work(ctx context.Context) error {
	request, buf, sum := l.request(ctx, ""), make([]byte, 256<<10), sha256.New()
	var want, got [sha256.Size]byte
	for {
		i := l.next.Add(1) - 1
		if i >= int64(len(l.lines)) {
			return nil
		}
		line := l.lines[i]
		if len(line) < 2*sha256.Size+2 {
			return fmt.Errorf("line %d of the manifest is too short", i+1)
		}
		if _, err := hex.Decode(want[:], line[:2*sha256.Size]); err != nil {
			return err
		}
		path := string(line[2*sha256.Size+1:])
		request.URL.Path = l.base.Path + path
		n, err := l.fetch(request, path, buf, sum)
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

// fetch writes one file, straight to its name, and hashes it on the way.
func (l *loop) fetch(request *http.Request, path string, buf []byte, sum hash.Hash) (n int64, err error) {
	res, err := l.transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	if res.StatusCode != http.StatusOK {
		return 0, errors.New(res.Status)
	}
	fd, err := l.create(filepath.Join(l.dir, path))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	sum.Reset()
	for {
		k, err := io.ReadFull(res.Body, buf)
		sum.Write(buf[:k])
		n += int64(k)
		for b := buf[:k]; len(b) > 0; {
			w, err := unix.Write(fd, b)
			if err != nil {
				return n, err
			}
			b = b[w:]
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if res.ContentLength >= 0 && n != res.ContentLength {
				return n, io.ErrUnexpectedEOF
			}
			return n, nil
		case err != nil:
			return n, err
		}
	}
}

func (l *loop) create(name string) (int, error) {
	folder := filepath.Dir(name)
	if !l.known(folder) {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return 0, err
		}
		l.folders.Store(folder, struct{}{})
	}
	return unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
}
