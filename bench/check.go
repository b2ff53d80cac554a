//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"mimicsync/manifest"
)

// checkTree reads a tree anew and prints how many of its files are what the manifest says: neither client is believed.
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
			for e := range entries {
				data, err := os.ReadFile(filepath.Join(*dir, filepath.FromSlash(e.Path)))
				if err == nil && sha256.Sum256(data) == e.Digest {
					atomic.AddInt64(&result.Files, 1)
					atomic.AddInt64(&result.Bytes, int64(len(data)))
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
