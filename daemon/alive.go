package daemon

import "time"

// deaf is how long the daemon may take to decide what is next. It does so at
// least once a minute; a disk that does not answer, or a mistake, stops it.
const deaf = 3 * time.Minute

// decided notes that the daemon came to a decision.
func (d *Daemon) decided() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastDecision = time.Now()
}

// Alive reports whether the daemon still decides what is next, for a watchdog. It
// is true before Run. Time that the machine sleeps does not count.
func (d *Daemon) Alive() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.running || time.Since(d.lastDecision) < deaf
}
