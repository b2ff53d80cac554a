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
	// manyFailures is how many requests in a row must fail before the host is
	// looked into.
	manyFailures = 3
	// accessOutage is how long a host may refuse everybody whom it served before,
	// until the refusal is believed, and accessElsewhere the same where another
	// source may have the entry: short, as each request with a wrong password costs
	// the server a hash.
	accessOutage    = 2 * time.Minute
	accessElsewhere = 20 * time.Second
	// unknownOutage is how long a host that gave the manifest, and has given nothing
	// else that it could be compared by, may refuse or lack everything, or give what is
	// wrong. Then that is believed of each entry.
	unknownOutage = 30 * time.Second
	// provenTimes is how often failures must have been the entries' own, with nothing
	// in between, until the next ones are believed sooner: as in a folder that is closed.
	provenTimes = 2
	// lastAsk is how long before the end of its patience a pass asks once more.
	lastAsk = 5 * time.Second
)

// Health is what all passes know of one host: whether what fails is the entry's
// fault or the host's. Where several requests in a row fail, whatever the answers
// (a deployment, a portal or a firewall disguises itself as content, as a wrong
// digest, as a refusal), something is asked for that came before. If that fails as
// well, the host is in trouble: all wait and one asks, less and less often, until
// it is well or the patience of those who wait is at its end. Meanwhile no failure
// counts as an entry's. If it comes, the failures are those of the entries. Where
// nothing came before, one entry after the other is asked for in its place, and what
// may be the entries' own is believed after half a minute.
//
// Safe for concurrent use. The zero value is that of a host that is well.
type Health struct {
	mu     sync.Mutex
	failed int // requests in a row
	wrong  int // wrong digests, since a right one
	// wrongPath is the entry of the last of them.
	wrongPath string
	cleared   int       // how often failures were the entries' own, since one came
	believed  bool      // what may be the entries' own is theirs, until one comes
	trouble   error     // the last failure, nil while the host is well
	unknown   bool      // there is nothing that came before, to compare by
	since     time.Time // when the trouble began
	next      time.Time // when the host is asked again
	asking    bool      // somebody asks it now
	waits     *backoff.ExponentialBackOff
	changed   chan struct{} // closed, and made anew, when those who wait are to look again
	came      map[manifest.Ref][]Reference
	listed    map[manifest.Ref]string // the source that gave the manifest
}

// IsWell reports whether nothing is known against the host.
func (h *Health) IsWell() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trouble == nil
}

// Verified notes an entry that came from a source, and was right, by a request that
// was made at the time begun.
func (h *Health) Verified(source string, ref manifest.Ref, e manifest.Entry, size int64, begun time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep(Reference{source, ref, e, size}, func(was Reference) bool {
		return was.source != source || was.Size > WholeReference || size <= WholeReference
	})
	h.cleared, h.believed = 0, false
	if !h.isLate(begun) {
		h.recover()
	}
}

// isLate reports whether a request that succeeded was made before the trouble began:
// it says nothing of it. The caller holds mu.
func (h *Health) isLate(begun time.Time) bool { return h.trouble != nil && begun.Before(h.since) }

// Answered notes how a request for an entry ended. tolerance is how many failures
// in a row are no more than what a busy host says to so many connections.
func (h *Health) Answered(src string, ref manifest.Ref, err error, tolerance int, begun time.Time) {
	_, refused := errors.AsType[*source.AccessError](err)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch letIn := h.letsIn(src, ref); {
	case refused && !letIn: // it never gave anything: that is no hiccup
	case err == nil && h.isLate(begun):
	case err == nil:
		h.failed = 0
		if h.wrong < manyFailures { // else a right digest is waited for
			h.mend()
		}
	case IsTrouble(err), errors.Is(err, source.ErrNotExist) && letIn:
		h.failed++
		if h.failed >= max(h.many(), tolerance) {
			h.fall(src, ref, err)
		}
	}
}

// many is how many failures in a row make it worth a look: more each time that they
// were the entries' own, as in a folder that is closed. The caller holds mu.
func (h *Health) many() int { return manyFailures << min(h.cleared, 5) }

// Mismatched notes a wrong digest. An entry that is wrong again and again says
// nothing of its host.
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

// fall begins the trouble, or notes the next failure in it. Who comes first asks
// at once whether it is trouble at all. The caller holds mu.
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

// recover ends the trouble, and what is held against the digests. The caller holds mu.
func (h *Health) recover() {
	h.wrong = 0
	h.mend()
}

// mend ends the trouble by an answer whose digest is not known yet. The caller holds
// mu.
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

// Enter lets a request pass while the host is well. While it is not, the caller
// waits: until it is (ask is false), or until it is the caller who asks, and then
// calls asked. waiting is told what is waited for. The error is that of ctx, or
// says that the trouble has lasted longer than limit, for a caller who came at the
// time began.
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

// Asked says what became of asking.
func (h *Health) Asked(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asking = false
	switch {
	case h.trouble == nil, err != nil && OutcomeOf(err) == "": // over, or broken off: another one asks
	case IsTrouble(err), errors.Is(err, source.ErrNotExist):
		h.trouble, h.cleared = err, 0
		now := time.Now()
		h.next = now.Add(h.waits.NextBackOff())
		if last := h.since.Add(h.limitOf(outageLimit) - lastAsk); now.Before(last) && h.next.After(last) {
			h.next = last
		}
		h.next = later(h.next, now.Add(retryAfter(err)))
	default: // it came, or the source says what is wrong: then each entry hears it
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

// limitOf is how long the trouble may last for who has that much patience. The
// caller holds mu.
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

// mayBeItsOwn reports whether a failure may well be that of an entry, or of the folder
// that it is in: nobody waits long for that where there is nothing to compare by.
func mayBeItsOwn(err error) bool {
	_, access := errors.AsType[*source.AccessError](err)
	_, wrong := errors.AsType[*failure.MismatchError](err)
	return access || wrong || errors.Is(err, source.ErrNotExist)
}

// believe ends a trouble without anything to compare by: what fails from here on is
// the entries' own. The caller holds mu.
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

// IsTrouble reports whether an error may be the host's, and not only an entry's. A
// refusal may be that of a firewall or a proxy, unless the source itself says in
// detail what is wrong.
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

// retryAfter is how long the host asks not to be asked.
func retryAfter(err error) time.Duration {
	if status, ok := errors.AsType[*source.StatusError](err); ok {
		return status.RetryAfter
	}
	return 0
}
