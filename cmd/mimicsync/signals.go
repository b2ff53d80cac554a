package main

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/downloader/failure"
)

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP ends in good
// order. The second one ends the process at once: the disk is consistent at any moment.
// SIGHUP stays ignored if the process was started so, as by nohup. A command may take
// SIGHUP for itself, see hangups.
func interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	h := &hangup{heard: make(chan struct{}, 1), signals: signals}
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		for s := range signals {
			switch {
			case s == syscall.SIGHUP && h.taken.Load():
				select {
				case h.heard <- struct{}{}:
				default: // one that hasn't been handled yet stands for both
				}
			case ctx.Err() == nil:
				cancel(failure.ErrInterrupted)
			default:
				os.Exit(advice.ExitInterrupted)
			}
		}
	}()
	return context.WithValue(ctx, hangupKey{}, h), func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

// hangup is how SIGHUP gets to a command.
type hangup struct {
	taken   atomic.Bool
	heard   chan struct{}
	signals chan<- os.Signal
}

type hangupKey struct{}

// hangups takes SIGHUP for a command, so that it no longer ends the process, and returns a
// channel that gets a value for each.
func hangups(ctx context.Context) <-chan struct{} {
	h, ok := ctx.Value(hangupKey{}).(*hangup)
	if !ok {
		return nil
	}
	h.taken.Store(true)
	signal.Notify(h.signals, syscall.SIGHUP) // even if it was ignored: here it ends nothing
	return h.heard
}
