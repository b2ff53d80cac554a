// Package progress is what a pass tells while it runs: how far it is, and what it waits
// for. The pass writes, anyone reads, and nothing waits for a reader.
package progress

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// Progress is what a pass has done so far. The pass adds to it; anyone may read it at any
// time.
type Progress struct {
	Phase atomic.Int32 // a Phase

	Total    atomic.Int64 // selected entries; 0 until they are counted
	Done     atomic.Int64 // entries in the mirror, with a record
	Failed   atomic.Int64 // entries given up
	Examined atomic.Int64 // bytes of the mirror read to check them

	// Expected is about how many bytes this pass will fetch, 0 if unknown.
	Expected atomic.Int64
	Fetched  atomic.Int64 // body bytes received, used or not
	Retries  atomic.Int64
	// Connections is the number of running requests.
	Connections atomic.Int64

	waits    waits // see Waits
	silences silences
	holds    holds
	sources  atomic.Pointer[askedSources]
	told     atomic.Pointer[[]Wait] // of another process, instead of those above
}

// Phase is the current activity of a pass.
type Phase int32

// The phases of a pass, in order.
const (
	PhaseManifest Phase = iota // fetching the manifest
	PhaseSurvey                // comparing it with the mirror
	PhaseTransfer              // fetching, examining and committing
	PhaseEnd
)

// Enter begins a phase.
func (p *Progress) Enter(phase Phase) {
	p.silences.forget()
	p.Phase.Store(int32(phase))
}

var phaseNames = []string{"manifest", "survey", "transfer", "end"}

// String returns the name of the phase, such as "transfer".
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
	*p = Phase(i) //nolint:gosec // one of a few
	return nil
}
