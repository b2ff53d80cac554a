package downloader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/report"
	"mimicsync/downloader/retry"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// maxListed limits the failures of a report in bytes, since names may be long.
const maxListed = 4 << 20

// tally is an unfinished Report. Guarded by mu.
type tally struct {
	mu      sync.Mutex
	report  report.Report
	aside   map[string]bool // for Options.Changes: paths whose former file went to quarantine
	listed  int             // bytes of the failures
	dropped int             // sources
	wrong   []store.Wrong   // to be recorded with the next commit
}

// manyDenied is how many files in a row a source may refuse before it is asked for the
// manifest again: a training that expires in the middle of a pass must not cost the server
// a request for each of 600,000 files, and a closed folder must not cost the user the rest.
const manyDenied = 5

// stillAllowed asks a source for the manifest again after it refused many files in a row.
// An error means that it refuses the dataset.
func (p *pass) stillAllowed(ctx context.Context, c *candidate) error {
	p.tally.mu.Lock()
	ask := c.denied >= manyDenied
	if ask {
		c.denied = 0
	}
	p.tally.mu.Unlock()
	if !ask {
		return nil
	}
	ctx, dog := host.Watch(ctx, p.s.IdleTimeout)
	defer dog.End()
	object, err := c.Open(ctx, p.manifestRequest(c.Source, p.version.Manifest))
	p.s.answered(c.Name(), err)
	if err == nil {
		_ = object.Body.Close() // that it arrived is the answer
	}
	if _, refused := errors.AsType[*source.AccessError](err); refused {
		return err
	}
	return nil
}

// manyAbsent is how many entries in a row a source may lack before it is asked for the
// manifest, to find out whether it has the version at all.
const manyAbsent = 4

// stillThere asks a source that has served nothing of a version for its manifest, once,
// when it lacks several entries in a row. An error means that it lacks the manifest, too.
func (p *pass) stillThere(ctx context.Context, c *candidate) error {
	p.tally.mu.Lock()
	ask := c.absent >= manyAbsent && !c.whole && c.report.Files == 0
	if ask {
		c.whole = true
	}
	p.tally.mu.Unlock()
	if _, came := c.Health.Served(c.Name(), p.ref); !ask || came {
		return nil
	}
	ctx, dog := host.Watch(ctx, p.s.IdleTimeout)
	defer dog.End()
	object, err := c.Open(ctx, source.Request{Ref: p.ref, Path: manifest.Name})
	p.s.answered(c.Name(), err)
	if err == nil {
		_ = object.Body.Close() // that it arrived is the answer
	}
	if errors.Is(err, source.ErrNotExist) {
		return fmt.Errorf("%s has nothing of %s: %w", c.Name(), p.ref, err)
	}
	if _, refused := errors.AsType[*source.AccessError](err); refused {
		return err
	}
	return nil
}

// succeed counts a committed file.
func (p *pass) succeed(f *committed) {
	p.progress.Done.Add(1)
	if f.how != fetched {
		p.expect(-f.record.Size)
	}
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	files, bytes := &p.tally.report.Files, &p.tally.report.Bytes
	switch f.how {
	case fetched:
		files.Fetched++
		bytes.Fetched += f.record.Size
		p.credit(f)
	case carried:
		files.Present++
		bytes.Present += f.record.Size
	case adopted:
		files.Adopted++
		bytes.Adopted += f.record.Size
	case linked:
		files.Linked++
		bytes.Linked += f.record.Size
	}
}

// fail adds an entry to the failures of the report.
func (p *pass) fail(e manifest.Entry, err error) {
	_, reason := retry.Classify(err)
	source := p.sources[0].Name()
	if unserved, ok := errors.AsType[unservedError](err); ok {
		source = unserved.foremost().source
	}
	p.progress.Failed.Add(1)
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	p.tally.report.Files.Failed++
	p.tally.list(store.Failure{Path: e.Path, Reason: string(reason), Source: source, Detail: err.Error()})
}

// allowed notes that a source served an entry.
func (p *pass) allowed(c *candidate) {
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	c.denied, c.absent = 0, 0
}

// credit counts what the sources served of a file. The caller holds tally.mu.
func (p *pass) credit(f *committed) {
	for _, c := range p.sources {
		name := c.Name()
		if name == f.portion.source {
			c.report.Files++
			c.report.Bytes += f.portion.bytes
		}
		for _, s := range f.earlier {
			if name == s.source {
				c.report.Bytes += s.bytes
			}
		}
	}
}

// noteWrong notes that a source has the wrong bytes of an entry, as the object with this
// validator, if known. The caller holds mu.
func (t *tally) noteWrong(c *candidate, ref manifest.Ref, e manifest.Entry, validator string) {
	if len(t.wrong) < report.MaxFailures {
		t.wrong = append(t.wrong, store.Wrong{Digest: e.Digest, Source: c.Name(), Ref: ref, At: time.Now(), Validator: validator})
	}
}

// takeWrong returns what is to be recorded.
func (t *tally) takeWrong() []store.Wrong {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.wrong
	t.wrong = nil
	return taken
}

// rememberWrong records it if no commit has.
func (p *pass) rememberWrong() error {
	return p.s.Store.Commit(store.Batch{ID: p.version.ID, Wrong: p.tally.takeWrong()})
}

// retried counts an attempt that follows a failed one.
func (p *pass) retried(source string) {
	p.progress.Retries.Add(1)
	p.s.Observer.Retried(source)
}

func (p *pass) discarded(n int64) {
	p.expect(n)
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	p.tally.report.Bytes.Discarded += n
}

func (p *pass) quarantined(path, to string) {
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	if p.s.Changes != nil {
		if p.tally.aside == nil {
			p.tally.aside = map[string]bool{}
		}
		p.tally.aside[path] = true
	}
	if r := &p.tally.report; len(r.Quarantined) < report.MaxFailures {
		r.Quarantined = append(r.Quarantined, report.Quarantined{Path: path, To: to})
	}
}

// close completes the report after all goroutines of the pass have ended.
func (p *pass) close(err error) *report.Report {
	r := &p.tally.report
	r.AddEarlier(p.earlier)
	r.Elapsed = time.Since(p.start)
	r.Err = err
	if len(p.sources) > 1 || p.sources[0].Name() != p.s.authority().Name() {
		r.ManifestFrom = p.version.Manifest.Source
		for _, c := range p.sources {
			c.report.Cost = c.bill.Add(c.price, 0, 0)
			r.Sources = append(r.Sources, c.report)
		}
	}
	f := r.Files
	r.Left = max(f.Total-f.Present-f.Adopted-f.Linked-f.Fetched, 0)
	if p.published > 0 && r.Left > 0 { // the published size is rounded, and can't say 0
		r.LeftBytes = max(p.published-r.Bytes.Present-r.Bytes.Adopted-r.Bytes.Linked-r.Bytes.Fetched-p.s.partialBytes(p.ref), 0)
	}
	switch {
	case errors.Is(err, failure.ErrInterrupted):
		r.State = store.Interrupted
	case errors.Is(err, failure.ErrLimit):
		r.State = store.Incomplete
	case err != nil:
		r.State = store.Failed
	case f.Failed > 0:
		r.State = store.Incomplete
	default:
		r.State = store.Complete
	}
	return r
}

// list adds a failure to the listed ones if there is room. The caller holds mu.
func (t *tally) list(f store.Failure) {
	f.Detail = report.Clip(f.Detail, report.MaxDetail)
	if t.listed += len(f.Path) + len(f.Detail); len(t.report.Failures) < report.MaxFailures && t.listed <= maxListed {
		t.report.Failures = append(t.report.Failures, f)
	}
}
