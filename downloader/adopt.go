package downloader

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"mimicsync/downloader/retry"
	"mimicsync/downloader/tree"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// runExaminer examines files without a valid record until there are no more, and sends the
// entries that still have to be fetched to wanted.
func (p *pass) runExaminer(ctx context.Context, doubtful <-chan manifest.Entry, wanted chan<- manifest.Entry) error {
	buf := make([]byte, 256<<10)
	for e := range doubtful {
		done, err := p.examine(ctx, e, buf)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			err = p.spaceError(err, 0)
			p.fail(e, err)
			if v, _ := retry.Classify(err); v == retry.Fatal {
				p.stop(err)
				return err
			}
		case done != nil:
			p.committer.in <- done
		default:
			if err := p.offer(ctx, wanted, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// examine decides about a file in the place of an entry: a right one is adopted, the start
// of one becomes the entry's partial, anything else moves to quarantine. It returns nil if
// the entry must be fetched.
func (p *pass) examine(ctx context.Context, e manifest.Entry, buf []byte) (*committed, error) {
	name := p.s.Tree.Name(p.ref, e.Path)
	if err := p.s.Tree.EnsureDirOf(p.ref, e.Path); err != nil {
		return nil, err // don't even move it: what is behind a symlink isn't ours
	}
	fi, err := p.s.Tree.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		return nil, &tree.SymlinkError{Path: name}
	case fi.IsDir():
		return nil, &fs.PathError{Op: "examine", Path: name, Err: errors.New("a folder stands where the file should be; move it away")}
	case !fi.Mode().IsRegular():
		return nil, p.setAside(e)
	}
	if done := p.links.carryOver(e, fi); done != nil {
		return done, nil
	}
	got, size, err := p.hashFile(ctx, name, buf)
	switch {
	case ctx.Err() == nil && durable.IsUnreadable(err):
		p.s.Logger.WarnContext(ctx, "a file cannot be read, and is fetched again", "dataset", p.ref.String(), "object", e.Path, "err", err)
		return nil, errors.Join(p.disownTwins(e, fi), p.setAside(e))
	case err != nil:
		return nil, err
	case got != e.Digest:
		return nil, errors.Join(p.disownTwins(e, fi), p.seed(e, name, fi))
	}
	// If the file changed while it was read, so did its time.
	after, err := p.s.Tree.Lstat(name)
	if err != nil || after.Size() != size || !after.ModTime().Equal(fi.ModTime()) {
		return nil, errors.Join(err, &fs.PathError{Op: "examine", Path: name, Err: errors.New("it changed while it was read")})
	}
	if err := p.s.Tree.Adopt(name, after); err != nil {
		return nil, err
	}
	return &committed{entry: e, how: adopted, record: store.Record{Size: size, ModTime: fi.ModTime(), Verified: time.Now()}}, nil
}

// disownTwins forgets the records of the other names of a bad file, from which the entry
// would be linked again.
func (p *pass) disownTwins(e manifest.Entry, bad fs.FileInfo) error {
	if durable.Links(bad) < 2 {
		return nil
	}
	return p.disown(e.Digest, bad)
}

// hashFile reads a file of the mirror from the disk, because the page cache may hold bytes
// that couldn't be written.
func (p *pass) hashFile(ctx context.Context, name string, buf []byte) (d manifest.Digest, size int64, err error) {
	f, err := p.s.Tree.Open(name)
	if err != nil {
		return d, 0, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	durable.Forget(f)
	sum := sha256.New()
	for {
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		size += int64(n)
		p.progress.Examined.Add(int64(n))
		p.throttle.read(ctx, f, size, n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return d, size, err
		}
		if ctx.Err() != nil {
			return d, size, context.Cause(ctx)
		}
	}
	sum.Sum(d[:0])
	return d, size, nil
}

// seed treats a wrong file as the truncated start of the right one, which an interrupted
// wget usually leaves: it becomes the entry's partial. Whether that is so shows when the
// source is asked for the rest, see transfer.accept.
func (p *pass) seed(e manifest.Entry, name string, fi fs.FileInfo) error {
	size := fi.Size()
	if size == 0 {
		return p.setAside(e)
	}
	if _, mine := p.s.takeOff(e.Digest); !mine {
		return p.setAside(e) // another entry with these bytes is being fetched
	}
	defer p.s.land(e.Digest)
	if known, ok := p.s.takePartial(e.Digest); ok && p.s.Tree.PartialHolds(e.Digest, known.Seed) {
		p.s.keepPartial(known)
		return p.setAside(e)
	}
	partial := store.Partial{
		Digest: e.Digest, Ref: p.ref, Path: e.Path, Source: "found in the mirror",
		Size: -1, Durable: size, Boot: p.s.boot, Seed: size, Updated: time.Now(),
	}
	// Recorded first: a crash in between leaves a record without a file, or with a shorter
	// one, and the file in its old place. A power cut may also undo the move, or keep the
	// move without the record: then the partial is a stray.
	if err := p.s.Store.PutPartials(partial); err != nil {
		return err
	}
	if err := p.s.Tree.TakeOver(name, e.Digest, durable.Links(fi) > 1); err != nil {
		return err
	}
	p.s.keepPartial(partial)
	return nil
}

func (p *pass) setAside(e manifest.Entry) error {
	to, err := p.s.Tree.Quarantine(p.ref, e.Path)
	if err != nil {
		return fmt.Errorf("move a wrong file aside: %w", err)
	}
	p.quarantined(e.Path, to)
	return nil
}
