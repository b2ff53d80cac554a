package pace

import (
	"context"
	"sync"
	"time"
)

// Room is for workers of a pass that have a partial open, any number while there
// are files enough. Safe for concurrent use.
type Room struct {
	mu      sync.Mutex
	inside  int
	allowed int           // 0: any number
	done    int           // since allowed was set
	shrunk  time.Time     // last
	changed chan struct{} // closed when there may be room for another one, nil while nobody waits
}

// Enter waits for room. It fails when ctx ends before.
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

// Leave ends enter. After some time without trouble there is room for one more.
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

// roomBurst is how long trouble counts as one: it comes in bursts.
const roomBurst = 400 * time.Millisecond

// Shrink has room for half of those that are inside. Trouble comes in bursts: one
// counts.
func (r *Room) Shrink(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.shrunk) < roomBurst {
		return
	}
	r.shrunk, r.done = now, 0
	r.allowed = max(r.inside/2, 1)
}
