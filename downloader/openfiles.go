package downloader

import (
	"context"
	"math/rand/v2"
	"time"

	"mimicsync/downloader/failure"
)

const (
	// filesWait is the pause before a retry; other transfers close files in the meantime.
	filesWait = 200 * time.Millisecond
	// filesLimit is when to give up.
	filesLimit = 5 * time.Minute
	// filesSaid is the least time between log lines, in seconds.
	filesSaid = 10
)

// withFiles runs do, which opens files of the mirror, and retries it while the process has
// no free file descriptors, which is no fault of an entry. Each failure takes a connection
// from the budgets and lets fewer workers open partials, so that waiting workers don't
// starve those that could finish.
func (p *pass) withFiles(ctx context.Context, worker bool, do func() error) error {
	for start := time.Now(); ; {
		if worker && !p.room.Enter(ctx) {
			return context.Cause(ctx)
		}
		err := do()
		lacks := failure.IsOutOfFiles(err)
		if lacks {
			p.room.Shrink(time.Now())
		}
		if worker {
			p.room.Leave(!lacks)
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

// sayScarce logs it, and lowers the budgets of all sources.
func (p *pass) sayScarce(ctx context.Context, err error) {
	if now, last := time.Now().Unix(), p.scarce.Load(); now-last >= filesSaid && p.scarce.CompareAndSwap(last, now) {
		p.s.Logger.WarnContext(ctx, "too many open files: fewer connections", "dataset", p.ref.String(), "err", err)
	}
	for _, c := range p.sources {
		c.Budget.OutOfFiles()
	}
}
