package daemon

import (
	"slices"
)

// keptDetails bounds how many files the passes that have ended name, all together:
// those that failed, were moved aside, or collide. Of those beyond, the earliest passes
// first, as many stay as the history has; the counts stay in any case.
const keptDetails = 20_000

// trimDetails keeps the memory of ended passes in bounds. The caller holds mu.
func (d *Daemon) trimDetails() {
	left := keptDetails
	for _, p := range slices.Backward(d.recent) {
		if !p.ended {
			continue
		}
		if left -= p.details(); left < 0 {
			p.trim()
			left = 0
		}
	}
}

// details counts the files that a pass names.
func (p *pass) details() (n int) {
	if r := p.report; r != nil {
		n += len(r.Failures) + len(r.Quarantined) + len(r.Collisions)
	}
	if v := p.verification; v != nil {
		n += len(v.Failures) + len(v.Quarantined)
	}
	return n
}

// trim leaves a pass the first of the files that it names. Others may be reading what
// it had, so that they get copies.
func (p *pass) trim() {
	if r := p.report; r != nil {
		short := *r
		short.Failures, short.Quarantined, short.Collisions = firstOf(r.Failures), firstOf(r.Quarantined), firstOf(r.Collisions)
		p.report = &short
	}
	if v := p.verification; v != nil {
		short := *v
		short.Failures, short.Quarantined = firstOf(v.Failures), firstOf(v.Quarantined)
		p.verification = &short
	}
}
