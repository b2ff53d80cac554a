package downloader

import (
	"slices"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/store"
)

const (
	// confirmedFor is how long a manifest is not doubted that was fetched twice and was
	// the same: it may have 200 MB.
	confirmedFor = 24 * time.Hour
	// fewPasses is how far back failures are looked for.
	fewPasses = 5
)

// isDoubted reports whether files were not as a manifest says, or not there, since it
// was confirmed. It may have been damaged when it came, with lines that look right,
// and the source says for ever that it has not changed.
func (p *pass) isDoubted(m store.Manifest) bool {
	if time.Since(m.Confirmed) < confirmedFor {
		return false
	}
	p.doubts.mu.Lock()
	wrong := p.doubts.wrong > 0
	p.doubts.mu.Unlock()
	if wrong {
		return true
	}
	last, err := p.s.Store.Passes(p.ref, fewPasses)
	if err != nil {
		return false // the pass fails by it elsewhere
	}
	for _, pass := range last {
		if slices.ContainsFunc(pass.Failures, func(f store.Failure) bool {
			return f.Reason == string(failure.ReasonChecksum) || f.Reason == string(failure.ReasonNotFound)
		}) {
			return true
		}
		if pass.State == store.Complete {
			break
		}
	}
	return false
}
