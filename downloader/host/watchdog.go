package host

import (
	"context"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
)

// enough bytes say that an object comes: a page, or what is cut at once, is less.
const enough = 64 << 10

// Watchdog cancels a context when nothing was heard for the idle time-out. It
// limits silence, not time: 40 KB/s for a day is fine.
type Watchdog struct {
	timer  *time.Timer
	idle   time.Duration
	Cancel context.CancelCauseFunc
	First  func()            // called once, when enough has come to say that it does; nil: nobody wants to know
	bytes  int               // that came, while somebody wants to know
	Source *progress.Silence // is broken by what comes; nil: nobody wants to know
}

// Watch derives a context that ends with ErrStalled when heard was not called
// for idle. End it.
func Watch(ctx context.Context, idle time.Duration) (context.Context, *Watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &Watchdog{idle: idle, Cancel: cancel}
	w.timer = time.AfterFunc(idle, func() { cancel(failure.ErrStalled) })
	return ctx, w
}

// Heard tells the watchdog that bytes came.
func (w *Watchdog) Heard() {
	w.timer.Reset(w.idle)
	w.Source.Spoke()
}

// Brought tells the watchdog how many bytes came.
func (w *Watchdog) Brought(n int) {
	w.Heard()
	if w.First == nil {
		return
	}
	if w.bytes += n; w.bytes >= enough {
		w.First()
		w.First = nil
	}
}

// End stops the watchdog.
func (w *Watchdog) End() {
	w.timer.Stop()
	w.Cancel(nil)
}
