// Package host is a source as passes use it: with the connections to its host
// (pace.Budget), the health of the host (retry.Health) and its price. It opens one object
// for a caller who holds a connection, and closes connections on which no answer begins or
// no byte arrives.
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

// Source is a source.Source with its host.
type Source struct {
	source.Source

	Budget *pace.Budget // of the source's host, shared by all its users
	// Price is what the reader pays for a version; nil: nothing.
	Price func(manifest.Ref) cost.Price

	Health *retry.Health // of the source's host, shared like Budget; set by New
}

// Paused says why a request to the host would have to wait, see pace.Budget.Paused.
func (b Source) Paused() (until time.Time, why string) { return b.Budget.Paused() }

// Hosts are sources as a Progress shows them.
func Hosts(sources []Source) []progress.Host {
	all := make([]progress.Host, len(sources))
	for i, b := range sources {
		all[i] = b
	}
	return all
}

// WithHealth returns the sources with the health of their hosts; sources that share a
// budget share the health, too.
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

// Release returns a connection and tells the budget how it went.
func (b Source) Release(err error) {
	wait := time.Duration(0)
	if status, ok := errors.AsType[*source.StatusError](err); ok {
		wait = status.RetryAfter
	}
	b.Budget.Release(retry.AnswerOf(err), wait)
}

// PriceOf is the price of reading a version from the source.
func (b Source) PriceOf(ref manifest.Ref) cost.Price {
	if b.Price == nil {
		return cost.Price{}
	}
	return b.Price(ref)
}

// Tolerance is how many refusals in a row the budget already handles: each connection may
// get one.
func (b Source) Tolerance(err error) int {
	switch retry.AnswerOf(err) {
	case pace.Busy, pace.TooFast, pace.Closed:
	default:
		return 0
	}
	used, _, _ := b.Budget.Connections()
	return used + pace.RepeatedBusy
}
