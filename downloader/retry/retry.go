// Package retry decides what a failure means: whether the same source is asked again,
// when, and for how long. Patience does so for one entry at one source, Health for a
// host that all passes share. This is the only place that knows backoff; sources make
// one attempt and return a plain error.
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

// Tries of one entry at one source, counted since it last made progress.
const (
	maxTransient = 8
	// MaxWrong is lower because wrong digests come from caches and proxies, which don't recover
	// because they are asked more often.
	MaxWrong    = 4
	maxDoubtful = 3
	// manifestDoubt is how long a manifest is asked for again that came, and is none: a
	// person waits for what may well stay so.
	manifestDoubt = 30 * time.Second
	// outageLimit is how long a host may be away before the pass gives up: long
	// enough for a server's restart or a line that comes back by itself.
	outageLimit = 30 * time.Minute
	// ElsewhereWrong and elsewhereOutage are the same where another source may
	// have the entry.
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
			return Permanent, failure.ReasonDenied // of one file; that it is all of them shows soon, see stillAllowed
		}
		return Barred, failure.ReasonUnauthorized
	case failure.IsOutOfFiles(err):
		return Permanent, failure.ReasonIO // with its partial closed it is tried again, see withFiles
	case errors.Is(err, failure.ErrManifest):
		return Permanent, failure.ReasonChecksum
	case errors.Is(err, source.ErrNotExist):
		return Permanent, failure.ReasonNotFound
	case errors.Is(err, source.ErrNotModified):
		return Permanent, failure.ReasonNetwork // an answer to a question about the manifest
	case errors.As(err, new(*failure.BoundlessError)):
		return Permanent, failure.ReasonSize // it would take as long again
	case errors.As(err, &space) && space.Disk > 0:
		return Permanent, failure.ReasonNoSpace // for this object there is no hope, and for others there is
	case errors.Is(err, failure.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Fatal, failure.ReasonNoSpace
	case errors.As(err, &state), errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrClosed), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EIO):
		return Fatal, failure.ReasonIO
	case errors.Is(err, manifest.ErrUnsafePath):
		return Permanent, failure.ReasonUnsafePath
	case failure.SeenUnder(err) != "":
		return Permanent, failure.ReasonChecksum // until it changes
	case errors.As(err, new(*source.EncodingError)):
		return Permanent, failure.ReasonNetwork // nobody can say what its bytes are
	case errors.As(err, &mismatch):
		return wrong, failure.ReasonChecksum
	case errors.Is(err, source.ErrNotPublished):
		return Permanent, failure.ReasonNotFound
	case errors.Is(err, source.ErrWebPage):
		return wrong, failure.ReasonNetwork // it says nothing of the entry
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

// reasonOfOutage is what a host said that was in trouble for too long.
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

// IsUnreachable reports whether no connection came about: the host does not take
// it, its name is unknown, or a proxy in between refuses.
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

// Patience is the backoff.BackOff of one entry at one source: exponential with
// jitter from half a second to a minute, or as long as the server asked for.
// An attempt that brought bytes forward starts it anew.
type Patience struct {
	*backoff.ExponentialBackOff
	budget *pace.Budget
	health *Health
	Outage time.Duration
	// ByClock means that no trouble counts but by the time that it lasts.
	ByClock bool
	granted time.Duration // what the host asked for of it
	Served  func() bool   // whether the source gave anything else to the same account; nil: it did not
	Sole    bool          // no other source may have it
	doubts  int           // refusals in doubt
	tries   int           // that failed, since there was progress
	Wrong   int           // wrong digests; progress does not excuse them
	pause   time.Duration
	// resting means that the host is in trouble: where its health is asked, the next
	// attempt waits there.
	resting bool
	early   int       // refusals in a row for being too fast
	since   time.Time // of the first of them
	down    time.Time // the host has been away since, zero while it is not
}

// NewPatience returns the patience of one request with a host.
func NewPatience(b *pace.Budget, h *Health) *Patience {
	return &Patience{
		ExponentialBackOff: newWaits(500 * time.Millisecond),
		budget:             b,
		health:             h,
		Outage:             outageLimit,
	}
}

// newWaits are the waits between attempts: twice as long each time, with jitter, up
// to a minute.
func newWaits(first time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(time.Minute),
		backoff.WithMaxElapsedTime(0), // it would count the attempts' own time, and some take days
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
	if !p.ByClock && (IsTrouble(err) || v == doubtful) && !p.health.IsWell() { // it is the host's failure, and it is waited for there
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
			p.down = now // others may have got through since
		}
		if lasted := now.Sub(p.down); lasted > p.Outage+p.granted {
			if _, refused := errors.AsType[*source.AccessError](err); !refused && !errors.Is(err, failure.ErrManifest) { // those say it all
				err = endless(err, lasted)
			}
			return backoff.Permanent(err)
		}
		p.granted = min(p.granted+p.pause, outageLimit)
	case wrong:
		p.Wrong++
		if p.health.isProven() { // once more is enough
			p.Wrong++
		}
	case doubtful:
		p.doubts++
		if errors.Is(err, source.ErrNotExist) { // once more is enough
			p.doubts++
		}
	case transient:
		p.tries++
	}
	return err
}

// Verdict is that of classify, in the light of what the source did for others.
func (p *Patience) Verdict(err error) Verdict {
	v, _ := Classify(err)
	access, refused := errors.AsType[*source.AccessError](err)
	if (v == Permanent || v == Barred) && refused && !access.Sure && !errors.Is(err, failure.ErrNoService) &&
		p.Served != nil && p.Served() {
		v = doubtful
	}
	if v == Permanent && !p.ByClock && p.Sole && errors.Is(err, source.ErrNotExist) {
		v = doubtful // in every case, also before anything came
	}
	if !p.ByClock && (v == doubtful || errors.Is(err, source.ErrWebPage)) && p.health.isProven() {
		return Permanent
	}
	switch {
	case !p.ByClock:
	case v == doubtful && refused: // whoever was served before waits for a moment
		p.Outage = min(p.Outage, accessElsewhere)
		return unreachable
	case asksForPassword(err) && (p.Served == nil || !p.Served()):
		return Barred
	case errors.Is(err, failure.ErrManifest) && !errors.Is(err, source.ErrNotExist) && !errors.Is(err, failure.ErrLongManifest) && !isShrunk(err):
		p.Outage = min(p.Outage, manifestDoubt) // half of it, or something else: a server in trouble, or its authors at work
		return unreachable
	case IsTrouble(err) && v != Permanent && v != Barred:
		return unreachable
	}
	return v
}

// asksForPassword reports whether a proxy wants to know who we are: that is a
// setting which a person has to mend, unless it let others through before.
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

// Persist repeats an attempt until it succeeds or there is no sense in it.
// attempt reports whether it brought bytes forward.
func (p *Patience) Persist(ctx context.Context, attempt func() (progress bool, err error), notify func(error, time.Duration)) error {
	progress, err := attempt()
	if err == nil {
		return nil
	}
	first := true
	err = backoff.RetryNotify(func() error {
		if !first {
			progress, err = attempt()
		}
		first = false
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
