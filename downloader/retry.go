package downloader

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

// verdict is what an error means for the attempt that met it.
type verdict int

const (
	transient   verdict = iota // try again a few times
	doubtful                   // refused, by whom may be wrong about it: try again a few times
	unreachable                // the host is away: wait for it, this is not the entry's fault
	early                      // the host counts requests: nor is this
	wrong                      // the bytes were wrong: try again, but fewer times
	permanent                  // this entry cannot be had there; the pass goes on
	barred                     // nothing can be had there: a person has to do something first
	fatal                      // the pass cannot go on
)

// Tries of one entry at one source, counted since it last made progress.
const (
	maxTransient = 8
	maxWrong     = 4 // wrong digests come from caches and proxies, and those do not heal by asking more often
	maxDoubtful  = 3
	// manifestDoubt is how long a manifest is asked for again that came, and is none: a
	// person waits for what may well stay so.
	manifestDoubt = 30 * time.Second
	// outageLimit is how long a host may be away before the pass gives up: long
	// enough for a server's restart or a line that comes back by itself.
	outageLimit = 30 * time.Minute
	// elsewhereWrong and elsewhereOutage are the same where another source may
	// have the entry.
	elsewhereWrong  = 2
	elsewhereOutage = 2 * time.Minute
)

// classify is the only place that decides what an error means.
func classify(err error) (verdict, failure.Reason) {
	var access *source.AccessError
	var mismatch *failure.MismatchError
	var size *failure.SizeError
	var space *failure.SpaceError
	var status *source.StatusError
	var state *store.Error
	switch {
	case errors.Is(err, failure.ErrUnreachable), errors.Is(err, failure.ErrNoService):
		return barred, reasonOfOutage(err)
	case errors.As(err, &access):
		if access.Denial == source.Forbidden {
			return permanent, failure.ReasonDenied // of one file; that it is all of them shows soon, see stillAllowed
		}
		return barred, failure.ReasonUnauthorized
	case failure.IsOutOfFiles(err):
		return permanent, failure.ReasonIO // with its partial closed it is tried again, see withFiles
	case errors.Is(err, failure.ErrManifest):
		return permanent, failure.ReasonChecksum
	case errors.Is(err, source.ErrNotExist):
		return permanent, failure.ReasonNotFound
	case errors.Is(err, source.ErrNotModified):
		return permanent, failure.ReasonNetwork // an answer to a question about the manifest
	case errors.As(err, new(*failure.BoundlessError)):
		return permanent, failure.ReasonSize // it would take as long again
	case errors.As(err, &space) && space.Disk > 0:
		return permanent, failure.ReasonNoSpace // for this object there is no hope, and for others there is
	case errors.Is(err, failure.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fatal, failure.ReasonNoSpace
	case errors.As(err, &state), errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrClosed), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EIO):
		return fatal, failure.ReasonIO
	case errors.Is(err, manifest.ErrUnsafePath):
		return permanent, failure.ReasonUnsafePath
	case failure.SeenUnder(err) != "":
		return permanent, failure.ReasonChecksum // until it changes
	case errors.As(err, new(*source.EncodingError)):
		return permanent, failure.ReasonNetwork // nobody can say what its bytes are
	case errors.As(err, &mismatch):
		return wrong, failure.ReasonChecksum
	case errors.Is(err, source.ErrNotPublished):
		return permanent, failure.ReasonNotFound
	case errors.Is(err, source.ErrWebPage):
		return wrong, failure.ReasonNetwork // it says nothing of the entry
	case errors.As(err, &size) && size.Got > size.Want:
		return wrong, failure.ReasonSize
	case errors.As(err, &size):
		return transient, failure.ReasonSize
	case errors.As(err, &status) && answerOfStatus(status) == pace.TooFast:
		return early, failure.ReasonNetwork
	case isCertificate(err):
		return barred, failure.ReasonNetwork
	case isUnreachable(err):
		return unreachable, failure.ReasonNetwork
	case isLocal(err):
		return permanent, failure.ReasonIO
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

// isUnreachable reports whether no connection came about: the host does not take
// it, its name is unknown, or a proxy in between refuses.
func isUnreachable(err error) bool {
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

// patience is the backoff.BackOff of one entry at one source: exponential with
// jitter from half a second to a minute, or as long as the server asked for.
// An attempt that brought bytes forward starts it anew.
type patience struct {
	*backoff.ExponentialBackOff
	budget *pace.Budget
	health *health
	outage time.Duration
	// byClock means that no trouble counts but by the time that it lasts.
	byClock bool
	granted time.Duration // what the host asked for of it
	served  func() bool   // whether the source gave anything else to the same account; nil: it did not
	sole    bool          // no other source may have it
	doubts  int           // refusals in doubt
	tries   int           // that failed, since there was progress
	wrong   int           // wrong digests; progress does not excuse them
	pause   time.Duration
	// resting means that the host is in trouble: where its health is asked, the next
	// attempt waits there.
	resting bool
	early   int       // refusals in a row for being too fast
	since   time.Time // of the first of them
	down    time.Time // the host has been away since, zero while it is not
}

func newPatience(b *pace.Budget, h *health) *patience {
	return &patience{
		ExponentialBackOff: newWaits(500 * time.Millisecond),
		budget:             b,
		health:             h,
		outage:             outageLimit,
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
func (p *patience) judge(err error, progress bool) error {
	if err == nil {
		return nil
	}
	if progress {
		p.tries = 0
		p.Reset()
	}
	v := p.verdict(err)
	p.pause = retryAfter(err)
	if !p.byClock && (isTrouble(err) || v == doubtful) && !p.health.isWell() { // it is the host's failure, and it is waited for there
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
	case permanent, barred, fatal:
		return backoff.Permanent(err)
	case unreachable:
		now := time.Now()
		if p.down.IsZero() || !p.byClock && p.budget.Contact().After(p.down) {
			p.down = now // others may have got through since
		}
		if lasted := now.Sub(p.down); lasted > p.outage+p.granted {
			if _, refused := errors.AsType[*source.AccessError](err); !refused && !errors.Is(err, failure.ErrManifest) { // those say it all
				err = endless(err, lasted)
			}
			return backoff.Permanent(err)
		}
		p.granted = min(p.granted+p.pause, outageLimit)
	case wrong:
		p.wrong++
		if p.health.isProven() { // once more is enough
			p.wrong++
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

// verdict is that of classify, in the light of what the source did for others.
func (p *patience) verdict(err error) verdict {
	v, _ := classify(err)
	access, refused := errors.AsType[*source.AccessError](err)
	if (v == permanent || v == barred) && refused && !access.Sure && !errors.Is(err, failure.ErrNoService) &&
		p.served != nil && p.served() {
		v = doubtful
	}
	if v == permanent && !p.byClock && p.sole && errors.Is(err, source.ErrNotExist) {
		v = doubtful // in every case, also before anything came
	}
	if !p.byClock && (v == doubtful || errors.Is(err, source.ErrWebPage)) && p.health.isProven() {
		return permanent
	}
	switch {
	case !p.byClock:
	case v == doubtful && refused: // whoever was served before waits for a moment
		p.outage = min(p.outage, accessElsewhere)
		return unreachable
	case asksForPassword(err) && (p.served == nil || !p.served()):
		return barred
	case errors.Is(err, failure.ErrManifest) && !errors.Is(err, source.ErrNotExist) && !errors.Is(err, failure.ErrLongManifest) && !isShrunk(err):
		p.outage = min(p.outage, manifestDoubt) // half of it, or something else: a server in trouble, or its authors at work
		return unreachable
	case isTrouble(err) && v != permanent && v != barred:
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
func (p *patience) NextBackOff() time.Duration {
	if p.resting {
		return 0
	}
	if p.doubts >= maxDoubtful || p.tries >= maxTransient || p.wrong >= maxWrong || p.early >= maxTransient && time.Since(p.since) > p.outage {
		return backoff.Stop
	}
	if p.early > 0 && p.pause > 0 {
		return p.pause + rand.N(min(p.pause/4, time.Second)+1) //nolint:gosec // the host knows best, and jitter is no secret
	}
	return max(p.ExponentialBackOff.NextBackOff(), p.pause)
}

// persist repeats an attempt until it succeeds or there is no sense in it.
// attempt reports whether it brought bytes forward.
func (p *patience) persist(ctx context.Context, attempt func() (progress bool, err error), notify func(error, time.Duration)) error {
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
