package downloader

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"mimicsync/downloader/copies"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// linker takes files from elsewhere in the mirror: from other versions and datasets, from
// other entries of this version, and from records under its former manifests. Safe for
// concurrent use.
type linker struct {
	copies.Finder

	p *pass
}

// carryOver takes a file as present, without reading it, if a record under a former
// manifest says that this very file was right.
func (l *linker) carryOver(e manifest.Entry, fi fs.FileInfo) *committed {
	places, err := l.Of(e.Digest)
	if err != nil {
		return nil // hash it instead
	}
	for _, at := range places {
		if at.Ref == l.p.ref && at.Path == e.Path && tree.Matches(fi, at.Record) {
			return &committed{entry: e, how: carried, record: at.Record}
		}
	}
	return nil
}

// link takes an entry's file from elsewhere in the mirror: as a hard link, else a reflink,
// else a verified copy. It returns nil if there is none.
func (l *linker) link(e manifest.Entry) (*committed, error) {
	places, err := l.Of(e.Digest)
	if err != nil {
		return nil, err
	}
	here := l.p.s.Tree
	for _, at := range places {
		fi, err := here.Stat(at.Ref, at.Path)
		if err != nil || !tree.Matches(fi, at.Record) {
			continue
		}
		if at.Ref == l.p.ref && at.Path == e.Path { // the manifest lists it twice
			return &committed{entry: e, how: linked, record: at.Record}, nil
		}
		from := here.Name(at.Ref, at.Path)
		err = here.Link(from, l.p.ref, e.Path)
		if err == nil {
			return &committed{entry: e, how: linked, record: at.Record}, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned in the meantime
		}
		if !copies.CannotLink(err) {
			return nil, err
		}
		if done, err := l.copy(e, from); err == nil {
			return done, nil
		}
	}
	return nil, nil
}

// copy makes a verified partial from a file of the mirror. Earlier bytes of the entry stay
// until the copy is known to be right.
func (l *linker) copy(e manifest.Entry, from string) (done *committed, err error) {
	tree := l.p.s.Tree
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
	got, err := copies.Copy(dst.File, src)
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
	if l.p.s.hasPartial(e.Digest) {
		if recorded, err = l.replace(dst); err != nil {
			return nil, err
		}
	}
	return &committed{
		entry: e, how: linked, partial: dst, recorded: recorded,
		record: store.Record{Size: fi.Size(), ModTime: fi.ModTime(), Verified: time.Now()},
	}, nil
}

// replace makes a copy the partial of its digest, which had bytes before, and reports
// whether the store knows it. A start left by another tool goes to quarantine.
func (l *linker) replace(with *tree.Partial) (recorded bool, err error) {
	s := l.p.s
	before, recorded := s.takePartial(with.Digest)
	if before.Seed > 0 {
		var to string
		if to, err = s.Tree.QuarantinePartial(before.Digest, before.Ref, before.Path); err == nil {
			l.p.quarantined(before.Path, to)
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
	err := p.links.Each(d, func(at store.Located, place *copies.Place) error {
		if place != nil {
			if fi, err := p.s.Tree.Stat(place.Ref, place.Path); err != nil || !os.SameFile(fi, wrong) {
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

// markLinks moves the entries that can be linked from p.fetches to the plan's count of
// links. Only a plan calls it: a pass links when it gets to the entry.
func (p *pass) markLinks(ctx context.Context) error {
	return p.eachLinkable(ctx, func(i, size int64) {
		p.plan.Link, p.plan.LinkBytes = p.plan.Link+1, p.plan.LinkBytes+size
		p.plan.Fetch--
		p.fetches.Unset(i)
	})
}

// linkable adds up the sizes of the entries to fetch that can be linked instead.
func (p *pass) linkable(ctx context.Context) (n int64, err error) {
	err = p.eachLinkable(ctx, func(_, size int64) { n += size })
	return n, err
}

// eachLinkable visits the index and the size of each entry to fetch that can be linked
// instead. Most entries have no copy: they are looked up many at a time.
func (p *pass) eachLinkable(ctx context.Context, visit func(i, size int64)) error {
	defer p.links.Close() // the pass may end here
	var indexes []int64
	var digests []manifest.Digest
	look := func() error {
		recorded, err := p.s.Store.Recorded(digests)
		for n, d := range digests {
			if err != nil || !recorded[n] {
				continue
			}
			var size int64
			var ok bool
			if size, ok, err = p.links.Matching(d); ok {
				visit(indexes[n], size)
			}
		}
		indexes, digests = indexes[:0], digests[:0]
		return errors.Join(err, context.Cause(ctx))
	}
	err := p.each(p.fetches, func(i int64, e manifest.Entry) error {
		indexes, digests = append(indexes, i), append(digests, e.Digest)
		if len(digests) < surveyChunk {
			return nil
		}
		return look()
	})
	return errors.Join(err, look())
}
