package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"mimicsync/daemon/notify"
	"mimicsync/manifest"
)

// lastWords is how long events may still be delivered after Run was told to end.
const lastWords = 5 * time.Second

// errLastWords is the cause when a delivery is canceled after that.
var errLastWords = errors.New("the daemon stopped")

// mostWaiting is how many events may wait for one notifier, because a hook may hang for
// days. Beyond that, the oldest are dropped.
const mostWaiting = 100

// line is the queue of one notifier's events, oldest first. Each notifier has its own: a
// hook that imports for hours doesn't delay mail.
type line struct {
	events []notify.Event
	served bool // by a goroutine, until it is empty
}

// addressee identifies a notifier across reloads: the n-th of its name.
type addressee struct {
	name string
	nth  int
}

func addressees(notifiers []notify.Notifier) map[addressee]notify.Notifier {
	all := make(map[addressee]notify.Notifier, len(notifiers))
	for _, n := range notifiers {
		to := addressee{name: n.Name()}
		for all[to] != nil {
			to.nth++
		}
		all[to] = n
	}
	return all
}

// tellOf queues an event about a pass.
func (d *Daemon) tellOf(kind notify.Kind, p *pass, text, cure string) {
	e := notify.Event{
		Kind: kind, Dataset: p.request.Ref.Dataset, Version: p.version, Text: text, Cure: cure, Elapsed: p.elapsed.Seconds(),
	}
	if r := p.report; r != nil {
		e.Fetched, e.FetchedBytes, e.Linked, e.Failed = r.Files.Fetched, r.Bytes.Fetched, r.Files.Linked, r.Files.Failed
	}
	if p.report != nil && p.version != "" {
		e.Changes = ChangesFile(d.o.Mirror, manifest.Ref{Dataset: e.Dataset, Version: e.Version})
	}
	d.tell(e)
}

// tell queues an event for all notifiers that want it. The caller holds mu.
func (d *Daemon) tell(e notify.Event) {
	e.Time, e.Host, e.Mirror = time.Now(), d.host, d.o.Mirror
	for to, n := range addressees(d.settings.Notifiers) {
		if !n.Wants(e.Kind) {
			continue
		}
		l := d.lines[to]
		if l == nil {
			l = &line{}
			d.lines[to] = l
		}
		if len(l.events) == mostWaiting {
			d.o.Logger.Warn("notification dropped: too many wait", "to", to.name, "event", string(l.events[0].Kind), "dataset", l.events[0].Dataset)
			l.events = l.events[1:]
		}
		l.events = append(l.events, e)
	}
	select {
	case d.told <- struct{}{}:
	default: // a delivery is due anyway
	}
}

// deliver sends events until quiet is closed and all are sent, or ctx ends.
func (d *Daemon) deliver(ctx context.Context, quiet <-chan struct{}) {
	var postmen sync.WaitGroup
	defer postmen.Wait()
	for last := false; !last; {
		select {
		case <-d.told:
		case <-quiet:
			last = true
		}
		for _, to := range d.unserved() {
			postmen.Go(func() { d.serve(ctx, to) })
		}
	}
}

// unserved returns the queues that no goroutine serves, and marks them as served.
func (d *Daemon) unserved() (all []addressee) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for to, l := range d.lines {
		if !l.served {
			l.served, all = true, append(all, to)
		}
	}
	return all
}

// serve sends one notifier all its events.
func (d *Daemon) serve(ctx context.Context, to addressee) {
	for {
		n, e := d.next(to)
		if n == nil {
			return
		}
		err := n.Notify(ctx, e)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			d.o.Logger.WarnContext(ctx, "notification", "to", n.Name(), "event", string(e.Kind), "dataset", e.Dataset, "err", err)
		}
	}
}

// next takes an event from a queue, and removes the queue when it is empty. It looks up the
// notifier in the current settings: a reload may have changed or removed it.
func (d *Daemon) next(to addressee) (notify.Notifier, notify.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, l := addressees(d.settings.Notifiers)[to], d.lines[to]
	for n != nil && len(l.events) > 0 {
		e := l.events[0]
		l.events = l.events[1:]
		if n.Wants(e.Kind) {
			return n, e
		}
	}
	delete(d.lines, to)
	return nil, notify.Event{}
}
