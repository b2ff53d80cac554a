package daemon

import (
	"mimicsync/daemon/notify"
	"mimicsync/internal/durable"
)

// Tell lets a test tell of what would take many passes.
func (d *Daemon) Tell(e notify.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell(e)
}

// SetFree lets a test say how much room there is, before Run.
func (d *Daemon) SetFree(bytes func() int64) {
	d.free = func(string) (durable.Space, error) { return durable.Space{Bytes: bytes(), Inodes: -1}, nil }
}

// NextTime and Correct are for the tables of their tests.
var (
	NextTime = nextTime
	Correct  = correct
)
