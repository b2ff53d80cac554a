package host

import (
	"context"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
)

// enough is how many bytes show that an object is arriving: a web page, or an answer that
// is cut, has fewer.
const enough = 64 << 10

// Watchdog cancels a context if nothing arrives within the idle time-out. It limits
// silence, not time: 40 KB/s for a day is fine.
type Watchdog struct {
	timer  *time.Timer
	idle   time.Duration
	Cancel context.CancelCauseFunc
	First  func()            // called once, when enough bytes have arrived; may be nil
	bytes  int               // received, while First isn't nil
	Source *progress.Silence // ended by what arrives; may be nil
}

// Watch returns a context that ends with ErrStalled if Heard isn't called within idle. Call
// End on the watchdog.
func Watch(ctx context.Context, idle time.Duration) (context.Context, *Watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &Watchdog{idle: idle, Cancel: cancel}
	w.timer = time.AfterFunc(idle, func() { cancel(failure.ErrStalled) })
	return ctx, w
}

// Heard tells the watchdog that bytes arrived.
func (w *Watchdog) Heard() {
	w.timer.Reset(w.idle)
	w.Source.Spoke()
}

// Brought tells the watchdog how many bytes arrived.
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
