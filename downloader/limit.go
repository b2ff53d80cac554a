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

// Within returns a context that ends passes cleanly, with ErrLimit, after a duration; 0
// means no limit.
func Within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s have passed", failure.ErrLimit, limit))
}

// spending is how much of Options.MaxTransfer and MaxCost passes have used.
type spending struct {
	transferred atomic.Int64 // bytes of entries received
	bill        cost.Bill    // their cost
}

// open requests an entry from a source. Its bytes count toward Options.MaxTransfer and
// MaxCost; manifests don't, so that a pass with a limit below the size of its manifest
// still makes progress. unanswered is how often the entry was given up before an answer
// began.
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
// Options.MaxTransfer or Options.MaxCost is exceeded. Everything received is used: the
// excess is at most one read per connection.
type countedBody struct {
	io.ReadCloser
	p    *pass
	from *candidate
}

func (b *countedBody) Read(to []byte) (int, error) {
	s := b.p.s
	if s.MaxTransfer > 0 && b.p.spent.transferred.Load() > s.MaxTransfer {
		err := fmt.Errorf("%w: %s fetched", failure.ErrLimit, humanize.Bytes(uint64(s.MaxTransfer)))
		b.p.stop(err) // stop the pass, since the entry itself has not failed
		return 0, err
	}
	if err := b.p.afford(b.from, 0, 0); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(to)
	b.p.spent.transferred.Add(int64(n))
	if n > 0 {
		_ = b.p.afford(b.from, int64(n), 0) // these bytes are paid for and used; the next read returns the error
	}
	return n, err
}
