package daemon

import "mimicsync/internal/durable"

// SetFree lets a test say how much room there is, before Run.
func (d *Daemon) SetFree(bytes func() int64) {
	d.free = func(string) (durable.Space, error) { return durable.Space{Bytes: bytes(), Inodes: -1}, nil }
}

// NextTime and Correct are for the tables of their tests.
var (
	NextTime = nextTime
	Correct  = correct
)
