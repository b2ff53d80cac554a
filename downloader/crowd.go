package downloader

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"mimicsync/downloader/segment"
	"mimicsync/manifest"
)

// crowd is what the workers of a pass know about each other: idle workers find a transfer
// to help here. Safe for concurrent use.
type crowd struct {
	mu      sync.Mutex
	owned   int                    // entries offered or being fetched; each may still need help
	sharing map[*transfer]struct{} // transfers that others may join
	changed chan struct{}          // closed and replaced when there may be something to do

	resting int           // workers waiting to retry their entry
	sparing int           // spare workers in their place
	rested  chan struct{} // holds a token when there may be someone to stand in for

	stragglers stragglers
}

func newCrowd() *crowd {
	return &crowd{sharing: map[*transfer]struct{}{}, changed: make(chan struct{}), rested: make(chan struct{}, spareWorkers), stragglers: newStragglers()}
}

// rest counts workers that wait to retry their entry.
func (c *crowd) rest(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resting += n
	select {
	case c.rested <- struct{}{}:
	default:
	}
}

// spare counts working spare workers. It refuses one that would stand in for nobody.
func (c *crowd) spare(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 && c.sparing >= c.resting {
		return false
	}
	c.sparing += n
	return true
}

// own counts entries on their way to a worker, or with one.
func (c *crowd) own(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owned += n; c.owned == 0 {
		c.announce()
	}
}

// open lets others join a transfer.
func (c *crowd) open(t *transfer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.sharing[t]; !ok {
		c.sharing[t] = struct{}{}
		c.announce()
	}
}

// close ends open.
func (c *crowd) close(t *transfer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sharing, t)
}

// announce wakes the waiting workers. The caller holds mu.
func (c *crowd) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// neediest returns the transfer with the most missing bytes that wants help, or nil;
// whether any worker has an entry; and what to wait for.
func (c *crowd) neediest() (most *transfer, owned bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing int64
	for t := range c.sharing {
		if left, ok := t.wantsHelp(); ok && left > missing {
			most, missing = t, left
		}
	}
	return most, c.owned > 0, c.changed
}

// runFetcher fetches entries, helps other workers when there are no more, and ends when all
// are done.
func (p *pass) runFetcher(ctx context.Context, wanted <-chan manifest.Entry) error {
	work := newScratch()
	for {
		e, t, err := p.next(ctx, &wanted)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case t != nil:
			err = t.help(ctx, work.buf)
		default:
			err = p.own(ctx, e, work)
		}
		if err != nil {
			return err
		}
	}
}

// spareWorkers keep the connections busy while others wait to retry an entry; a host that
// refuses many at once would otherwise be idle.
const spareWorkers = 16

// runSpare fetches entries in the place of resting workers, until over is closed.
func (p *pass) runSpare(ctx context.Context, wanted <-chan manifest.Entry, over <-chan struct{}) error {
	var work *scratch
	for {
		select {
		case <-p.crowd.rested:
		case <-over:
			return nil
		case <-ctx.Done():
			return nil
		}
		for p.crowd.spare(1) {
			if work == nil {
				work = newScratch()
			}
			found, err := p.standIn(ctx, wanted, work)
			p.crowd.spare(-1)
			if err != nil {
				return err
			}
			if !found {
				break
			}
		}
	}
}

// standIn fetches the next entry, if there is one now.
func (p *pass) standIn(ctx context.Context, wanted <-chan manifest.Entry, work *scratch) (found bool, err error) {
	select {
	case e, ok := <-wanted:
		if !ok {
			return false, nil
		}
		return true, p.own(ctx, e, work)
	default:
		return false, nil
	}
}

// next returns an entry, or a transfer to help, or io.EOF when the pass has neither. It
// sets wanted to nil when that is closed.
func (p *pass) next(ctx context.Context, wanted *<-chan manifest.Entry) (e manifest.Entry, t *transfer, err error) {
	for {
		select {
		case e, ok := <-*wanted:
			if ok {
				return e, nil, nil
			}
			*wanted = nil
		default:
		}
		t, owned, changed := p.crowd.neediest()
		switch {
		case t != nil:
			return e, t, nil
		case *wanted == nil && !owned:
			return e, nil, io.EOF
		}
		if e, ok, err := p.wait(ctx, wanted, changed); ok || err != nil {
			return e, nil, err
		}
	}
}

// wait waits for an entry, or for a change in the crowd.
func (p *pass) wait(ctx context.Context, wanted *<-chan manifest.Entry, changed <-chan struct{}) (e manifest.Entry, ok bool, err error) {
	slow := time.NewTimer(segment.LeastTime) // a transfer may also want help because its line got slow
	defer slow.Stop()
	select {
	case e, ok = <-*wanted:
		if !ok {
			*wanted = nil
		}
	case <-changed:
	case <-slow.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return e, ok, err
}

// own fetches an entry as its owner.
func (p *pass) own(ctx context.Context, e manifest.Entry, work *scratch) error {
	defer p.crowd.own(-1)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return p.obtain(ctx, e, work)
}
