package downloader

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"

	"mimicsync/manifest"
	"mimicsync/store"
)

// Reason says in one word why an entry failed; reports carry it.
type Reason string

// The reasons, see DESIGN 6.
const (
	ReasonNotFound     Reason = "not_found"
	ReasonDenied       Reason = "denied"
	ReasonUnauthorized Reason = "unauthorized"
	ReasonChecksum     Reason = "checksum"
	ReasonSize         Reason = "size"
	ReasonNetwork      Reason = "network"
	ReasonNoSpace      Reason = "no_space"
	ReasonIO           Reason = "io"
	ReasonUnsafePath   Reason = "unsafe_path"
)

// verdict is what an error means for the attempt that met it.
type verdict int

const (
	transient   verdict = iota // try again a few times
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
	// outageLimit is how long a host may be away before the pass gives up: long
	// enough for a server's restart or a line that comes back by itself.
	outageLimit = 30 * time.Minute
	// elsewhereWrong and elsewhereOutage are the same where another source may
	// have the entry.
	elsewhereWrong  = 2
	elsewhereOutage = 2 * time.Minute
)

// classify is the only place that decides what an error means.
func classify(err error) (verdict, Reason) {
	var access *AccessError
	var mismatch *MismatchError
	var size *SizeError
	var space *SpaceError
	var status *StatusError
	var state *store.Error
	switch {
	case errors.As(err, &access):
		if access.Denial == Forbidden {
			return permanent, ReasonDenied // of one file; that it is all of them shows soon, see stillAllowed
		}
		return barred, ReasonUnauthorized
	case isOutOfFiles(err):
		return permanent, ReasonIO // with its partial closed it is tried again, see withFiles
	case errors.Is(err, ErrUnreachable):
		return barred, ReasonNetwork
	case errors.Is(err, ErrManifest):
		return permanent, ReasonChecksum
	case errors.Is(err, ErrNotExist):
		return permanent, ReasonNotFound
	case errors.Is(err, ErrNotModified):
		return permanent, ReasonNetwork // an answer to a question about the manifest
	case errors.As(err, &space) && space.Disk > 0:
		return permanent, ReasonNoSpace // for this object there is no hope, and for others there is
	case errors.Is(err, ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fatal, ReasonNoSpace
	case errors.As(err, &state), errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrClosed), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EIO):
		return fatal, ReasonIO
	case errors.Is(err, manifest.ErrUnsafePath):
		return permanent, ReasonUnsafePath
	case errors.As(err, &mismatch), errors.Is(err, ErrWebPage):
		return wrong, ReasonChecksum
	case errors.As(err, &size) && size.Got > size.Want:
		return wrong, ReasonSize
	case errors.As(err, &size):
		return transient, ReasonSize
	case errors.As(err, &status) && status.answer() == TooFast:
		return early, ReasonNetwork
	case isCertificate(err):
		return barred, ReasonNetwork
	case isUnreachable(err):
		return unreachable, ReasonNetwork
	case isLocal(err):
		return permanent, ReasonIO
	}
	return transient, ReasonNetwork
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
	var proxy *ProxyError
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
	budget *Budget
	outage time.Duration
	tries  int // that failed, since there was progress
	wrong  int // wrong digests; progress does not excuse them
	pause  time.Duration
	early  int       // refusals in a row for being too fast
	since  time.Time // of the first of them
	down   time.Time // the host has been away since, zero while it is not
}

func newPatience(b *Budget) *patience {
	return &patience{
		ExponentialBackOff: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(500*time.Millisecond),
			backoff.WithMultiplier(2),
			backoff.WithMaxInterval(time.Minute),
			backoff.WithMaxElapsedTime(0), // it would count the attempts' own time, and some take days
		),
		budget: b,
		outage: outageLimit,
	}
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
	v, _ := classify(err)
	p.pause = 0
	if v == early {
		if p.early == 0 {
			p.since = time.Now()
		}
		p.early++
	} else {
		p.early = 0
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		p.pause = status.RetryAfter
	}
	switch v {
	case permanent, barred, fatal:
		return backoff.Permanent(err)
	case unreachable:
		now := time.Now()
		if p.down.IsZero() || p.budget.Contact().After(p.down) {
			p.down = now // others may have got through since
		}
		if now.Sub(p.down) > p.outage {
			return backoff.Permanent(fmt.Errorf("%w for %s: %w", ErrUnreachable, p.outage, err))
		}
	case wrong:
		p.wrong++
	case transient:
		p.tries++
	}
	return err
}

// NextBackOff is the wait before the next attempt, or backoff.Stop.
func (p *patience) NextBackOff() time.Duration {
	if p.tries >= maxTransient || p.wrong >= maxWrong || p.early >= maxTransient && time.Since(p.since) > p.outage {
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
