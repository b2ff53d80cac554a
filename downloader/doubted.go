package downloader

import (
	"slices"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/store"
)

const (
	// confirmedFor is how long a manifest counts as right after two downloads were equal:
	// it may have 200 MB.
	confirmedFor = 24 * time.Hour
	// fewPasses is how many earlier passes are searched for failures.
	fewPasses = 5
)

// isDoubted reports whether files didn't match the manifest, or were missing at the source,
// since the manifest was last confirmed. It may have been damaged in transit, with lines
// that look right, while the source keeps answering that it hasn't changed.
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
		return false // the pass fails by this elsewhere
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
