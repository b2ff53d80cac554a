package pace

import (
	"context"
	"sync"
	"time"
)

// Room limits how many workers of a pass have a partial open, while the process runs out of
// file descriptors. Safe for concurrent use.
type Room struct {
	mu      sync.Mutex
	inside  int
	allowed int           // 0: any number
	done    int           // since allowed was set
	shrunk  time.Time     // the last time
	changed chan struct{} // closed when there may be room for another; nil while nobody waits
}

// Enter waits for room; false if ctx ends first.
func (r *Room) Enter(ctx context.Context) bool {
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

// Leave ends Enter. After some time without trouble there is room for one more.
func (r *Room) Leave(well bool) {
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

// roomBurst is how long trouble counts as one, since it comes in bursts.
const roomBurst = 400 * time.Millisecond

// Shrink leaves room for half of those inside. A burst of trouble counts once.
func (r *Room) Shrink(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.shrunk) < roomBurst {
		return
	}
	r.shrunk, r.done = now, 0
	r.allowed = max(r.inside/2, 1)
}
