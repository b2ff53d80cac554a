// Package retry decides what a failure means: whether the same source is asked again, when,
// and for how long. Patience decides it for one entry at one source, Health for a host that
// all passes share. Only this package uses backoff; sources make one attempt and return a
// plain error.
package retry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Verdict is what an error means for the attempt that met it.
type Verdict int

// What follows an error.
const (
	transient   Verdict = iota // retry a few times
	doubtful                   // refused, perhaps by mistake: retry a few times
	unreachable                // the host can't be reached: wait for it without counting a try
	early                      // requests came too fast: wait without counting a try
	wrong                      // the bytes were wrong: retry, but fewer times
	Permanent                  // the source can't serve this entry; the pass goes on
	Barred                     // the source serves nothing until a person does something
	Fatal                      // the pass can't go on
)

// Tries of one entry at one source, counted since its last progress.
const (
	maxTransient = 8
	// MaxWrong is lower because wrong digests come from caches and proxies, which don't recover
	// because they are asked more often.
	MaxWrong    = 4
	maxDoubtful = 3
	// manifestDoubt is how long an invalid manifest is requested again: a person is
	// waiting, and it may well stay so.
	manifestDoubt = 30 * time.Second
	// outageLimit is how long a host may be away before the pass gives up: long enough for
	// the restart of a server or a line that recovers.
	outageLimit = 30 * time.Minute
	// ElsewhereWrong and ElsewhereOutage are those limits if another source may have the
	// entry.
	ElsewhereWrong  = 2
	ElsewhereOutage = 2 * time.Minute
)

// Classify is the only place that decides what an error means.
func Classify(err error) (Verdict, failure.Reason) {
	var access *source.AccessError
	var mismatch *failure.MismatchError
	var size *failure.SizeError
	var space *failure.SpaceError
	var status *source.StatusError
	var state *store.Error
	switch {
	case errors.Is(err, failure.ErrUnreachable), errors.Is(err, failure.ErrNoService):
		return Barred, reasonOfOutage(err)
	case errors.As(err, &access):
		if access.Denial == source.Forbidden {
			return Permanent, failure.ReasonDenied // this file only; a refusal of all files shows soon, see stillAllowed
		}
		return Barred, failure.ReasonUnauthorized
	case failure.IsOutOfFiles(err):
		return Permanent, failure.ReasonIO // retried after its partial is closed, see withFiles
	case errors.Is(err, failure.ErrManifest):
		return Permanent, failure.ReasonChecksum
	case errors.Is(err, source.ErrNotExist):
		return Permanent, failure.ReasonNotFound
	case errors.Is(err, source.ErrNotModified):
		return Permanent, failure.ReasonNetwork // it answers a question about the manifest
	case errors.As(err, new(*failure.BoundlessError)):
		return Permanent, failure.ReasonSize // another try would take as long
	case errors.As(err, &space) && space.Disk > 0:
		return Permanent, failure.ReasonNoSpace // this object will not fit, others may
	case errors.Is(err, failure.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Fatal, failure.ReasonNoSpace
	case errors.As(err, &state), errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrClosed), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EIO):
		return Fatal, failure.ReasonIO
	case errors.Is(err, manifest.ErrUnsafePath):
		return Permanent, failure.ReasonUnsafePath
	case failure.SeenUnder(err) != "":
		return Permanent, failure.ReasonChecksum // until it changes
	case errors.As(err, new(*source.EncodingError)):
		return Permanent, failure.ReasonNetwork // its bytes are unknown
	case errors.As(err, &mismatch):
		return wrong, failure.ReasonChecksum
	case errors.Is(err, source.ErrNotPublished):
		return Permanent, failure.ReasonNotFound
	case errors.Is(err, source.ErrWebPage):
		return wrong, failure.ReasonNetwork // it says nothing about the entry
	case errors.As(err, &size) && size.Got > size.Want:
		return wrong, failure.ReasonSize
	case errors.As(err, &size):
		return transient, failure.ReasonSize
	case errors.As(err, &status) && AnswerOfStatus(status) == pace.TooFast:
		return early, failure.ReasonNetwork
	case isCertificate(err):
		return Barred, failure.ReasonNetwork
	case IsUnreachable(err):
		return unreachable, failure.ReasonNetwork
	case isLocal(err):
		return Permanent, failure.ReasonIO
	}
	return transient, failure.ReasonNetwork
}

// reasonOfOutage is the reason of a host that had trouble for too long.
func reasonOfOutage(err error) failure.Reason {
	access, refused := errors.AsType[*source.AccessError](err)
	switch {
	case refused && access.Denial == source.Forbidden:
		return failure.ReasonDenied
	case refused:
		return failure.ReasonUnauthorized
	case errors.Is(err, source.ErrNotExist):
		return failure.ReasonNotFound
	}
	return failure.ReasonNetwork
}

func isCertificate(err error) bool {
	var cert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &cert) || errors.As(err, &authority) || errors.As(err, &host)
}

// IsUnreachable reports whether no connection was made: the host doesn't accept it, its
// name is unknown, or a proxy refuses.
func IsUnreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var proxy *source.ProxyError
	return errors.As(err, &proxy) || errors.As(err, &dns) || errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// isLocal reports whether the mirror's file system refused.
func isLocal(err error) bool {
	var p *fs.PathError
	var l *os.LinkError
	return errors.As(err, &p) || errors.As(err, &l)
}

// Patience is the backoff.BackOff of one entry at one source: exponential with jitter from
// half a second to a minute, or as long as the server asks. An attempt that made progress
// starts it over.
type Patience struct {
	*backoff.ExponentialBackOff
	budget *pace.Budget
	health *Health
	Outage time.Duration
	// ByClock means that only the duration of trouble counts.
	ByClock bool
	granted time.Duration // that the host asked for
	Served  func() bool   // whether the source served anything else to the same account; nil: no
	Sole    bool          // no other source may have it
	doubts  int           // ambiguous refusals
	tries   int           // failed ones since the last progress
	Wrong   int           // wrong digests; progress doesn't reset them
	pause   time.Duration
	// resting means that the host has trouble, and that the next attempt waits at its
	// health.
	resting bool
	early   int       // refusals in a row for being too fast
	since   time.Time // of the first of them
	down    time.Time // since when the host can't be reached; zero while it can
}

// NewPatience returns the patience with a host for one entry.
func NewPatience(b *pace.Budget, h *Health) *Patience {
	return &Patience{
		ExponentialBackOff: newWaits(500 * time.Millisecond),
		budget:             b,
		health:             h,
		Outage:             outageLimit,
	}
}

// newWaits are the waits between attempts: doubling, with jitter, up to a minute.
func newWaits(first time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(time.Minute),
		backoff.WithMaxElapsedTime(0), // it would include the time of the attempts, and some take days
	)
}

// judge notes how an attempt ended and returns the error for backoff.Retry.
func (p *Patience) judge(err error, progress bool) error {
	if err == nil {
		return nil
	}
	if progress {
		p.tries = 0
		p.Reset()
	}
	v := p.Verdict(err)
	p.pause = retryAfter(err)
	if !p.ByClock && (IsTrouble(err) || v == doubtful) && !p.health.IsWell() { // the host failed, and is waited for
		p.Reset()
		p.pause, p.resting = 0, true
		return err
	}
	p.resting = false
	if v == early {
		if p.early == 0 {
			p.since = time.Now()
		}
		p.early++
	} else {
		p.early = 0
	}
	switch v {
	case Permanent, Barred, Fatal:
		return backoff.Permanent(err)
	case unreachable:
		now := time.Now()
		if p.down.IsZero() || !p.ByClock && p.budget.Contact().After(p.down) {
			p.down = now // others may have reached it since
		}
		if lasted := now.Sub(p.down); lasted > p.Outage+p.granted {
			if _, refused := errors.AsType[*source.AccessError](err); !refused && !errors.Is(err, failure.ErrManifest) { // those errors say everything
				err = endless(err, lasted)
			}
			return backoff.Permanent(err)
		}
		p.granted = min(p.granted+p.pause, outageLimit)
	case wrong:
		p.Wrong++
		if p.health.isProven() { // one more try is enough
			p.Wrong++
		}
	case doubtful:
		p.doubts++
		if errors.Is(err, source.ErrNotExist) { // one more try is enough
			p.doubts++
		}
	case transient:
		p.tries++
	}
	return err
}

// Verdict is that of Classify, considering what the source did for others.
func (p *Patience) Verdict(err error) Verdict {
	v, _ := Classify(err)
	access, refused := errors.AsType[*source.AccessError](err)
	if (v == Permanent || v == Barred) && refused && !access.Sure && !errors.Is(err, failure.ErrNoService) &&
		p.Served != nil && p.Served() {
		v = doubtful
	}
	if v == Permanent && !p.ByClock && p.Sole && errors.Is(err, source.ErrNotExist) {
		v = doubtful // in every case, even before anything arrived
	}
	if !p.ByClock && (v == doubtful || errors.Is(err, source.ErrWebPage)) && p.health.isProven() {
		return Permanent
	}
	switch {
	case !p.ByClock:
	case v == doubtful && refused: // if it served us before, wait a moment
		p.Outage = min(p.Outage, accessElsewhere)
		return unreachable
	case asksForPassword(err) && (p.Served == nil || !p.Served()):
		return Barred
	case errors.Is(err, failure.ErrManifest) && !errors.Is(err, source.ErrNotExist) && !errors.Is(err, failure.ErrLongManifest) && !isShrunk(err):
		p.Outage = min(p.Outage, manifestDoubt) // half a manifest, or something else: the server has trouble, or its authors are at work
		return unreachable
	case IsTrouble(err) && v != Permanent && v != Barred:
		return unreachable
	}
	return v
}

// asksForPassword reports whether a proxy asks for a login: a setting that a person has to
// fix, unless the proxy let others through before.
func asksForPassword(err error) bool {
	proxy, ok := errors.AsType[*source.ProxyError](err)
	return ok && proxy.Code == http.StatusProxyAuthRequired
}

func isShrunk(err error) bool {
	_, shrunk := errors.AsType[*failure.ShrunkError](err)
	return shrunk
}

// NextBackOff is the wait before the next attempt, or backoff.Stop.
func (p *Patience) NextBackOff() time.Duration {
	if p.resting {
		return 0
	}
	if p.doubts >= maxDoubtful || p.tries >= maxTransient || p.Wrong >= MaxWrong || p.early >= maxTransient && time.Since(p.since) > p.Outage {
		return backoff.Stop
	}
	if p.early > 0 && p.pause > 0 {
		return p.pause + rand.N(min(p.pause/4, time.Second)+1) //nolint:gosec // the host knows best, and jitter is no secret
	}
	return max(p.ExponentialBackOff.NextBackOff(), p.pause)
}

// Persist repeats an attempt until it succeeds or another one makes no sense. attempt
// reports whether it made progress.
func (p *Patience) Persist(ctx context.Context, attempt func() (progress bool, err error), notify func(error, time.Duration)) error {
	err := backoff.RetryNotify(func() error {
		progress, err := attempt()
		if ctx.Err() != nil && err != nil {
			return backoff.Permanent(context.Cause(ctx))
		}
		return p.judge(err, progress)
	}, backoff.WithContext(p, ctx), notify)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
