package lookalike

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"sync"
)

// Sums returns the SHA256SUMS.txt of all regular files of a file system, but not of a SHA256SUMS.txt at its root: a line of digest,
// one space and path for each, sorted by the bytes of the path. It is what PhysioNet makes when a version is published.
func Sums(fsys fs.FS) ([]byte, error) {
	var names []string
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && name != manifestName {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return sumAll(fsys, names)
}

// sumAll writes the lines of these files, in this order. It hashes runs of files on all processors.
func sumAll(fsys fs.FS, names []string) ([]byte, error) {
	workers := runtime.GOMAXPROCS(0)
	size := max(1, min(1024, len(names)/(4*workers)))
	runs := slices.Collect(slices.Chunk(names, size))
	lines := make([][]byte, len(runs))
	errs := make([]error, len(runs))
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				lines[i], errs[i] = sumRun(fsys, runs[i])
			}
		})
	}
	for i := range runs {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return bytes.Join(lines, nil), nil
}

func sumRun(fsys fs.FS, names []string) ([]byte, error) {
	var out []byte
	h := sha256.New()
	buf, _ := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for _, name := range names {
		f, err := fsys.Open(name)
		if err != nil {
			return nil, err
		}
		h.Reset()
		_, err = io.CopyBuffer(h, struct{ io.Reader }{f}, *buf)
		_ = f.Close() // opened for reading
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out = hex.AppendEncode(out, h.Sum(nil))
		out = append(out, ' ')
		out = append(out, name...)
		out = append(out, '\n')
	}
	return out, nil
}
