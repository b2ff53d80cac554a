package downloader

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"mimicsync/downloader/failure"
)

const (
	// filesWait is between tries of what no file could be opened for; others end
	// theirs in the meantime.
	filesWait = 200 * time.Millisecond
	// filesLimit is when to say that it does not get better.
	filesLimit = 5 * time.Minute
	// filesSaid is for how many seconds to say it once.
	filesSaid = 10
)

// withFiles does what opens files of the mirror, and does it again while it fails
// for lack of them: that is no fault of an entry. Each time, all sources are asked
// over one connection less, and fewer workers have a partial open at a time, lest
// those that wait keep the files from those that could end.
func (p *pass) withFiles(ctx context.Context, worker bool, do func() error) error {
	for start := time.Now(); ; {
		if worker && !p.room.enter(ctx) {
			return context.Cause(ctx)
		}
		err := do()
		lacks := failure.IsOutOfFiles(err)
		if lacks {
			p.room.shrink(time.Now())
		}
		if worker {
			p.room.leave(!lacks)
		}
		if !lacks || time.Since(start) > filesLimit {
			return err
		}
		p.sayScarce(ctx, err)
		select {
		case <-time.After(filesWait + rand.N(filesWait)): //nolint:gosec // jitter is no secret
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sayScarce says it in the log, and has the sources be asked over fewer connections.
func (p *pass) sayScarce(ctx context.Context, err error) {
	if now, last := time.Now().Unix(), p.scarce.Load(); now-last >= filesSaid && p.scarce.CompareAndSwap(last, now) {
		p.s.Logger.WarnContext(ctx, "too many open files: fewer connections", "dataset", p.ref.String(), "err", err)
	}
	for _, c := range p.sources {
		c.Budget.OutOfFiles()
	}
}

// room is for workers of a pass that have a partial open, any number while there
// are files enough. Safe for concurrent use.
type room struct {
	mu      sync.Mutex
	inside  int
	allowed int           // 0: any number
	done    int           // since allowed was set
	shrunk  time.Time     // last
	changed chan struct{} // closed when there may be room for another one, nil while nobody waits
}

// enter waits for room. It fails when ctx ends before.
func (r *room) enter(ctx context.Context) bool {
	for {
		r.mu.Lock()
		if r.allowed == 0 || r.inside < r.allowed {
			r.inside++
			r.mu.Unlock()
			return true
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// leave ends enter. After some time without trouble there is room for one more.
func (r *room) leave(well bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside--
	const times = 16
	if r.done++; well && r.allowed > 0 && r.done >= times*r.allowed {
		r.allowed, r.done = r.allowed+1, 0
	}
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// shrink has room for half of those that are inside. Trouble comes in bursts: one
// counts.
func (r *room) shrink(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.shrunk) < 2*filesWait {
		return
	}
	r.shrunk, r.done = now, 0
	r.allowed = max(r.inside/2, 1)
}
