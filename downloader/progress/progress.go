// Package progress is what a pass tells while it runs: how far it is, and what it waits
// for. The pass writes, anybody reads, and nothing waits for a reader.
package progress

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// Progress is what a pass has done so far, for whoever wants to show it. The
// pass adds to it; anybody may read it at any time. Nothing waits for a reader.
type Progress struct {
	Phase atomic.Int32 // a Phase

	Total    atomic.Int64 // selected entries; 0 until they are counted
	Done     atomic.Int64 // entries that are in the mirror and recorded
	Failed   atomic.Int64 // entries given up
	Examined atomic.Int64 // bytes of the mirror read to see whether they are right

	// Expected is about how many bytes this pass will fetch, 0 when unknown.
	Expected atomic.Int64
	Fetched  atomic.Int64 // body bytes that arrived, used or not
	Retries  atomic.Int64
	// Connections is how many requests run.
	Connections atomic.Int64

	waits    waits // see Waits
	silences silences
	holds    holds
	sources  atomic.Pointer[askedSources]
	told     atomic.Pointer[[]Wait] // by another process, in the place of those above
}

// Phase is what a pass is busy with.
type Phase int32

// The phases of a pass, in order.
const (
	PhaseManifest Phase = iota // it fetches the manifest
	PhaseSurvey                // it compares the manifest with the mirror
	PhaseTransfer              // it fetches, examines and commits
	PhaseEnd
)

// Enter begins a phase.
func (p *Progress) Enter(phase Phase) {
	p.silences.forget()
	p.Phase.Store(int32(phase))
}

var phaseNames = []string{"manifest", "survey", "transfer", "end"}

// String returns the phase's word, as in "transfer".
func (p Phase) String() string {
	if p >= 0 && int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("Phase(%d)", int32(p))
}

// MarshalText returns String.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (p *Phase) UnmarshalText(text []byte) error {
	i := slices.Index(phaseNames, string(text))
	if i < 0 {
		return fmt.Errorf("unknown phase %q", text)
	}
	*p = Phase(i) //nolint:gosec // one of four
	return nil
}
