package terminal

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// Outlet is stdout or stderr. When nobody reads it any more, it drops what is written to
// it: journald restarts, cron's mailer ends, `| head` has seen enough, and none of them is
// a reason to end a daemon or a pull.
type Outlet struct{ *os.File }

// Write implements io.Writer.
func (o Outlet) Write(b []byte) (int, error) {
	n, err := o.File.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		return len(b), nil
	}
	return n, err
}

// OutliveReaders keeps SIGPIPE from ending the process. It catches the signal instead of
// ignoring it, because child processes would inherit that.
func OutliveReaders() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // nobody reads it: the writer gets an error
}
