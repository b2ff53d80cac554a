package daemon

import (
	"context"
	"time"

	"mimicsync/daemon/notify"
)

// lastWords is how long the delivery of events may go on after Run's end was asked
// for.
const lastWords = 5 * time.Second

// tellOf lines up an event about a pass.
func (d *Daemon) tellOf(kind notify.Kind, p *pass, text, cure string) {
	e := notify.Event{
		Kind: kind, Dataset: p.request.Ref.Dataset, Version: p.version, Text: text, Cure: cure, Elapsed: p.elapsed.Seconds(),
	}
	if r := p.report; r != nil {
		e.Fetched, e.FetchedBytes, e.Linked, e.Failed = r.Files.Fetched, r.Bytes.Fetched, r.Files.Linked, r.Files.Failed
	}
	d.tell(e)
}

// tell lines up an event. The caller holds mu.
func (d *Daemon) tell(e notify.Event) {
	e.Time, e.Host, e.Mirror = time.Now(), d.host, d.o.Mirror
	d.events = append(d.events, e)
	select {
	case d.told <- struct{}{}:
	default: // the postman comes anyway
	}
}

// deliver tells the notifiers of events, one at a time, until quiet is closed and
// none is left.
func (d *Daemon) deliver(ctx context.Context, quiet <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for last := false; !last; {
		select {
		case <-d.told:
		case <-quiet:
			last = true
			timer := time.AfterFunc(lastWords, cancel)
			defer timer.Stop()
		}
		d.deliverAll(ctx)
	}
}

func (d *Daemon) deliverAll(ctx context.Context) {
	for {
		d.mu.Lock()
		events, notifiers := d.events, d.settings.Notifiers
		d.events = nil
		d.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			for _, n := range notifiers {
				if !n.Wants(e.Kind) {
					continue
				}
				if err := n.Notify(ctx, e); err != nil {
					d.o.Logger.WarnContext(ctx, "notification", "to", n.Name(), "event", string(e.Kind), "dataset", e.Dataset, "err", err)
				}
			}
		}
	}
}
