package downloader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/report"
	"mimicsync/downloader/retry"
	"mimicsync/manifest"
)

// release returns a connection, and tells the budget and the observer how it went.
func (s *Syncer) release(b host.Source, err error) {
	s.answered(b.Name(), err)
	b.Release(err)
}

// authority is the source that decides about manifests and versions.
func (s *Syncer) authority() host.Source {
	if s.Authority != nil {
		return *s.Authority
	}
	return s.Sources[0]
}

// choose returns the sources of these names, in their order; all sources if there are no
// names.
func (s *Syncer) choose(names []string) ([]host.Source, error) {
	if len(names) == 0 {
		return s.Sources, nil
	}
	var chosen []host.Source
	for i, name := range names {
		at := slices.IndexFunc(s.Sources, func(b host.Source) bool { return b.Name() == name })
		switch {
		case at < 0:
			return nil, fmt.Errorf("%w: %q is none of %s", failure.ErrSources, name, s.sourceNames())
		case slices.Contains(names[:i], name):
			return nil, fmt.Errorf("%w: %q is named twice", failure.ErrSources, name)
		}
		chosen = append(chosen, s.Sources[at])
	}
	return chosen, nil
}

func (s *Syncer) sourceNames() string {
	names := make([]string, len(s.Sources))
	for i, b := range s.Sources {
		names[i] = b.Name()
	}
	return strings.Join(names, ", ")
}

// connections is the number of workers: as many as the host with the largest budget can
// use. As long as one source serves everything, more would be idle.
func (p *pass) connections() (n int) {
	for _, c := range p.sources {
		_, _, ceiling := c.Budget.Connections()
		n = max(n, ceiling)
	}
	return n
}

// candidate is a source in one pass.
type candidate struct {
	host.Source

	// asking holds the requests, and waits for requests, that end when the source is
	// dropped. Guarded by mu.
	mu      sync.Mutex
	asking  map[*asking]struct{}
	dropped error // why it is no longer asked; nil while it is

	price cost.Price // of the pass's version
	bill  cost.Bill  // of this pass

	deciding chan struct{} // held while it is asked whether it serves the version at all

	// Guarded by tally.mu.
	report report.SourceReport
	denied int  // refusals in a row
	absent int  // entries in a row that it lacks
	whole  bool // it was asked for the version, and has it
}

func newCandidates(sources []host.Source, ref manifest.Ref) []*candidate {
	all := make([]*candidate, len(sources))
	for i, b := range sources {
		all[i] = &candidate{Source: b, price: b.PriceOf(ref), report: report.SourceReport{Name: b.Name()}, deciding: make(chan struct{}, 1), asking: map[*asking]struct{}{}}
	}
	return all
}

// asking is someone who asks a source.
type asking struct{ cancel context.CancelCauseFunc }

// ask returns a context that ends, with the reason, when the source is dropped. Call end
// when done with the source.
func (c *candidate) ask(ctx context.Context) (asked context.Context, end func()) {
	asked, cancel := context.WithCancelCause(ctx)
	a := &asking{cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped != nil {
		cancel(c.dropped)
		return asked, func() {}
	}
	c.asking[a] = struct{}{}
	return asked, func() {
		c.mu.Lock()
		delete(c.asking, a)
		c.mu.Unlock()
		cancel(nil)
	}
}

// sendAway ends the contexts that ask returned, for the reason err.
func (c *candidate) sendAway(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped = err
	for a := range c.asking {
		a.cancel(err)
	}
}

// isDropped reports whether the source is no longer asked.
func (c *candidate) isDropped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped != nil
}

// order is the order in which to ask for an entry: by preference, with sources that had its
// digest wrong at the end.
func (p *pass) order(d manifest.Digest) ([]*candidate, error) {
	if len(p.sources) == 1 {
		return p.sources, nil
	}
	wrong, err := p.s.Store.WrongAt(d)
	if err != nil || len(wrong) == 0 {
		return p.sources, err
	}
	var order, last []*candidate
	for _, c := range p.sources {
		if slices.Contains(wrong, c.Name()) {
			last = append(last, c)
		} else {
			order = append(order, c)
		}
	}
	return append(order, last...), nil
}

// drop ends the use of a source in this pass. It says so in the report and in the log,
// unless this is the last source, whose err ends the pass.
func (p *pass) drop(c *candidate, err error) {
	p.tally.mu.Lock()
	first := c.report.Err == nil
	if first {
		c.report.Err, c.report.Dropped = err, oneLine(err.Error())
		p.tally.dropped++
	}
	last := p.tally.dropped == len(p.sources)
	p.tally.mu.Unlock()
	if !first {
		return
	}
	c.sendAway(err)
	if !last {
		p.s.Logger.Warn("source dropped", "dataset", p.ref.String(), "from", c.Name(), "err", err)
	}
}

// droppedFor returns why a source is no longer asked; nil while it is.
func (p *pass) droppedFor(c *candidate) error {
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	return c.report.Err
}

// noneLeft returns the error of a pass whose sources are all dropped.
func (p *pass) noneLeft() error {
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	var misses unservedError
	for _, c := range p.sources {
		if c.report.Err == nil {
			return nil
		}
		misses = append(misses, miss{c.Name(), c.report.Err})
	}
	return misses
}

// missed judges why a source couldn't serve an entry, and reports whether another source
// may be asked: not if the trouble is local.
func (p *pass) missed(ctx context.Context, c *candidate, e manifest.Entry, err error, alone bool) (next bool) {
	v, reason := retry.Classify(err)
	switch {
	case v == retry.Fatal, reason == failure.ReasonIO, reason == failure.ReasonUnsafePath:
		return false
	case p.droppedFor(c) != nil: // no longer about this entry
		return true
	case v == retry.Barred:
		p.drop(c, err)
		return true
	}
	p.tally.mu.Lock()
	c.report.Failed++
	switch reason {
	case failure.ReasonDenied:
		c.denied++
	case failure.ReasonNotFound:
		c.absent++
	}
	if _, wrong := errors.AsType[*failure.MismatchError](err); wrong && alone {
		p.tally.noteWrong(c, p.ref, e, failure.SeenUnder(err))
	}
	p.tally.mu.Unlock()
	p.decide(ctx, c)
	return true
}

// decide drops a source that refuses or lacks the whole version. Meanwhile nobody asks it
// for other entries.
func (p *pass) decide(ctx context.Context, c *candidate) {
	if !c.awaitDecision(ctx) {
		return
	}
	defer func() { <-c.deciding }()
	if p.droppedFor(c) != nil {
		return
	}
	if err := errors.Join(p.stillAllowed(ctx, c), p.stillThere(ctx, c)); err != nil {
		p.drop(c, err)
	}
}

// awaitDecision waits until it is known whether a source stays, and takes deciding; false
// if ctx ends first.
func (c *candidate) awaitDecision(ctx context.Context) bool {
	select {
	case c.deciding <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// unservedError means that no source served an entry, and why, source by source.
type unservedError []miss

// miss is why a source couldn't serve an entry.
type miss struct {
	source string
	err    error
}

// String is one line that begins with the source's name.
func (m miss) String() string {
	text := oneLine(m.err.Error())
	if strings.HasPrefix(text, m.source+" ") || strings.HasPrefix(text, m.source+": ") {
		return text
	}
	return m.source + ": " + text
}

// Error is one line, unless a single source said more.
func (e unservedError) Error() string {
	if len(e) == 1 {
		return e[0].err.Error()
	}
	parts := make([]string, len(e))
	for i, m := range e {
		parts[i] = m.String()
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the reason that is easiest to cure.
func (e unservedError) Unwrap() error { return e.foremost().err }

// byCure lists the reasons why a source doesn't serve an entry, first those that a person
// or another pass can cure. A wrong digest is the reason only if every source that has the
// entry has it wrong.
var byCure = []failure.Reason{failure.ReasonUnauthorized, failure.ReasonDenied, failure.ReasonNetwork, failure.ReasonSize, failure.ReasonNoSpace, failure.ReasonChecksum, failure.ReasonNotFound}

func (e unservedError) foremost() miss {
	return slices.MinFunc(e, func(a, b miss) int { return rank(a.err) - rank(b.err) })
}

func rank(err error) int {
	_, reason := retry.Classify(err)
	return slices.Index(byCure, reason)
}

func oneLine(s string) string {
	return strings.ReplaceAll(report.Clip(strings.TrimSpace(s), report.MaxDetail), "\n", "; ")
}
