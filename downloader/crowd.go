package downloader

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"mimicsync/manifest"
)

// crowd is what the workers of a pass know of each other: who has nothing to do
// finds there which transfer to help. Safe for concurrent use.
type crowd struct {
	mu      sync.Mutex
	owned   int                    // entries that are offered or obtained; each may need help yet
	sharing map[*transfer]struct{} // transfers that others may join
	changed chan struct{}          // closed, and made anew, when there may be something to do
}

func newCrowd() *crowd {
	return &crowd{sharing: map[*transfer]struct{}{}, changed: make(chan struct{})}
}

// own counts entries that are on their way to a worker, or have one.
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

// announce wakes those who wait. The caller holds mu.
func (c *crowd) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// neediest returns the transfer with the most missing that wants help, nil if
// there is none; whether anybody has an entry; and what to wait for.
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

// runFetcher obtains entries, and helps with those of others when there are no
// more, until all are done.
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

// next returns an entry, or else a transfer to help, or io.EOF when the pass has
// neither any more. It sets wanted to nil when that is closed.
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
	slow := time.NewTimer(leastTime) // a transfer may also want help because its line got slow
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

// own obtains an entry as its owner.
func (p *pass) own(ctx context.Context, e manifest.Entry, work *scratch) error {
	defer p.crowd.own(-1)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return p.obtain(ctx, e, work)
}
