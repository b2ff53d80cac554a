package retry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

const (
	// manyFailures is how many requests in a row must fail before the host is probed.
	manyFailures = 3
	// accessOutage is how long a host may refuse everyone whom it served before, until the
	// refusal is believed; accessElsewhere is that time if another source may have the
	// entry. They are short because each request with a wrong password costs the server a
	// hash.
	accessOutage    = 2 * time.Minute
	accessElsewhere = 20 * time.Second
	// unknownOutage is how long a host that served the manifest, and nothing else to
	// compare with, may refuse, lack or damage everything. Then that is believed of each
	// entry.
	unknownOutage = 30 * time.Second
	// provenTimes is how often failures must have been the entries' own, with nothing in
	// between, until the next ones are believed sooner: as in a closed folder.
	provenTimes = 2
	// lastAsk is how long before the end of its patience a pass asks once more.
	lastAsk = 5 * time.Second
)

// Health is what all passes know about a host: whether failures are due to the entries or
// to the host. If several requests in a row fail, whatever the answers (a deployment, a
// portal or a firewall disguises itself as content, as a wrong digest, as a refusal),
// something that arrived before is requested. If that fails too, the host has trouble:
// everyone waits and one asks, less and less often, until the host is well or their
// patience ends; meanwhile no failure counts against an entry. If it arrives, the failures
// are due to the entries. If nothing arrived before, one entry after the other is requested
// in its place, and failures that may be the entries' own are believed after half a minute.
//
// Safe for concurrent use. The zero value is a healthy host.
type Health struct {
	mu     sync.Mutex
	failed int // requests in a row
	wrong  int // wrong digests since a right one
	// wrongPath is the entry of the last one.
	wrongPath string
	cleared   int       // how often failures were the entries' own, since one arrived
	believed  bool      // failures that may be the entries' own are theirs, until one arrives
	trouble   error     // the last failure; nil while the host is well
	unknown   bool      // nothing arrived before to compare with
	since     time.Time // when the trouble began
	next      time.Time // when the host is asked again
	asking    bool      // someone is asking it now
	waits     *backoff.ExponentialBackOff
	changed   chan struct{} // closed and replaced when the waiting ones should look again
	came      map[manifest.Ref][]Reference
	listed    map[manifest.Ref]string // the source that served the manifest
}

// IsWell reports whether the host has no known trouble.
func (h *Health) IsWell() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trouble == nil
}

// Verified notes an entry that arrived from a source with the right digest, by a request
// made at the time begun.
func (h *Health) Verified(source string, ref manifest.Ref, e manifest.Entry, size int64, begun time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remember(Reference{source, ref, e, size}, func(was Reference) bool {
		return was.source != source || was.Size > WholeReference || size <= WholeReference
	})
	h.cleared, h.believed = 0, false
	if !h.isLate(begun) {
		h.recover()
	}
}

// isLate reports whether a successful request was made before the trouble began, and thus
// says nothing about it. The caller holds mu.
func (h *Health) isLate(begun time.Time) bool { return h.trouble != nil && begun.Before(h.since) }

// Answered notes how a request for an entry ended. tolerance is how many failures in a row
// a busy host may answer to that many connections.
func (h *Health) Answered(src string, ref manifest.Ref, err error, tolerance int, begun time.Time) {
	_, refused := errors.AsType[*source.AccessError](err)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch letIn := h.letsIn(src, ref); {
	case refused && !letIn: // it never served anything, so this is no hiccup
	case err == nil && h.isLate(begun):
	case err == nil:
		h.failed = 0
		if h.wrong < manyFailures { // otherwise wait for a right digest
			h.mend()
		}
	case IsTrouble(err), errors.Is(err, source.ErrNotExist) && letIn:
		h.failed++
		if h.failed >= max(h.many(), tolerance) {
			h.fall(src, ref, err)
		}
	}
}

// many is how many failures in a row start a probe: more each time that they were the
// entries' own, as in a closed folder. The caller holds mu.
func (h *Health) many() int { return manyFailures << min(h.cleared, 5) }

// Mismatched notes a wrong digest. An entry that is wrong again and again says nothing
// about its host.
func (h *Health) Mismatched(source string, ref manifest.Ref, err *failure.MismatchError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wrong == 0 || h.wrongPath != err.Path || h.trouble != nil {
		h.wrong++
	}
	if h.wrongPath = err.Path; h.wrong >= manyFailures {
		h.fall(source, ref, err)
	}
}

// fall starts the trouble, or notes the next failure in it. The first one probes
// immediately whether it is trouble at all. The caller holds mu.
func (h *Health) fall(source string, ref manifest.Ref, err error) {
	_, known := h.compare(source, ref, err)
	if !known && h.believed && mayBeItsOwn(err) {
		return
	}
	h.unknown = !known
	if h.trouble == nil {
		h.since, h.next = time.Now(), time.Now().Add(retryAfter(err))
		h.waits = newWaits(time.Second)
	}
	h.trouble = err
}

// recover ends the trouble, and the doubts about digests. The caller holds mu.
func (h *Health) recover() {
	h.wrong = 0
	h.mend()
}

// mend ends the trouble after an answer whose digest is not known yet. The caller holds mu.
func (h *Health) mend() {
	h.failed = 0
	if h.trouble == nil {
		return
	}
	h.trouble = nil
	h.announce()
}

func (h *Health) announce() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// Enter lets a request pass while the host is well. Otherwise the caller waits until it is
// (ask is false), or until the caller is the one to ask, and then must call Asked. waiting
// is told what the wait is for. The error is that of ctx, or says that the trouble has
// lasted longer than limit, for a caller that started at the time began.
func (h *Health) Enter(ctx context.Context, began time.Time, limit time.Duration, waiting func(why error, since, until time.Time)) (ask bool, err error) {
	for {
		h.mu.Lock()
		now, since := time.Now(), h.since
		if began.After(since) {
			since = began
		}
		switch {
		case h.trouble == nil:
			h.mu.Unlock()
			return false, nil
		case now.Sub(since) >= h.limitOf(limit) && h.unknown && mayBeItsOwn(h.trouble):
			h.believe()
			h.mu.Unlock()
			return false, nil
		case now.Sub(since) >= h.limitOf(limit):
			defer h.mu.Unlock()
			return false, endless(h.trouble, now.Sub(since))
		case !h.asking && !now.Before(h.next):
			h.asking = true
			h.mu.Unlock()
			return true, nil
		}
		if h.changed == nil {
			h.changed = make(chan struct{})
		}
		changed, until := h.changed, since.Add(h.limitOf(limit))
		if !h.asking && h.next.Before(until) {
			until = h.next
		}
		why, since, next := h.trouble, h.since, h.next // since when others wait, too
		h.mu.Unlock()
		waiting(why, since, next)
		alarm := time.NewTimer(until.Sub(now))
		select {
		case <-changed:
		case <-alarm.C:
		case <-ctx.Done():
			alarm.Stop()
			return false, context.Cause(ctx)
		}
		alarm.Stop()
	}
}

// Asked reports the outcome of asking.
func (h *Health) Asked(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asking = false
	switch {
	case h.trouble == nil, err != nil && OutcomeOf(err) == "": // over, or canceled: another one asks
	case IsTrouble(err), errors.Is(err, source.ErrNotExist):
		h.trouble, h.cleared = err, 0
		now := time.Now()
		h.next = now.Add(h.waits.NextBackOff())
		if last := h.since.Add(h.limitOf(outageLimit) - lastAsk); now.Before(last) && h.next.After(last) {
			h.next = last
		}
		h.next = later(h.next, now.Add(retryAfter(err)))
	default: // it arrived, or the source says what is wrong: then each entry learns it
		h.cleared++
		h.recover()
	}
	h.announce()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// limitOf is how long the trouble may last for a caller with that patience. The caller
// holds mu.
func (h *Health) limitOf(limit time.Duration) time.Duration {
	_, access := errors.AsType[*source.AccessError](h.trouble)
	switch {
	case access && limit < outageLimit:
		return min(limit, accessElsewhere)
	case h.unknown && mayBeItsOwn(h.trouble):
		return min(limit, unknownOutage)
	case access, errors.Is(h.trouble, source.ErrNotExist):
		return min(limit, accessOutage)
	}
	return limit
}

// mayBeItsOwn reports whether a failure may be due to an entry, or its folder: with nothing
// to compare with, nobody waits long for that.
func mayBeItsOwn(err error) bool {
	_, access := errors.AsType[*source.AccessError](err)
	_, wrong := errors.AsType[*failure.MismatchError](err)
	return access || wrong || errors.Is(err, source.ErrNotExist)
}

// believe ends a trouble with nothing to compare with: from here on failures are the
// entries' own. The caller holds mu.
func (h *Health) believe() {
	h.believed, h.cleared = true, max(h.cleared, provenTimes)
	h.recover()
	h.announce()
}

// isProven reports whether failures were the entries' own again and again.
func (h *Health) isProven() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trouble == nil && h.cleared >= provenTimes
}

// DoubtsDigests reports whether the trouble is about wrong digests.
func (h *Health) DoubtsDigests() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, wrong := errors.AsType[*failure.MismatchError](h.trouble)
	return wrong
}

// endless is the error of trouble that lasted too long.
func endless(trouble error, lasted time.Duration) error {
	why := failure.ErrNoService
	if IsUnreachable(trouble) {
		why = failure.ErrUnreachable
	}
	return fmt.Errorf("%w for %s: %w", why, lasted.Round(time.Second), trouble)
}

// IsTrouble reports whether an error may be due to the host, and not only to an entry. A
// refusal may come from a firewall or a proxy, unless the source itself says in detail what
// is wrong.
func IsTrouble(err error) bool {
	if err == nil || errors.Is(err, failure.ErrUnreachable) || errors.Is(err, failure.ErrNoService) || failure.IsOutOfFiles(err) {
		return false
	}
	if access, ok := errors.AsType[*source.AccessError](err); ok {
		switch access.Cause {
		case "", source.CauseNotGranted, source.CauseOwner, source.CauseShut, source.CauseAccessPoint, source.CauseIdentityPolicy, source.CauseNoLogin, source.CauseStranger, source.CauseUnexplained:
			return !access.Sure
		}
		return false
	}
	v, _ := Classify(err)
	return (v == transient || v == unreachable || v == early || v == wrong) && OutcomeOf(err) != "" && !errors.Is(err, failure.ErrStray)
}

// retryAfter is how long the host asks to be left alone.
func retryAfter(err error) time.Duration {
	if status, ok := errors.AsType[*source.StatusError](err); ok {
		return status.RetryAfter
	}
	return 0
}
