package downloader

import (
	"context"
	"time"
)

// watchdog cancels a context when nothing was heard for the idle time-out. It
// limits silence, not time: 40 KB/s for a day is fine.
type watchdog struct {
	timer  *time.Timer
	idle   time.Duration
	cancel context.CancelCauseFunc
	first  func() // called once, by the next heard; nil: nobody wants to know
}

// watch derives a context that ends with ErrStalled when heard was not called
// for idle. End it.
func watch(ctx context.Context, idle time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{idle: idle, cancel: cancel}
	w.timer = time.AfterFunc(idle, func() { cancel(ErrStalled) })
	return ctx, w
}

// heard tells the watchdog that bytes came.
func (w *watchdog) heard() {
	w.timer.Reset(w.idle)
	if w.first != nil {
		w.first()
		w.first = nil
	}
}

func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(nil)
}
