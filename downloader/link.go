package downloader

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/tree"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// maxCopies limits how many records of one digest are checked: thousands of entries may be
// the same empty file.
const maxCopies = 16

// copies finds files of the mirror by digest: in other versions and datasets, of other
// entries of this version, and recorded under its former manifests. Safe for concurrent
// use.
type copies struct {
	p *pass

	mu    sync.Mutex
	known map[uint32]*listed // by record id
}

// listed is a manifest whose records can be looked up.
type listed struct {
	ref  manifest.Ref
	file *os.File // nil if it can't be read
}

// manifestOf returns the manifest of a record id.
func (c *copies) manifestOf(id uint32) (*listed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[uint32]*listed{}
	}
	if l, ok := c.known[id]; ok {
		return l, nil
	}
	versions, err := c.p.s.Store.Versions()
	if err != nil {
		return nil, err
	}
	l := &listed{}
	c.known[id] = l
	open := func(ref manifest.Ref, digest manifest.Digest) {
		if f, err := c.p.s.Tree.OpenManifest(digest); err == nil { // without it the copies are fetched, which is only slower
			l.ref, l.file = ref, f
		}
	}
	for _, v := range versions {
		if v.ID == id {
			open(v.Ref, v.Manifest.Digest)
		}
		for _, f := range v.Former {
			if f.ID == id {
				open(v.Ref, f.Digest)
			}
		}
	}
	return l, nil
}

func (c *copies) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.known {
		if l.file != nil {
			_ = l.file.Close() // opened for reading only
		}
	}
	c.known = nil
}

// found is a place where, by the store, an entry's bytes are.
type found struct {
	store.Located

	ref  manifest.Ref
	path string
}

// of returns the places that the store knows of an entry's digest, or the first of them.
func (c *copies) of(d manifest.Digest) ([]found, error) {
	located, err := c.p.s.Store.Copies(d, store.Located{}, maxCopies)
	if err != nil {
		return nil, err
	}
	return c.find(d, located)
}

// each visits all places that the store knows; the place is nil if no manifest names the
// file.
func (c *copies) each(d manifest.Digest, visit func(at store.Located, place *found) error) error {
	var after store.Located
	for {
		located, err := c.p.s.Store.Copies(d, after, surveyChunk)
		if err != nil || len(located) == 0 {
			return err
		}
		after = located[len(located)-1]
		for _, at := range located {
			place, err := c.findOne(d, at)
			if err != nil {
				return err
			}
			if err := visit(at, place); err != nil {
				return err
			}
		}
	}
}

// find returns where the files of records are.
func (c *copies) find(d manifest.Digest, located []store.Located) ([]found, error) {
	var all []found
	for _, at := range located {
		place, err := c.findOne(d, at)
		if err != nil {
			return nil, err
		}
		if place != nil {
			all = append(all, *place)
		}
	}
	return all, nil
}

// findOne returns where the file of a record is, nil if that is unknown.
func (c *copies) findOne(d manifest.Digest, at store.Located) (*found, error) {
	l, err := c.manifestOf(at.ID)
	if err != nil || l.file == nil {
		return nil, err
	}
	e, err := manifest.EntryAt(l.file, at.Offset)
	if err != nil || e.Digest != d || manifest.CheckPath(e.Path) != nil {
		return nil, nil // the 8 bytes in the store agreed, the whole digest does not
	}
	return &found{at, l.ref, e.Path}, nil
}

// carryOver takes a file as present, without reading it, if a record under a former
// manifest says that this very file was right.
func (c *copies) carryOver(e manifest.Entry, fi fs.FileInfo) *committed {
	places, err := c.of(e.Digest)
	if err != nil {
		return nil // hash it instead
	}
	for _, at := range places {
		if at.ref == c.p.ref && at.path == e.Path && tree.Matches(fi, at.Record) {
			return &committed{entry: e, how: carried, record: at.Record}
		}
	}
	return nil
}

// link takes an entry's file from elsewhere in the mirror: as a hard link, else a reflink,
// else a verified copy. It returns nil if there is none.
func (c *copies) link(e manifest.Entry) (*committed, error) {
	places, err := c.of(e.Digest)
	if err != nil {
		return nil, err
	}
	here := c.p.s.Tree
	for _, at := range places {
		fi, err := here.Stat(at.ref, at.path)
		if err != nil || !tree.Matches(fi, at.Record) {
			continue
		}
		if at.ref == c.p.ref && at.path == e.Path { // the manifest lists it twice
			return &committed{entry: e, how: linked, record: at.Record}, nil
		}
		from := here.Name(at.ref, at.path)
		err = here.Link(from, c.p.ref, e.Path)
		if err == nil {
			return &committed{entry: e, how: linked, record: at.Record}, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned in the meantime
		}
		if !cannotLink(err) {
			return nil, err
		}
		if done, err := c.copy(e, from); err == nil {
			return done, nil
		}
	}
	return nil, nil
}

// cannotLink reports whether a copy may succeed after a link failed: too many links, a file
// system without links, or a file of another user. Some file systems in user space return
// EINVAL.
func cannotLink(err error) bool {
	for _, e := range []error{syscall.EMLINK, syscall.EPERM, syscall.EXDEV, errors.ErrUnsupported, syscall.EACCES, syscall.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// copy makes a verified partial from a file of the mirror. Earlier bytes of the entry stay
// until the copy is known to be right.
func (c *copies) copy(e manifest.Entry, from string) (done *committed, err error) {
	tree := c.p.s.Tree
	src, err := tree.Open(from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }() // opened for reading only
	info, err := src.Stat()
	if err != nil {
		return nil, err
	}
	dst, err := tree.CreateCopy(e.Digest)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			done, err = nil, errors.Join(err, tree.DropPartial(dst))
		}
	}()
	got, err := cloneOrCopy(dst.File, src)
	if err != nil {
		return nil, err
	}
	if got != e.Digest {
		return nil, &failure.MismatchError{Path: e.Path, Want: e.Digest, Got: got, Size: info.Size()}
	}
	fi, err := tree.Stamp(dst, info.ModTime())
	if err != nil {
		return nil, err
	}
	if err := dst.Close(); err != nil { // Windows doesn't rename open files
		return nil, err
	}
	recorded := false
	if c.p.s.hasPartial(e.Digest) {
		if recorded, err = c.replace(dst); err != nil {
			return nil, err
		}
	}
	return &committed{
		entry: e, how: linked, partial: dst, recorded: recorded,
		record: store.Record{Size: fi.Size(), ModTime: fi.ModTime(), Verified: time.Now()},
	}, nil
}

// cloneOrCopy fills dst with src, and returns its digest.
func cloneOrCopy(dst, src *os.File) (got manifest.Digest, err error) {
	to := io.Writer(dst)
	if durable.Clone(dst, src) == nil {
		to = io.Discard // the blocks are already shared
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(to, sum), src)
	sum.Sum(got[:0])
	return got, err
}

// replace makes a copy the partial of its digest, which had bytes before, and reports
// whether the store knows it. A start left by another tool goes to quarantine.
func (c *copies) replace(with *tree.Partial) (recorded bool, err error) {
	s := c.p.s
	before, recorded := s.takePartial(with.Digest)
	if before.Seed > 0 {
		var to string
		if to, err = s.Tree.QuarantinePartial(before.Digest, before.Ref, before.Path); err == nil {
			c.p.quarantined(before.Path, to)
			err = s.Tree.SyncMoves()
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = s.Tree.NameCopy(with)
	}
	if err != nil && recorded {
		s.keepPartial(before)
	}
	return recorded, err
}

// disown marks all records of a wrong or unreadable file as lost. The file may have several
// names, also in other versions, from where the next pass would link it again. Records of
// entries that no manifest lists at the moment may belong to it as well; they are re-read
// once their manifest is back.
func (p *pass) disown(d manifest.Digest, wrong fs.FileInfo) error {
	var lost store.Batch
	err := p.copies.each(d, func(at store.Located, place *found) error {
		if place != nil {
			if fi, err := p.s.Tree.Stat(place.ref, place.path); err != nil || !os.SameFile(fi, wrong) {
				return nil // another file, which isn't wrong
			}
		}
		var err error
		if at.ID != lost.ID || len(lost.Lost) == rereadFiles {
			err = p.s.Store.Commit(lost)
			lost = store.Batch{ID: at.ID}
		}
		lost.Lost = append(lost.Lost, store.Verified{Offset: at.Offset, Digest: d})
		return err
	})
	return errors.Join(err, p.s.Store.Commit(lost))
}

// linkable adds up the sizes of the entries to fetch that can be linked instead.
func (p *pass) linkable(ctx context.Context) (int64, error) {
	defer p.copies.close() // the pass may end here
	entries := make(chan manifest.Entry)
	fed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(entries)
		fed <- p.feed(ctx, p.fetches, entries)
	}()
	var n int64
	for e := range entries {
		places, err := p.copies.of(e.Digest)
		if err != nil {
			return 0, err
		}
		for _, at := range places {
			if fi, err := p.s.Tree.Stat(at.ref, at.path); err == nil && tree.Matches(fi, at.Record) {
				n += fi.Size()
				break
			}
		}
	}
	return n, <-fed
}
