package downloader

import (
	"context"
	"slices"
	"time"

	"mimicsync/downloader/retry"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// origin says how an entry's file came into the mirror in this pass.
type origin int

const (
	fetched origin = iota
	adopted        // it was there, without a record
	carried        // it was there, recorded under a former manifest of the version
	linked         // from elsewhere in the mirror
)

// committed is a verified file on its way to a record.
type committed struct {
	entry  manifest.Entry
	record store.Record
	how    origin
	// portion is what the source of the last bytes served in this pass, and earlier is what
	// others served before.
	portion portion
	earlier []portion
	// partial is the file if it isn't in its place yet, otherwise nil. A partial without a
	// name is open.
	partial *tree.Partial
	// recorded says that the store knows that partial, with so many durable bytes.
	recorded bool
	durable  int64
	// claimed says that the digest is kept from other transfers until this is recorded or
	// has failed.
	claimed bool
}

// portion is how much of a file came from a source.
type portion struct {
	source string
	bytes  int64
}

// release ends the claim.
func (f *committed) release(s *Syncer) {
	if f.claimed {
		f.claimed = false // the next claim may be someone else's
		s.land(f.entry.Digest)
	}
}

const (
	// batchAge limits a commit beside BatchFiles: no file waits longer than this.
	batchAge = time.Second
)

// committer turns verified partials into files with records. For each batch
//
//	(1) sync: the bytes of the batch, and the names of the batch before, are durable
//	(2) one transaction records the batch before
//	(3) the batch is renamed into place
//
// so that one syncfs(2) a batch is enough, and a record never precedes the
// durable bytes and name it speaks of. Where there is no syncfs, or it would
// flush other people's files on a file server, each file and each folder is
// synced. Owned by the goroutine that runs run.
type committer struct {
	p       *pass
	syncing *tree.Session
	in      chan *committed
	renamed []*committed // in place, names not durable yet
	failed  error        // the first error of the disk or the store; nothing is committed after it
}

func newCommitter(p *pass, s *tree.Session) *committer {
	return &committer{p: p, syncing: s, in: make(chan *committed, tree.BatchFiles)}
}

// run commits until in is closed, then commits the rest. It never stops early: verified
// files are kept even if the pass was interrupted.
func (c *committer) run() error {
	var batch []*committed
	tick := time.NewTicker(batchAge / 20)
	defer tick.Stop()
	oldest, hurry := time.Now(), false
	for open := true; open; {
		select {
		case f, ok := <-c.in:
			if open = ok; ok {
				if len(batch) == 0 {
					oldest = time.Now()
				}
				batch = append(batch, f)
			}
		case <-tick.C:
			hurry = c.awaited(batch) || c.awaited(c.renamed)
		}
		old := hurry || time.Since(oldest) >= batchAge
		if len(batch) >= tree.BatchFiles || old && len(batch)+len(c.renamed) > 0 || !open {
			c.commit(batch)
			batch, oldest, hurry = nil, time.Now(), false
		}
	}
	c.commit(nil)
	return c.failed
}

// awaited reports whether a worker waits for the record of one of the files, to link an
// entry with the same bytes to it: then a smaller batch is better than an idle worker.
func (c *committer) awaited(files []*committed) bool {
	return slices.ContainsFunc(files, func(f *committed) bool { return f.claimed && c.p.s.awaited(f.entry.Digest) })
}

// commit makes a batch durable and puts it in place, and records the previous batch.
func (c *committer) commit(batch []*committed) {
	if len(batch)+len(c.renamed) == 0 {
		return
	}
	if c.failed == nil {
		files, start := len(c.renamed), time.Now()
		if c.failed = c.step(batch); c.failed == nil && files > 0 {
			c.p.s.Observer.Committed(files, time.Since(start))
		}
	}
	if c.failed != nil {
		c.giveUp(append(c.renamed, batch...))
		c.renamed = nil
		c.p.stop(c.failed)
	}
}

// giveUp leaves verified files to the next pass as partials. None of their bytes is known
// to be durable, so that pass reads them from the disk, see resume.
func (c *committer) giveUp(files []*committed) {
	var kept []store.Partial
	for _, f := range files {
		switch tree := c.p.s.Tree; {
		case f.partial == nil:
		case f.partial.IsCopy():
			_ = tree.DropPartial(f.partial) // one that stays is a stray
		case tree.KeepPartial(f.partial) == nil: // otherwise it is fetched again; nothing else can be done
			p := c.partial(f)
			p.Durable = f.durable
			kept = append(kept, p)
		}
	}
	_ = c.p.s.Store.PutPartials(kept...) // without a record they are found, but not known to be ours
	for _, p := range kept {
		c.p.s.keepPartial(p)
	}
	for _, f := range files {
		f.release(c.p.s)
	}
}

// placed is what a sync needs to know of files.
func placed(files []*committed) []tree.Placed {
	all := make([]tree.Placed, len(files))
	for i, f := range files {
		all[i] = tree.Placed{Path: f.entry.Path, Partial: f.partial}
	}
	return all
}

func (c *committer) step(batch []*committed) error {
	ctx := context.Background() // verified files are committed even if the pass is over
	err := c.p.withFiles(ctx, false, func() error { return c.syncing.Sync(c.p.ref, placed(batch), placed(c.renamed)) })
	if err != nil {
		return c.p.spaceError(err, 0)
	}
	c.p.s.at("synced")
	if err := c.record(); err != nil {
		return c.p.spaceError(err, 0)
	}
	for _, f := range batch {
		if f.partial != nil {
			var aside string
			err := c.p.withFiles(ctx, false, func() (err error) {
				aside, err = c.p.s.Tree.Place(f.partial, c.p.ref, f.entry.Path)
				return err
			})
			if aside != "" {
				c.p.quarantined(f.entry.Path, aside)
			}
			if err != nil {
				if v, _ := retry.Classify(err); v == retry.Fatal {
					return c.p.spaceError(err, 0)
				}
				if err := c.keepPartial(f); err != nil {
					return err
				}
				c.p.fail(f.entry, err)
				f.release(c.p.s)
				continue
			}
			f.partial = nil
		}
		c.renamed = append(c.renamed, f)
		c.p.s.at("renamed")
	}
	return nil
}

// keepPartial keeps a verified partial that can't get its name: its bytes need not be fetched
// again when the obstacle is gone. A copy of a file in the mirror is of no use to a later pass.
func (c *committer) keepPartial(f *committed) error {
	s := c.p.s
	if f.partial.IsCopy() {
		return s.Tree.DropPartial(f.partial)
	}
	if err := s.Tree.KeepPartial(f.partial); err != nil {
		return err
	}
	partial := c.partial(f)
	if err := s.Store.PutPartials(partial); err != nil {
		return err
	}
	s.keepPartial(partial)
	return nil
}

// partial describes a complete file that has no place yet.
func (c *committer) partial(f *committed) store.Partial {
	return store.Partial{
		Digest: f.entry.Digest, Ref: c.p.ref, Path: f.entry.Path, Source: f.portion.source, Size: f.record.Size,
		Modified: f.record.ModTime, Durable: f.record.Size, Boot: c.p.s.boot, Updated: time.Now(),
	}
}

// record writes the records of the renamed files, whose names are durable now.
func (c *committer) record() error {
	if len(c.renamed) == 0 {
		return nil
	}
	b := store.Batch{ID: c.p.version.ID, Wrong: c.p.tally.takeWrong()}
	for _, f := range c.renamed {
		b.Put = append(b.Put, store.Verified{Offset: f.entry.Offset, Digest: f.entry.Digest, Record: f.record})
		if f.recorded {
			b.Done = append(b.Done, f.entry.Digest)
		}
	}
	if err := c.p.tellChanges(c.renamed); err != nil {
		return err
	}
	if err := c.p.s.Store.Commit(b); err != nil {
		return err
	}
	c.p.s.at("recorded")
	for _, f := range c.renamed {
		f.release(c.p.s)
		c.p.succeed(f)
	}
	c.renamed = c.renamed[:0]
	return nil
}
