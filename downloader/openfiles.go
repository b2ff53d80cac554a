package downloader

import (
	"context"
	"math/rand/v2"
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

// sayScarce says it in the log, and has the sources be asked over fewer connections.
func (p *pass) sayScarce(ctx context.Context, err error) {
	if now, last := time.Now().Unix(), p.scarce.Load(); now-last >= filesSaid && p.scarce.CompareAndSwap(last, now) {
		p.s.Logger.WarnContext(ctx, "too many open files: fewer connections", "dataset", p.ref.String(), "err", err)
	}
	for _, c := range p.sources {
		c.Budget.OutOfFiles()
	}
}
