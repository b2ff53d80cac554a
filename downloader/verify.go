package downloader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/tree"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Verify re-reads the files of a version and compares them with the manifest in force. It
// makes no request and moves no file: it records wrong and missing files as lost, so that
// the next pass fetches them, and gives right files without a record one.
func (s *Syncer) Verify(ctx context.Context, ref manifest.Ref, selection manifest.Selection, progress *progress.Progress) (*report.Verification, error) {
	return s.reread(ctx, ref, selection, ScrubOptions{Keep: true}, progress)
}

// SelectLost selects the files recorded as lost: those that Verify or Scrub found wrong or
// missing, however many, and that no pass has repaired since. A pass over them repairs a
// partial mirror without extending it.
func (s *Syncer) SelectLost(ref manifest.Ref) (manifest.Selection, error) {
	v, err := s.known(ref)
	if err != nil {
		return manifest.Selection{}, err
	}
	selection := manifest.SelectPaths(func(yield func(string) bool) { err = s.eachLost(v, yield) })
	return selection, err
}

// eachLost calls visit with the paths recorded as lost, until it returns false.
func (s *Syncer) eachLost(v store.Version, visit func(path string) bool) error {
	f, err := s.Tree.OpenManifest(v.Manifest.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	var page []store.Located
	for from := int64(0); ; from = page[len(page)-1].Offset + 1 {
		if page, err = s.Store.Records(v.ID, from, surveyChunk, page[:0]); err != nil || len(page) == 0 {
			return err
		}
		for _, at := range page {
			if !at.Record.Lost {
				continue
			}
			e, err := manifest.EntryAt(f, at.Offset)
			if err != nil || !visit(e.Path) {
				return err
			}
		}
	}
}

func (s *Syncer) reread(ctx context.Context, ref manifest.Ref, selection manifest.Selection, o ScrubOptions, watched *progress.Progress) (*report.Verification, error) {
	p, ctx := s.newPass(ctx, s.Sources, ref, selection, watched)
	defer p.cancel(nil)
	defer p.links.Close()
	p.throttle = newThrottle(o.Rate, rereadBuffer)
	var err error
	if p.version, err = s.kept(ref); err != nil {
		return nil, err
	}
	p.progress.Enter(progress.PhaseTransfer)
	p.progress.Total.Store(p.version.Manifest.Entries)
	syncing, err := s.Tree.OpenSession()
	if err != nil {
		return nil, err
	}
	defer syncing.Close()
	v := &verifier{
		p: p, options: o, syncing: syncing, flushed: p.start,
		result: &report.Verification{Dataset: ref.Dataset, Version: ref.Version, Failures: []store.Failure{}},
	}
	if known := p.version.Selection; known != nil {
		v.known, v.result.Selection = true, *known
		if v.wanted, err = manifest.NewSelection(known.Include, known.Exclude); err != nil {
			return nil, err
		}
	}
	err = v.run(ctx)
	v.result.Elapsed = time.Since(p.start)
	p.progress.Enter(progress.PhaseEnd)
	return v.result, err
}

const (
	rereadBuffer = 256 << 10
	// rereadFiles and rereadAge limit what must be read again after a kill.
	rereadFiles = 1000
	rereadAge   = 10 * time.Second
)

type verifier struct {
	p       *pass
	options ScrubOptions
	syncing *tree.Session
	wanted  manifest.Selection // by the last pull, if it is known
	known   bool

	mu      sync.Mutex // guards the fields below
	result  *report.Verification
	flushed time.Time // when the last batch was written
	batch   store.Batch
	fresh   []*committed // files of the batch that had no record: their writer may not have synced them
	rotten  []rotten     // files of the batch to move to quarantine
}

// rotten is a wrong file, as it was when it was read.
type rotten struct {
	path string
	was  store.Record
}

func (v *verifier) run(ctx context.Context) error {
	v.batch.ID = v.p.version.ID
	g, gctx := errgroup.WithContext(ctx)
	entries := make(chan surveyed)
	g.Go(func() error {
		defer close(entries)
		return v.p.survey(gctx, func(e *surveyed) error {
			select {
			case entries <- *e:
				return nil
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		})
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			buf := make([]byte, rereadBuffer)
			for e := range entries {
				if err := v.check(gctx, &e, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(err, v.flush())
}

// check reads the file of one entry. An error ends the verification.
func (v *verifier) check(ctx context.Context, e *surveyed, buf []byte) error {
	if e.standing == absent || e.standing == unsafe || e.standing == conflict || v.recent(e) {
		return v.note(e, nil, nil)
	}
	if e.standing == symlinked {
		return v.note(e, nil, e.why)
	}
	name := v.p.s.Tree.Name(v.p.ref, e.Path)
	fi, err := v.p.s.Tree.Lstat(name)
	if err = v.p.s.Tree.UnlessSymlink(name, err); err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "verify", Path: name, Err: errors.New("it is not a regular file")}
	}
	if err == nil && e.standing != present && v.p.s.Tree.IsElsewhere(name, fi) { // flush does not sync it
		err = &fs.PathError{Op: "verify", Path: name, Err: tree.ErrOtherDisk}
	}
	if err != nil {
		return v.note(e, nil, err)
	}
	got, size, err := v.p.hashFile(ctx, name, buf)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if got != e.Digest && (err == nil || durable.IsUnreadable(err)) {
		if derr := v.p.disown(e.Digest, fi); derr != nil {
			return derr
		}
	}
	if err == nil && got != e.Digest {
		err = &failure.MismatchError{Path: e.Path, Want: e.Digest, Got: got, Size: size}
	} else if err == nil && e.standing != present {
		err = v.p.s.Tree.Adopt(name, fi)
	}
	return v.note(e, &store.Record{Size: fi.Size(), ModTime: fi.ModTime(), Verified: time.Now()}, err)
}

// recent reports whether a file was verified recently, by a clock that wasn't ahead.
func (v *verifier) recent(e *surveyed) bool {
	at := e.record.Verified
	return e.standing == present && !v.options.Before.IsZero() && !at.Before(v.options.Before) && !at.After(time.Now())
}

// note counts an entry and writes the results to the store, in batches.
func (v *verifier) note(e *surveyed, found *store.Record, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.result
	r.Total++
	entry := store.Verified{Offset: e.Offset, Digest: e.Digest}
	switch {
	case err == nil && found != nil:
		r.Verified++
		r.Bytes += found.Size
		entry.Record = *found
		v.batch.Put = append(v.batch.Put, entry)
		if e.standing != present {
			v.fresh = append(v.fresh, &committed{entry: e.Entry})
		}
		v.p.progress.Done.Add(1)
	case err == nil && v.recent(e):
		r.Recent++
		v.p.progress.Done.Add(1)
	case err == nil && !e.recorded:
		if v.known && v.wanted.Match(e.Path) {
			r.Absent++
		} else {
			r.Unselected++
		}
		v.p.progress.Done.Add(1)
	default:
		v.reject(e, found, err)
		v.batch.Lost = append(v.batch.Lost, entry)
	}
	if len(v.batch.Put)+len(v.batch.Lost) >= rereadFiles || time.Since(v.flushed) > rereadAge {
		return v.flush()
	}
	return nil
}

func (v *verifier) reject(e *surveyed, found *store.Record, err error) {
	v.p.progress.Failed.Add(1)
	r := v.result
	failed := store.Failure{Path: e.Path, Reason: string(failure.ReasonIO), Source: "mirror"}
	var mismatch *failure.MismatchError
	switch {
	case errors.As(err, &mismatch):
		r.Wrong++
		failed.Reason, failed.Detail = string(failure.ReasonChecksum), err.Error()
		v.setAside(e, found)
	case err == nil || errors.Is(err, fs.ErrNotExist):
		r.Missing++
		failed.Reason, failed.Detail = string(failure.ReasonNotFound), "it was in the mirror and is gone"
	default:
		r.Unreadable++
		failed.Detail = err.Error()
		if errors.Is(err, manifest.ErrUnsafePath) {
			failed.Reason = string(failure.ReasonUnsafePath)
		} else if durable.IsUnreadable(err) {
			v.setAside(e, found)
		}
	}
	if len(r.Failures) < report.MaxFailures {
		r.Failures = append(r.Failures, failed)
	}
}

// setAside queues a wrong file for quarantine, if wanted, after its records are removed. A
// file without a record may be the start of the right one, which the next pass continues.
// The caller holds v.mu.
func (v *verifier) setAside(e *surveyed, found *store.Record) {
	if e.recorded && found != nil && !v.options.Keep {
		v.rotten = append(v.rotten, rotten{e.Path, *found})
	}
}

// flush writes the batch, then moves files without records to quarantine. The caller holds
// v.mu.
func (v *verifier) flush() error {
	var unsynced error
	if len(v.fresh) > 0 {
		if unsynced = v.syncing.Sync(v.p.ref, placed(v.fresh), placed(v.fresh)); unsynced != nil { // these get no record, the others do
			v.batch.Put = slices.DeleteFunc(v.batch.Put, func(put store.Verified) bool {
				return slices.ContainsFunc(v.fresh, func(f *committed) bool { return f.entry.Offset == put.Offset })
			})
		}
		if errors.Is(unsynced, fs.ErrNotExist) { // somebody removed one meanwhile
			unsynced = nil
		}
	}
	err := v.p.s.Store.Commit(v.batch)
	v.batch.Put, v.batch.Lost, v.fresh, v.flushed = v.batch.Put[:0], v.batch.Lost[:0], v.fresh[:0], time.Now()
	if err != nil {
		return errors.Join(unsynced, err)
	}
	v.p.s.at("lost recorded")
	for _, f := range v.rotten {
		v.moveAside(f)
	}
	v.rotten = v.rotten[:0]
	return errors.Join(unsynced, v.p.s.Tree.SyncMoves())
}

// moveAside quarantines a wrong file, unless it was removed or replaced since. A file that
// can't be moved doesn't stop the others. The caller holds v.mu.
func (v *verifier) moveAside(f rotten) {
	if fi, err := v.p.s.Tree.Stat(v.p.ref, f.path); err != nil || !tree.Matches(fi, f.was) {
		return
	}
	to, err := v.p.s.Tree.Quarantine(v.p.ref, f.path)
	switch r := v.result; {
	case err != nil && len(r.Failures) < report.MaxFailures:
		r.Failures = append(r.Failures, store.Failure{
			Path: f.path, Reason: string(failure.ReasonIO), Source: "mirror", Detail: "it is wrong, and cannot be moved aside: " + err.Error(),
		})
	case err == nil && len(r.Quarantined) < report.MaxFailures:
		r.Quarantined = append(r.Quarantined, report.Quarantined{Path: f.path, To: to})
	}
}

// Adopt makes the store know a version from the mirror alone, after a state file was lost:
// the SHA256SUMS.txt in the version's folder becomes the manifest in force until the next
// pass asks the source. Verify then records every right file.
func (s *Syncer) Adopt(ctx context.Context, ref manifest.Ref) error {
	p, ctx := s.newPass(ctx, s.Sources, ref, manifest.Selection{}, new(progress.Progress))
	defer p.cancel(nil)
	switch fi, err := s.Tree.Stat(ref, manifest.Name); {
	case err != nil:
		return err
	case !fi.Mode().IsRegular(): // opening a pipe would block
		return fmt.Errorf("%w: it is not a regular file", failure.ErrManifest)
	}
	f, err := s.Tree.Open(s.Tree.Name(ref, manifest.Name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	v := store.Version{Ref: ref}
	if err := p.takeManifest(ctx, f, &v, "the mirror", &source.Object{Size: -1}); err != nil {
		return err
	}
	v, err = s.Store.PutVersion(v)
	if err != nil {
		return err
	}
	return s.Tree.ShowManifest(v.Manifest.Digest, ref)
}
