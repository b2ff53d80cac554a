package downloader

import (
	"errors"
	"sync"
	"time"

	"mimicsync/manifest"
	"mimicsync/store"
)

const (
	// checkpointEvery, and checkpointBytes per connection, limit what a kill can cost.
	checkpointEvery = 2 * time.Second
	checkpointBytes = 8 << 20
)

// checkpoints syncs and records the partials of running transfers, all together, every 2 s
// and whenever one of them has written 8 MiB since.
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

// noteWritten tells the checkpointer that a transfer wrote bytes: since of them on one
// connection since its last checkpoint. It starts to follow a transfer only if that lives
// long enough to matter.
func (p *pass) noteWritten(t *transfer, since int64) {
	c := p.checkpoints
	if !t.listed.Load() {
		if time.Since(t.started) < checkpointEvery/2 && since < checkpointBytes/2 {
			return
		}
		c.Lock()
		c.running[t.entry.Digest] = t
		c.Unlock()
		t.listed.Store(true)
	}
	if since >= checkpointBytes {
		select {
		case c.due <- struct{}{}:
		default:
		}
	}
}

// leave takes a transfer off the list.
func (p *pass) leave(t *transfer) {
	if !t.listed.Load() {
		return
	}
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	delete(p.checkpoints.running, t.entry.Digest)
	t.listed.Store(false)
}

// checkpointAll records every listed transfer that wrote something.
func (p *pass) checkpointAll() error {
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	var moved []*transfer
	for _, t := range p.checkpoints.running {
		if t.segs.HasMoved() {
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

// divide records that bytes of a transfer may lie after a gap, before any do: from then on
// the length of its file says nothing, and what was last synced counts until the next
// checkpoint.
func (p *pass) divide(t *transfer) error {
	p.checkpoints.Lock()
	defer p.checkpoints.Unlock()
	t.mu.Lock()
	divided := t.meta.Split
	t.meta.Split, t.meta.Boot, t.meta.Updated = true, p.s.boot, time.Now()
	meta := t.meta
	t.mu.Unlock()
	if divided {
		return nil
	}
	if err := p.s.Tree.NamePartial(t.file); err != nil {
		return err
	}
	t.recorded = true
	t.digest.Follow(t.file.File, t.segs.Front)
	return p.s.Store.PutPartials(meta)
}

// record syncs the partials and then records them. If one can't be synced, only its
// previously durable bytes count, whoever continues it. The caller holds p.checkpoints.
func (p *pass) record(transfers ...*transfer) error {
	partials := make([]store.Partial, 0, len(transfers))
	var failed error
	for _, t := range transfers {
		if err := p.s.Tree.NamePartial(t.file); err != nil {
			return err
		}
		front, ahead := t.segs.Record()
		var err error
		if front > 0 || len(ahead) > 0 {
			err = p.s.Tree.SyncData(t.file)
		}
		t.mu.Lock()
		if err == nil {
			t.meta.Durable, t.meta.Ahead, t.meta.Boot = front, ahead, p.s.boot
		} else {
			failed = errors.Join(failed, err)
			p.committer.syncing.Fail(err)
			t.meta.Boot = ""
		}
		t.meta.Updated = time.Now()
		partials = append(partials, t.meta)
		t.mu.Unlock()
		t.recorded = true
	}
	p.s.at("partials synced")
	if err := errors.Join(failed, p.s.Store.PutPartials(partials...)); err != nil {
		return err
	}
	p.s.at("partials recorded")
	return nil
}
