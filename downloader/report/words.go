package report

import (
	"strings"

	"mimicsync/store"
)

const (
	// MaxDetail limits the text of one failure, in bytes: a part of it may come from a
	// server.
	MaxDetail = 1 << 10
)

// Clip shortens a text that is too long.
func Clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " ..."
}

// First returns the first failures of a pass: as many as a person reads.
func First(all []store.Failure) []store.Failure {
	const most, mostBytes = 20, 16 << 10
	bytes := 0
	for i, f := range all[:min(len(all), most)] {
		if bytes += len(f.Path) + len(f.Detail); bytes > mostBytes {
			return all[:max(i, 1)]
		}
	}
	return all[:min(len(all), most)]
}
