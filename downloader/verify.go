package downloader

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mimicsync/manifest"
	"mimicsync/store"
)

// Verification is what Verify found.
type Verification struct {
	Dataset  string          `json:"dataset"`
	Version  string          `json:"version"`
	Total    int64           `json:"total"`    // selected entries of the manifest
	Verified int64           `json:"verified"` // read, and right
	Bytes    int64           `json:"bytes"`    // of those
	Wrong    int64           `json:"wrong"`    // read, and not what the manifest says
	Missing  int64           `json:"missing"`  // recorded, and gone
	Absent   int64           `json:"absent"`   // never fetched
	Failures []store.Failure `json:"failures"` // the wrong, the missing, and those that could not be read
	Elapsed  time.Duration   `json:"-"`
}

// Verify re-reads the files of a version and compares them with the manifest in
// force. It makes no request and moves no file: a wrong or missing one is recorded
// as lost, so that the next pass fetches it; a right one without a record gets
// one.
func (s *Syncer) Verify(ctx context.Context, ref manifest.Ref, selection manifest.Selection, progress *Progress) (*Verification, error) {
	p, ctx := s.newPass(ctx, s.Sources, ref, selection, progress)
	defer p.cancel(nil)
	var known bool
	var err error
	if p.version, known, err = s.Store.Version(ref); err != nil {
		return nil, err
	}
	if !known {
		return nil, ErrNoManifest
	}
	if !s.Tree.manifestIntact(p.version.Manifest.Digest) {
		return nil, errors.Join(ErrManifest, errors.New("the mirror's copy of it is damaged; pull fetches it again"))
	}
	p.progress.enter(PhaseTransfer)
	p.progress.Total.Store(p.version.Manifest.Entries)
	v := &verifier{p: p, result: &Verification{Dataset: ref.Dataset, Version: ref.Version, Failures: []store.Failure{}}}
	err = v.run(ctx)
	v.result.Elapsed = time.Since(p.start)
	p.progress.enter(PhaseEnd)
	return v.result, err
}

type verifier struct {
	p *pass

	mu     sync.Mutex // guards what follows
	result *Verification
	batch  store.Batch
	fresh  []*committed // files of the batch that had no record: who wrote them may not have synced them
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
			buf := make([]byte, 256<<10)
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

// check reads one entry's file. The error ends the verification.
func (v *verifier) check(ctx context.Context, e *surveyed, buf []byte) error {
	if e.standing == absent || e.standing == unsafe || e.standing == conflict {
		return v.note(e, nil, nil)
	}
	name := v.p.s.Tree.name(v.p.ref, e.Path)
	fi, err := v.p.s.Tree.root.Lstat(name)
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "verify", Path: name, Err: errors.New("it is not a regular file")}
	}
	if err != nil {
		return v.note(e, nil, err)
	}
	got, size, err := v.p.hashFile(ctx, name, buf)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && got != e.Digest {
		err = &MismatchError{Path: e.Path, Want: e.Digest, Got: got, Size: size}
	}
	return v.note(e, &store.Record{Size: size, ModTime: fi.ModTime(), Verified: time.Now()}, err)
}

// note counts an entry and writes what was learned to the store, in batches.
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
	case err == nil && !e.recorded:
		r.Absent++
		v.p.progress.Done.Add(1)
	default:
		v.reject(e, err)
		v.batch.Lost = append(v.batch.Lost, entry)
	}
	if len(v.batch.Put)+len(v.batch.Lost) >= 1000 {
		return v.flush()
	}
	return nil
}

func (v *verifier) reject(e *surveyed, err error) {
	v.p.progress.Failed.Add(1)
	r := v.result
	failure := store.Failure{Path: e.Path, Reason: string(ReasonIO), Source: "mirror"}
	var mismatch *MismatchError
	switch {
	case errors.As(err, &mismatch):
		r.Wrong++
		failure.Reason, failure.Detail = string(ReasonChecksum), err.Error()
	case err == nil || errors.Is(err, fs.ErrNotExist):
		r.Missing++
		failure.Reason, failure.Detail = string(ReasonNotFound), "it was in the mirror and is gone"
	default:
		r.Wrong++
		failure.Detail = err.Error()
	}
	if len(r.Failures) < maxFailures {
		r.Failures = append(r.Failures, failure)
	}
}

// flush writes the batch. The caller holds v.mu.
func (v *verifier) flush() error {
	if len(v.fresh) > 0 {
		if err := v.p.s.Tree.sync(v.p.ref, v.fresh, v.fresh); err != nil {
			return err
		}
	}
	err := v.p.s.Store.Commit(v.batch)
	v.batch.Put, v.batch.Lost, v.fresh = v.batch.Put[:0], v.batch.Lost[:0], v.fresh[:0]
	return err
}

// Adopt makes the store know a version from the mirror alone, for a state file
// that was lost: the SHA256SUMS.txt in the version's folder becomes the manifest
// in force, until the next pass asks the source. Verify then gives every right
// file its record.
func (s *Syncer) Adopt(ctx context.Context, ref manifest.Ref) error {
	p, ctx := s.newPass(ctx, s.Sources, ref, manifest.Selection{}, new(Progress))
	defer p.cancel(nil)
	f, err := s.Tree.root.Open(s.Tree.name(ref, manifest.Name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	v := store.Version{Ref: ref}
	if err := p.takeManifest(ctx, f, &v, "the mirror", &Object{Size: -1}); err != nil {
		return err
	}
	v, err = s.Store.PutVersion(v)
	if err != nil {
		return err
	}
	return s.Tree.showManifest(v.Manifest.Digest, ref)
}
