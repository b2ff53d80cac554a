package daemon

import (
	"slices"
)

// keptDetails is how many file names all ended passes keep together: of files that failed,
// were moved aside, or collide. Beyond that, the earliest passes are cut to as many as the
// history has; the counts stay.
const keptDetails = 20_000

// trimDetails limits the memory of ended passes. The caller holds mu.
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

// details counts the file names of a pass.
func (p *pass) details() (n int) {
	if r := p.report; r != nil {
		n += len(r.Failures) + len(r.Quarantined) + len(r.Collisions)
	}
	if v := p.verification; v != nil {
		n += len(v.Failures) + len(v.Quarantined)
	}
	return n
}

// trim keeps only the first file names of a pass, in copies, because others may be reading
// the old slices.
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
