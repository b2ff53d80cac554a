package daemon

import "time"

// deaf is how long the daemon may take between two decisions. It decides at least once a
// minute, unless a disk doesn't answer or the program has a bug.
const deaf = 3 * time.Minute

// decided notes the time of a decision.
func (d *Daemon) decided() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastDecision = time.Now()
}

// Alive reports whether the daemon still makes decisions, for a watchdog. It is true before
// Run. Time while the machine sleeps doesn't count.
func (d *Daemon) Alive() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.running || time.Since(d.lastDecision) < deaf
}
