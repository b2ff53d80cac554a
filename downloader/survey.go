package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// standing is the state of an entry before a pass acts on it.
type standing uint8

const (
	absent    standing = iota // no file
	present                   // a record, and a file that matches it
	unknown                   // a file without a record, or unlike its record
	unsafe                    // its path must not be used, or it has no digest
	symlinked                 // a symlink in its place
	conflict                  // its path can't exist beside that of another entry
)

// surveyed is an entry with its standing.
type surveyed struct {
	manifest.Entry
	index    int64 // of the entry in the manifest, from 0
	standing standing
	recorded bool
	record   store.Record // if recorded
	why      error        // for unsafe, symlinked and conflict
}

// surveyChunk is how many entries are checked together.
const surveyChunk = 2048

// survey calls visit for each selected entry of the manifest in force, in order, with its
// standing. It makes no request and changes nothing.
func (p *pass) survey(ctx context.Context, visit func(*surveyed) error) error {
	if err := p.s.Tree.SymlinkAt(tree.VersionDir(p.ref), false); err != nil {
		return err
	}
	f, err := p.openManifest()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	s := &surveyor{p: p, reader: manifest.NewReader(f), anyFile: p.s.Tree.Has(p.ref), conflicts: map[string]manifest.Collision{}}
	for _, c := range p.version.Manifest.Conflicts {
		if p.s.Tree.Collides(c) {
			s.conflicts[c.Path] = c
		}
	}
	for {
		chunk, err := s.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := range chunk {
			if err := visit(&chunk[i]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// surveyor walks the manifest and the records in parallel; both are in the order of
// offsets.
type surveyor struct {
	p         *pass
	reader    *manifest.Reader
	index     int64
	anyFile   bool // the version has a folder, so files may exist
	conflicts map[string]manifest.Collision

	chunk   []surveyed
	records []store.Located // not merged yet
	from    int64           // the offset to continue from
	drained bool            // no more records
}

// next returns the next entries, and io.EOF with the last ones.
func (s *surveyor) next() ([]surveyed, error) {
	s.chunk = s.chunk[:0]
	var end error
	for len(s.chunk) < surveyChunk {
		e, err := s.reader.Next()
		if err != nil {
			end = err
			break
		}
		item := surveyed{Entry: e, index: s.index}
		s.index++
		if s.p.selection.Match(e.Path) {
			s.chunk = append(s.chunk, item)
		}
	}
	if end != nil && !errors.Is(end, io.EOF) {
		return nil, fmt.Errorf("%w: %w", failure.ErrManifest, end)
	}
	if err := s.merge(); err != nil {
		return nil, err
	}
	s.look()
	return s.chunk, end
}

// merge adds the records to the entries of the chunk.
func (s *surveyor) merge() error {
	for i := range s.chunk {
		item := &s.chunk[i]
		for {
			if len(s.records) == 0 && !s.drained {
				var err error
				if s.records, err = s.p.s.Store.Records(s.p.version.ID, max(s.from, item.Offset), surveyChunk, s.records[:0]); err != nil {
					return err
				}
				if s.drained = len(s.records) == 0; !s.drained {
					s.from = s.records[len(s.records)-1].Offset + 1
				}
			}
			if len(s.records) == 0 || s.records[0].Offset >= item.Offset {
				break
			}
			s.records = s.records[1:]
		}
		if len(s.records) > 0 && s.records[0].Offset == item.Offset {
			item.recorded, item.record = true, s.records[0].Record
			s.records = s.records[1:]
		}
	}
	return nil
}

// look compares the chunk with the tree, on all processors: the calls wait for the disk if
// the metadata isn't cached.
func (s *surveyor) look() {
	workers := 2 * runtime.GOMAXPROCS(0)
	size := (len(s.chunk) + workers - 1) / workers
	var wg sync.WaitGroup
	for lo := 0; lo < len(s.chunk); lo += size {
		part := s.chunk[lo:min(lo+size, len(s.chunk))]
		wg.Go(func() {
			for i := range part {
				s.stand(&part[i])
			}
		})
	}
	wg.Wait()
}

func (s *surveyor) stand(item *surveyed) {
	if err := manifest.CheckPath(item.Path); err != nil {
		item.standing, item.why = unsafe, err
		return
	}
	if item.Digest == (manifest.Digest{}) { // the digest of nothing; a record of it would be a bug
		item.standing, item.why = unsafe, fmt.Errorf("%w for this file: it has zeros in place of its digest", failure.ErrManifest)
		return
	}
	if c, ok := s.conflicts[item.Path]; ok {
		item.standing = conflict
		item.why = fmt.Errorf("%w: the manifest also lists %q, and both cannot be in one folder here", manifest.ErrUnsafePath, c.With)
		if c.Path == c.With {
			item.why = fmt.Errorf("%w: the manifest lists it twice, with different digests", manifest.ErrUnsafePath)
		}
		return
	}
	if !s.anyFile {
		return
	}
	fi, err := s.p.s.Tree.Stat(s.p.ref, item.Path)
	switch {
	case err == nil && item.recorded && tree.Matches(fi, item.record):
		item.standing = present
	case err == nil && fi.Mode()&fs.ModeSymlink != 0:
		item.standing, item.why = symlinked, &tree.SymlinkError{Path: s.p.s.Tree.Name(s.p.ref, item.Path)}
	case err == nil || !errors.Is(err, os.ErrNotExist):
		item.standing = unknown
	}
}

// openManifest opens the mirror's own copy of the manifest in force.
func (p *pass) openManifest() (*os.File, error) {
	return p.s.Tree.OpenManifest(p.version.Manifest.Digest)
}
