package downloader

import (
	"time"

	"mimicsync/downloader/report"
	"mimicsync/store"
)

// predict estimates how long a source takes, by its rate in the last pass with files of the
// same kind, or else of the other kind.
func (p *pass) predict(e *report.SourcePlan) error {
	kind := kindOf(e.Files, e.Bytes)
	other := store.SmallFiles
	if kind == store.SmallFiles {
		other = store.LargeFiles
	}
	rate, known, err := p.s.Store.Rate(e.Name, kind)
	if err == nil && !known {
		kind = other
		rate, known, err = p.s.Store.Rate(e.Name, kind)
	}
	if err != nil || !known {
		return err
	}
	e.Rate = rate
	if e.Bytes < 0 {
		return nil
	}
	e.Time = scale(rate.Elapsed, e.Bytes, rate.Bytes)
	if kind == store.SmallFiles && kindOf(e.Files, e.Bytes) == kind {
		e.Time = max(e.Time, scale(rate.Elapsed, e.Files, rate.Files))
	}
	return nil
}

// scale is the time for n, if per takes d.
func scale(d time.Duration, n, per int64) time.Duration {
	return time.Duration(float64(d) * float64(n) / float64(max(per, 1)))
}

// smallFile is the mean size below which the requests take most of the time.
const smallFile = 1 << 20

func kindOf(files, bytes int64) store.Kind {
	if bytes/max(files, 1) < smallFile {
		return store.SmallFiles
	}
	return store.LargeFiles
}

// A pass must have fetched one of these from a source to tell its rate.
const (
	tellingBytes = 1 << 20
	tellingFiles = 100
)

// noteRates records the rates of the sources. A source that served less than half of the
// pass was mostly idle, so its rate means nothing; nor does a rate if most bytes belong to
// files that were unfinished when the pass ended.
func (p *pass) noteRates() error {
	if p.transfers.IsZero() {
		return nil
	}
	elapsed := time.Since(p.transfers)
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	r := &p.tally.report
	files, bytes := r.Files.Fetched+r.Files.Adopted+r.Files.Linked, p.progress.Fetched.Load()+r.Bytes.Adopted+r.Bytes.Linked
	for _, c := range p.sources {
		got := c.report
		if 2*got.Files < files || 2*got.Bytes < bytes || got.Files < tellingFiles && got.Bytes < tellingBytes {
			continue
		}
		rate := store.Rate{Bytes: got.Bytes, Files: got.Files, Elapsed: elapsed, At: time.Now()}
		if err := p.s.Store.PutRate(got.Name, kindOf(got.Files, got.Bytes), rate); err != nil {
			return err
		}
	}
	return nil
}
