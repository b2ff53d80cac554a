package daemon

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"mimicsync/daemon/notify"
	"mimicsync/downloader/failure"
	"mimicsync/internal/durable"
	"mimicsync/store"
)

// shortage is how much a full disk lacks before passes continue.
type shortage struct {
	bytes  int64 // that must be free
	inodes int64
	until  time.Time // it lasts at least until then
}

// A disk that was full is used again when this much is free.
const (
	reserveBytes  = 64 << 20
	reserveInodes = 1000
)

// overIn reports whether there is room again.
func (s *shortage) overIn(space durable.Space, now time.Time) bool {
	return space.Bytes >= s.bytes && (space.Inodes < 0 || space.Inodes >= s.inodes) && !now.Before(s.until)
}

// isFull reports whether something failed for lack of space: on the mirror's disk, or on
// the state's.
func isFull(err error) bool {
	return errors.Is(err, failure.ErrNoSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// needed is the space that a pass lacked, 0 for other errors.
func needed(err error) int64 {
	if e, ok := errors.AsType[*failure.SpaceError](err); ok && e.Err == nil {
		return e.Need
	}
	return 0
}

// retryAfterRoom starts refreshes again for which there is room by now.
func (d *Daemon) retryAfterRoom() {
	for _, s := range d.datasets {
		if s.needs > 0 && s.scheduled() && d.space.Bytes >= s.needs {
			s.needs, s.retryAt, s.agenda.Refreshing, s.agenda.unsaved = 0, time.Time{}, true, true
		}
	}
}

// runOut makes all passes wait until there is room, and notifies people once.
func (d *Daemon) runOut(s *dataset, p *pass, o outcome, now time.Time) {
	d.shortage = &shortage{bytes: reserveBytes}
	unseen := false
	if e, ok := errors.AsType[*failure.SpaceError](p.err); ok {
		d.shortage.bytes = max(e.Need, reserveBytes)
		if e.Inodes {
			d.shortage.inodes = reserveInodes
		}
		unseen = !e.Inodes && e.Need > 0 && e.Free >= e.Need
	}
	if unseen || d.shortage.overIn(d.space, now) {
		// A quota, which the file system doesn't report, or the state's disk: find out by
		// trying.
		d.shortage.until = now.Add(retryWait(s.retries))
		s.retries++
	}
	for _, other := range d.datasets {
		if other.running != nil {
			other.running.stop(stopSpace)
		}
	}
	t := d.all.Trouble
	if t == nil {
		t = &store.Trouble{Condition: string(NoSpace), Since: now}
		d.all.Trouble = t
	}
	t.Why, t.Cure, d.all.unsaved = o.why, o.cure, true
	if !slices.Contains(t.Told, o.key) {
		t.Told = append(t.Told, o.key)
		d.tellOf(notify.NoSpace, p, o.why, o.cure)
	}
}
