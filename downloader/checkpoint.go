package downloader

import (
	"sync"
	"time"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// checkpoints makes what running transfers have written durable and records
// it, all together, every 2 s and whenever one of them has written 8 MiB since.
type checkpoints struct {
	sync.Mutex // held while partials are recorded or dropped; guards running
	running    map[manifest.Digest]*transfer
	due        chan struct{} // a transfer has written 8 MiB since its last checkpoint
}

func newCheckpoints() *checkpoints {
	return &checkpoints{running: map[manifest.Digest]*transfer{}, due: make(chan struct{}, 1)}
}

// run checkpoints until stop is closed.
func (p *pass) runCheckpoints(stop <-chan struct{}) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		case <-p.checkpoints.due:
		}
		if err := p.checkpointAll(); err != nil {
			p.stop(p.spaceError(err, 0))
			return
		}
	}
}

// noteWritten lets the checkpointer know of a transfer that moved. The first
// time it is new to it only if it lives long enough to matter.
func (p *pass) noteWritten(t *transfer) {
	c := p.checkpoints
	written := t.written.Load()
	if !t.onList {
		if time.Since(t.started) < checkpointEvery/2 && written < checkpointBytes/2 {
			return
		}
		c.Lock()
		c.running[t.entry.Digest] = t
		c.Unlock()
		t.onList = true
	}
	if written-t.marked.Load() >= checkpointBytes {
		select {
		case c.due <- struct{}{}:
		default:
		}
	}
}

// leave takes a transfer off the list.
func (p *pass) leave(t *transfer) {
	if !t.onList {
		return
	}
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	delete(p.checkpoints.running, t.entry.Digest)
	t.onList = false
}

// checkpointAll records every listed transfer that moved.
func (p *pass) checkpointAll() error {
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	var moved []*transfer
	for _, t := range p.checkpoints.running {
		if t.written.Load() != t.marked.Load() {
			moved = append(moved, t)
		}
	}
	return p.record(moved...)
}

// checkpointOne records one transfer, listed or not.
func (p *pass) checkpointOne(t *transfer) error {
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	return p.record(t)
}

// record syncs the partials and then records them. The caller holds
// p.checkpoints.
func (p *pass) record(transfers ...*transfer) error {
	partials := make([]store.Partial, 0, len(transfers))
	for _, t := range transfers {
		written := t.written.Load()
		if written > 0 {
			if err := durable.SyncData(t.file); err != nil {
				return err
			}
		}
		t.metaMu.Lock()
		t.meta.Durable, t.meta.Boot, t.meta.Updated = written, p.s.boot, time.Now()
		partials = append(partials, t.meta)
		t.metaMu.Unlock()
		t.marked.Store(written)
		t.recorded = true
	}
	p.s.at("partials synced")
	if err := p.s.Store.PutPartials(partials...); err != nil {
		return err
	}
	p.s.at("partials recorded")
	return nil
}
