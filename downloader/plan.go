package downloader

import (
	"context"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

// Plan is what a pass over a dataset version would do.
type Plan struct {
	Ref            manifest.Ref
	Total          int64 // selected entries
	Present        int64 // in the mirror and recorded
	PresentBytes   int64
	Examine        int64 // in the mirror without a valid record: to be hashed, and adopted if right
	Fetch          int64 // not in the mirror
	Unsafe         int64 // refused for their path
	PublishedBytes int64 // size of the whole version if all of it is selected, 0 when unknown
	Free           durable.Space
}

// FetchBytes is about how many bytes the pass would fetch, 0 when unknown. Files
// to examine count as if none were right.
func (p *Plan) FetchBytes() int64 { return max(p.PublishedBytes-p.PresentBytes, 0) }

// Plan gets the manifest, compares it with the mirror and says what Pull would
// do. It fetches no data and changes no file of the dataset; the manifest it got
// stays in .mimicsync for the pull to come.
func (s *Syncer) Plan(ctx context.Context, ref manifest.Ref, selection manifest.Selection) (*Plan, error) {
	p, ctx := s.newPass(ctx, ref, selection, new(Progress))
	defer p.cancel(nil)
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	var err error
	p.plan.Free, err = s.Tree.free()
	return &p.plan, err
}
