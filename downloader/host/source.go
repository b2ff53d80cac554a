// Package host is a source as passes use it: with the connections that its host gives
// (pace.Budget), what is known of the host (retry.Health) and what its reader pays. It
// opens one object for one who has a connection, and gives up a connection on which no
// answer begins, or no byte comes.
package host

import (
	"errors"
	"time"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/retry"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// Source is a Source with the connections that its host may be asked over.
type Source struct {
	source.Source

	Budget *pace.Budget // of the source's host, shared by all that talk to it
	// Price is what its reader pays for a version; nothing if nil.
	Price func(manifest.Ref) cost.Price

	Health *retry.Health // of the source's host, as Budget; set by New
}

// Paused says why a request to the source's host would have to wait, see
// pace.Budget.Paused.
func (b Source) Paused() (until time.Time, why string) { return b.Budget.Paused() }

// Hosts are sources as those of a Progress.
func Hosts(sources []Source) []progress.Host {
	all := make([]progress.Host, len(sources))
	for i, b := range sources {
		all[i] = b
	}
	return all
}

// WithHealth returns sources that know how their hosts are: those that share a budget
// share that, too.
func WithHealth(sources []Source, authority *Source) ([]Source, *Source) {
	hosts := map[*pace.Budget]*retry.Health{}
	of := func(b Source) Source {
		if hosts[b.Budget] == nil {
			hosts[b.Budget] = new(retry.Health)
		}
		b.Health = hosts[b.Budget]
		return b
	}
	all := make([]Source, len(sources))
	for i, b := range sources {
		all[i] = of(b)
	}
	if authority != nil {
		b := of(*authority)
		authority = &b
	}
	return all, authority
}

// Release gives a connection back and tells the budget how it went.
func (b Source) Release(err error) {
	wait := time.Duration(0)
	if status, ok := errors.AsType[*source.StatusError](err); ok {
		wait = status.RetryAfter
	}
	b.Budget.Release(retry.AnswerOf(err), wait)
}

// PriceOf is what reading a version from the source costs.
func (b Source) PriceOf(ref manifest.Ref) cost.Price {
	if b.Price == nil {
		return cost.Price{}
	}
	return b.Price(ref)
}

// Tolerance is how many refusals in a row are no more than what the budget sees to:
// each connection may hear one.
func (b Source) Tolerance(err error) int {
	switch retry.AnswerOf(err) {
	case pace.Busy, pace.TooFast, pace.Closed:
	default:
		return 0
	}
	used, _, _ := b.Budget.Connections()
	return used + pace.RepeatedBusy
}
