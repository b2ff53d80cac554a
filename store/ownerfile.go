package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"mimicsync/internal/durable"
)

// ownerFile is the file in the mirror that names this process.
type ownerFile struct {
	place Place
	text  []byte
	lost  chan struct{} // closed when another process has the mirror
	loss  error         // the reason, set before lost is closed
	// inherited says that the previous owner was silent and isn't known to be dead.
	inherited bool
	close     sync.Once
	stop      chan struct{}
	done      chan struct{}

	mu   sync.Mutex // held while the owner shows that it lives; guards the fields below
	late bool       // the file isn't created yet
	seen time.Time  // when it last showed that it lives, by the wall clock: the monotonic clock stops while a machine sleeps
}

func newOwnerFile(p Place) *ownerFile {
	return &ownerFile{
		place: p, lost: make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// take creates the file, and keeps its time fresh until release. On a full disk the file
// may come later, so that a daemon can wait for room: the lock of a state in the mirror
// keeps others out. A state elsewhere has no such lock.
func (f *ownerFile) take(command string) error {
	host, _ := os.Hostname() // without a name, the PID still helps
	b, err := json.Marshal(Owner{Host: host, PID: os.Getpid(), Command: command, Started: time.Now(), State: f.place.State, StateID: f.place.stateID, Processes: durable.Processes()})
	if err != nil {
		return err
	}
	f.text, f.seen = append(b, '\n'), wallClock()
	f.inherited = f.place.isSilent()
	if err := f.appear(); err != nil {
		full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
		switch {
		case errors.Is(err, ErrLocked):
			return err
		case !full || !f.place.inMirror():
			return fmt.Errorf("name the owner of the mirror: %w", err)
		}
		f.late = true
	}
	go f.beat()
	return nil
}

func (f *ownerFile) beat() {
	defer close(f.done)
	t := time.NewTicker(ownerBeat)
	defer t.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-t.C:
		}
		if f.check() != nil {
			return
		}
	}
}

// check shows that the owner lives, and returns the loss if another process has its place.
// After any other error, the next beat tries again.
func (f *ownerFile) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.stop:
		return nil
	case <-f.lost:
		return f.loss
	default:
	}
	if err := f.show(); errors.Is(err, ErrLocked) {
		f.loss = fmt.Errorf("this process gave no sign of life for some time, and lost the mirror: %w", err)
		close(f.lost)
	}
	return f.loss
}

// checkAfterSilence is check for a process that hasn't shown for so long that it lives that
// another may have its place: it was stopped, or its machine slept.
func (f *ownerFile) checkAfterSilence() {
	f.mu.Lock()
	silent := !f.seen.IsZero() && wallClock().Sub(f.seen) > ownerStale // zero before the file is created
	f.mu.Unlock()
	if silent {
		_ = f.check() // the loss is remembered
	}
}

// show proves that the owner lives, and returns a *LockedError if another process has its
// place. It writes the same content again, so that the file server sets the time, and
// writes it to the file that it has read, which can't be another's.
func (f *ownerFile) show() error {
	now := wallClock()
	file, err := f.open()
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.mayHaveLostMirror(now):
		return fmt.Errorf("%w, or was meanwhile", &LockedError{Path: f.place.ownerPath()})
	case errors.Is(err, fs.ErrNotExist): // someone has removed it, or it is late
		return f.appear()
	case err != nil:
		return err
	}
	s, err := lookAt(file)
	mine := err == nil && bytes.Equal(s.text, f.text)
	if mine {
		_, err = file.WriteAt(f.text[:1], 0)
	}
	err = errors.Join(err, file.Close())
	switch {
	case err != nil:
		return err
	case mine:
		f.seen = now
		return nil
	case f.late: // it is of a process that died before
		return f.appear()
	}
	return &LockedError{Path: f.place.ownerPath(), Owner: s.owner}
}

func (f *ownerFile) open() (*os.File, error) {
	own, err := f.place.folder()
	if err != nil {
		return nil, err
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	return own.OpenFile(ownerName, os.O_RDWR, 0)
}

func (f *ownerFile) appear() error {
	now := wallClock()
	own, err := f.place.folder()
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }() // claim has synced it
	err = f.place.claim(own, ownerName, f.text)
	if err == nil {
		f.late, f.seen = false, now
	}
	return err
}

// mayHaveLostMirror reports whether the owner was silent for so long that another process
// may have had the mirror and given it back: what this process knows may be outdated. If
// the mirror is gone altogether, nobody had it.
func (f *ownerFile) mayHaveLostMirror(now time.Time) bool {
	if f.late || now.Sub(f.seen) <= ownerStale {
		return false
	}
	_, err := os.Stat(filepath.Dir(f.place.ownerPath()))
	return err == nil
}

// wallClock is the time without its monotonic part.
func wallClock() time.Time { return time.Now().Round(0) }

func (f *ownerFile) release() error {
	f.close.Do(func() { close(f.stop) })
	<-f.done
	f.mu.Lock() // a check may be under way
	defer f.mu.Unlock()
	own, err := f.place.folder()
	if err != nil {
		return nil // the mirror is gone, or another's
	}
	defer func() { _ = own.Close() }() // if the removal is lost, it does no harm
	if !isAt(own, ownerName, f.text) {
		return nil
	}
	if err := own.Root().Remove(ownerName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
