//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// workPlain is what one writes in Go in an hour: http.Client, os.MkdirAll, os.Create, a buffer that is filled before each
// write. It has no state and no sync either. The bare loop beside it drops http.Client, makes one request object a worker
// and calls the kernel itself.
func (l *loop) workPlain(ctx context.Context) error {
	client := &http.Client{Transport: l.transport}
	buf, sum := make([]byte, 1<<20), sha256.New()
	for {
		i := l.next.Add(1) - 1
		if i >= int64(len(l.lines)) {
			return nil
		}
		want, path, _ := strings.Cut(string(l.lines[i]), " ")
		n, err := l.fetchPlain(ctx, client, path, buf, sum)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if hex.EncodeToString(sum.Sum(nil)) != want {
			return fmt.Errorf("%s: wrong digest", path)
		}
		atomic.AddInt64(&l.result.Files, 1)
		atomic.AddInt64(&l.result.Bytes, n)
	}
}

func (l *loop) fetchPlain(ctx context.Context, client *http.Client, path string, buf []byte, sum hash.Hash) (n int64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base.JoinPath(path).String(), http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header = l.header
	res, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	if res.StatusCode != http.StatusOK {
		return 0, errors.New(res.Status)
	}
	name := filepath.Join(l.dir, path)
	if folder := filepath.Dir(name); !l.known(folder) {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return 0, err
		}
		l.folders.Store(folder, struct{}{})
	}
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum.Reset()
	for {
		k, rerr := io.ReadFull(res.Body, buf)
		sum.Write(buf[:k])
		if _, err := f.Write(buf[:k]); err != nil {
			return n, err
		}
		n += int64(k)
		switch {
		case errors.Is(rerr, io.EOF), errors.Is(rerr, io.ErrUnexpectedEOF):
			if res.ContentLength >= 0 && n != res.ContentLength {
				return n, io.ErrUnexpectedEOF
			}
			return n, nil
		case rerr != nil:
			return n, rerr
		}
	}
}

func (l *loop) known(folder string) bool {
	_, ok := l.folders.Load(folder)
	return ok
}
