//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"mimicsync/downloader/lookalike"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

// published is a corpus on the disk, as nginx serves it.
type published struct {
	corpus
	dir      string // of the version
	manifest string // a file
	files    int64
	bytes    int64
}

// publish makes sure that a corpus is under root, in files/<dataset>/<version>/. One that is there is used again: its
// manifest is written last.
func publish(ctx context.Context, root string, c corpus) (*published, error) {
	dir := filepath.Join(root, "files", c.name, version)
	generated := lookalike.Generated(c.files())
	p := &published{corpus: c, dir: dir, manifest: filepath.Join(dir, manifest.Name), files: int64(generated.Len()), bytes: generated.Bytes()}
	if _, err := os.Stat(p.manifest); err == nil {
		return p, warm(ctx, p, generated)
	}
	fmt.Fprintf(os.Stderr, "bench: makes the corpus %s: %s, %s\n", c.name, c.about, megabytes(p.bytes))
	write := func(name string, buf []byte) error { return writeOut(dir, generated, name, buf) }
	if err := forEach(ctx, generated, write); err != nil {
		return nil, err
	}
	return p, durable.WriteFile(p.manifest, generated.Manifest())
}

// warm reads a corpus once, so that the first client does not pay for the disk.
func warm(ctx context.Context, p *published, generated *lookalike.GeneratedFS) error {
	return forEach(ctx, generated, func(name string, buf []byte) error {
		f, err := os.Open(filepath.Join(p.dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
		return errors.Join(err, f.Close())
	})
}

// forEach calls do for every file, on all processors, with a buffer to use.
func forEach(ctx context.Context, fsys fs.FS, do func(name string, buf []byte) error) error {
	group, ctx := errgroup.WithContext(ctx)
	names := make(chan string)
	group.Go(func() error {
		defer close(names)
		return fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			select {
			case names <- name:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			buf := make([]byte, 1<<20)
			for name := range names {
				if err := do(name, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func writeOut(dir string, from fs.FS, name string, buf []byte) (err error) {
	src, err := from.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // it exists as its description only
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	dst, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	fi, err := src.Stat()
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf); err != nil {
		return err
	}
	return os.Chtimes(file, fi.ModTime(), fi.ModTime())
}
