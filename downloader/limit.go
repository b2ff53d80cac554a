package downloader

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
)

// Within ends passes in good order, with ErrLimit, when some time is over; 0 is no
// limit.
func Within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s have passed", failure.ErrLimit, limit))
}

// spending is what passes have taken of Options.MaxTransfer and MaxCost.
type spending struct {
	transferred atomic.Int64 // bytes of entries that came
	bill        cost.Bill    // for them
}

// open asks a source for an entry. What comes of it counts towards
// Options.MaxTransfer and MaxCost; manifests do not, or a pass whose limit is
// below its manifest's size would never get anywhere. unanswered is how often the
// entry was given up before because no answer began.
func (p *pass) open(ctx context.Context, from *candidate, r source.Request, unanswered int32) (*source.Object, error) {
	if err := p.afford(from, 0, 1); err != nil {
		return nil, err
	}
	object, err := from.OpenAgain(ctx, r, int(unanswered))
	if err == nil && (p.s.MaxTransfer > 0 || !from.price.IsFree()) {
		object.Body = &countedBody{object.Body, p, from}
	}
	return object, err
}

// countedBody ends its pass, or the use of its source, at the first read after
// more than Options.MaxTransfer bytes came, or more than Options.MaxCost was
// spent. All that came is used: the excess is one read of each connection at most.
type countedBody struct {
	io.ReadCloser
	p    *pass
	from *candidate
}

func (b *countedBody) Read(to []byte) (int, error) {
	s := b.p.s
	if s.MaxTransfer > 0 && b.p.spent.transferred.Load() > s.MaxTransfer {
		err := fmt.Errorf("%w: %s fetched", failure.ErrLimit, humanize.Bytes(uint64(s.MaxTransfer)))
		b.p.stop(err) // not by the error alone: the entry has not failed
		return 0, err
	}
	if err := b.p.afford(b.from, 0, 0); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(to)
	b.p.spent.transferred.Add(int64(n))
	if n > 0 {
		_ = b.p.afford(b.from, int64(n), 0) // these bytes are paid for: they are used, and the next read says it
	}
	return n, err
}
