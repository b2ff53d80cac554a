package downloader

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/retry"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// askForWhatCame requests an entry that the source served before, or that the mirror has
// from it, and another one if that is gone. known is false if there is none.
func (p *pass) askForWhatCame(ctx context.Context, c *candidate) (known bool, err error) {
	h := c.Health
	for {
		came, ok := h.Probe(c.Name(), p.ref)
		if !ok {
			return false, nil
		}
		if err = p.askFor(ctx, c, came); !errors.Is(err, source.ErrNotExist) || !h.Gone(came) {
			return true, err
		}
	}
}

func (p *pass) askFor(ctx context.Context, c *candidate, came retry.Reference) error {
	ctx, dog := host.Watch(ctx, p.s.IdleTimeout)
	defer dog.End()
	request := source.Request{Ref: came.Ref, Path: came.Entry.Path}
	if came.Size > retry.WholeReference {
		request.Length = 1
	}
	object, err := p.open(ctx, c, request, 0)
	p.s.answered(c.Name(), err)
	if err != nil {
		return err
	}
	defer func() { _ = object.Body.Close() }() // judged by its digest
	dog.Heard()
	if came.Size > retry.WholeReference {
		_, err = io.ReadFull(object.Body, make([]byte, 1))
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, &heardReader{r: io.LimitReader(object.Body, retry.WholeReference+1), dog: dog})
	if got := manifest.Digest(sum.Sum(nil)); err == nil && got != came.Entry.Digest {
		err = &failure.MismatchError{Path: came.Entry.Path, Want: came.Entry.Digest, Got: got, Size: n}
	}
	return err
}
