package downloader

import (
	"context"
	"fmt"
	"io"
)

// open asks a source for an entry. What comes of it counts towards
// Options.MaxTransfer; manifests do not, or a pass whose limit is below its
// manifest's size would never get anywhere.
func (p *pass) open(ctx context.Context, from Source, r Request) (*Object, error) {
	object, err := from.Open(ctx, r)
	if err == nil && p.s.MaxTransfer > 0 {
		object.Body = &countedBody{object.Body, p}
	}
	return object, err
}

// countedBody ends its pass at the first read after more than
// Options.MaxTransfer bytes came. All that came is used: the excess is one read
// of each connection at most.
type countedBody struct {
	io.ReadCloser
	p *pass
}

func (b *countedBody) Read(to []byte) (int, error) {
	s := b.p.s
	if s.transferred.Load() > s.MaxTransfer {
		err := fmt.Errorf("%w: %s fetched", ErrLimit, size(s.MaxTransfer))
		b.p.stop(err) // not by the error alone: the entry has not failed
		return 0, err
	}
	n, err := b.ReadCloser.Read(to)
	s.transferred.Add(int64(n))
	return n, err
}
