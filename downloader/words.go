package downloader

import (
	"strings"

	"mimicsync/store"
)

const (
	// maxWords bounds what is kept and told of one failure, in bytes: a part of it may
	// be a server's.
	maxWords = 1 << 10
	// maxListed bounds the failures of a report all together: names may be long.
	maxListed = 4 << 20
)

// clipped is the beginning of a text that is too long.
func clipped(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " ..."
}

// list adds a failure to those that are listed one by one, if there is room for it.
// The caller holds mu.
func (t *tally) list(f store.Failure) {
	f.Detail = clipped(f.Detail, maxWords)
	if t.listed += len(f.Path) + len(f.Detail); len(t.report.Failures) < maxFailures && t.listed <= maxListed {
		t.report.Failures = append(t.report.Failures, f)
	}
}

// shown are the first failures of a pass: as many as a person reads.
func shown(all []store.Failure) []store.Failure {
	const most, mostBytes = 20, 16 << 10
	bytes := 0
	for i, f := range all[:min(len(all), most)] {
		if bytes += len(f.Path) + len(f.Detail); bytes > mostBytes {
			return all[:max(i, 1)]
		}
	}
	return all[:min(len(all), most)]
}
