//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"mimicsync/manifest"
)

// checkTree reads a tree anew and prints how many of its files are what the manifest says: no client is believed. It uses
// all processors, and their instructions for SHA-256, which Debian's sha256sum does not.
func checkTree(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	sums := flags.String("manifest", "", "SHA256SUMS.txt")
	dir := flags.String("dir", "", "folder of the files")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f, err := os.Open(*sums)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	entries := make(chan manifest.Entry, 256)
	var result outcome
	var readers sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			sum, buf := sha256.New(), make([]byte, 256<<10)
			for e := range entries {
				n, right := isRight(filepath.Join(*dir, filepath.FromSlash(e.Path)), e.Digest, sum, buf)
				if right {
					atomic.AddInt64(&result.Files, 1)
					atomic.AddInt64(&result.Bytes, n)
				}
			}
		})
	}
	err = readEntries(ctx, f, entries)
	close(entries)
	readers.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w", *sums, err)
	}
	return json.NewEncoder(os.Stdout).Encode(&result)
}

// isRight hashes a file. One that cannot be read is not right.
func isRight(name string, want manifest.Digest, sum hash.Hash, buf []byte) (int64, bool) {
	f, err := os.Open(name)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }() // opened for reading only
	sum.Reset()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{f}, buf) // hides WriterTo, which has a buffer of its own
	var got manifest.Digest
	sum.Sum(got[:0])
	return n, err == nil && got == want
}

func readEntries(ctx context.Context, f io.Reader, to chan<- manifest.Entry) error {
	r := manifest.NewReader(f)
	for ctx.Err() == nil {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		to <- e
	}
	return context.Cause(ctx)
}
