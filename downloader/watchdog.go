package downloader

import (
	"context"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
)

// watchdog cancels a context when nothing was heard for the idle time-out. It
// limits silence, not time: 40 KB/s for a day is fine.
type watchdog struct {
	timer  *time.Timer
	idle   time.Duration
	cancel context.CancelCauseFunc
	first  func()            // called once, when enough has come to say that it does; nil: nobody wants to know
	bytes  int               // that came, while somebody wants to know
	source *progress.Silence // is broken by what comes; nil: nobody wants to know
}

// watch derives a context that ends with ErrStalled when heard was not called
// for idle. End it.
func watch(ctx context.Context, idle time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{idle: idle, cancel: cancel}
	w.timer = time.AfterFunc(idle, func() { cancel(failure.ErrStalled) })
	return ctx, w
}

// heard tells the watchdog that bytes came.
func (w *watchdog) heard() {
	w.timer.Reset(w.idle)
	w.source.Spoke()
}

// brought tells the watchdog how many bytes came.
func (w *watchdog) brought(n int) {
	w.heard()
	if w.first == nil {
		return
	}
	if w.bytes += n; w.bytes >= overlap { // a page, or what is cut at once, is less
		w.first()
		w.first = nil
	}
}

func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(nil)
}
