package terminal

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// Outlet is stdout or stderr. When nobody reads it any more, what is written to it
// is dropped: journald restarts, cron's mailer ends, and `| head` has seen enough,
// and none of them is a reason to end what a daemon or a pull is about.
type Outlet struct{ *os.File }

// Write implements io.Writer.
func (o Outlet) Write(b []byte) (int, error) {
	n, err := o.File.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		return len(b), nil
	}
	return n, err
}

// OutliveReaders keeps SIGPIPE from ending the process. The signal is caught and not
// ignored, because programs that are started would inherit that.
func OutliveReaders() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // which nobody reads: the writer hears of it
}
