package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"mimicsync/internal/durable"
)

// Owner says which process has a mirror open. It is for people, and for processes
// that do not see the lock of its state file: on other machines, or with a state in
// another folder.
type Owner struct {
	Host    string
	PID     int
	Command string // as in "pull"
	Started time.Time
	State   string // the folder of its state file
	// StateID names that folder where it is not in the mirror: containers may have
	// folders of one path on different disks.
	StateID string `json:",omitempty"`
	// Processes names the processes among which PID counts: those of one run of the
	// kernel, and of one container. Empty where that cannot be told.
	Processes string `json:",omitempty"`
}

// Here reports whether the owner is a process of this machine, and of this container.
func (o Owner) Here() bool {
	host, err := os.Hostname()
	return err == nil && o.Host == host && (o.Processes == "" || o.Processes == durable.Processes())
}

// sharesLock reports whether the lock of our state is also the owner's: then whoever
// can take it knows that the owner is dead.
func (p Place) sharesLock(o Owner) bool {
	host, err := os.Hostname()
	switch {
	case err != nil || o.Host != host:
		return false
	case p.inMirror():
		return p.Network == "" && filepath.Base(o.State) == Dir
	}
	return o.State == p.State && (o.StateID == p.stateID || o.StateID == "")
}

const (
	ownerBeat  = 30 * time.Second // how often an owner shows that it lives
	ownerStale = 4 * ownerBeat    // an owner that was silent for so long is dead
)

func (p Place) ownerPath() string { return filepath.Join(p.Mirror, Dir, ownerName) }

// sighting is what was seen of an owner file.
type sighting struct {
	path     string
	text     []byte
	owner    Owner     // zero if it names none
	whole    bool      // where there are no hard links, a file may be seen before it is
	modified time.Time // by the clock of the file system
}

// look opens the file, for then an NFS client asks the server for its content and
// its time, see "close-to-open" in nfs(5).
func look(own *Folder, name string) (sighting, error) {
	f, err := own.Open(name)
	if err != nil {
		return sighting{path: filepath.Join(own.Path(), name)}, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	return lookAt(f)
}

func lookAt(f *os.File) (sighting, error) {
	fi, err := f.Stat()
	if err != nil {
		return sighting{}, err
	}
	s := sighting{path: f.Name(), modified: fi.ModTime()}
	if s.text, err = io.ReadAll(io.LimitReader(f, 64<<10)); err != nil {
		return s, err
	}
	s.whole = json.Unmarshal(s.text, &s.owner) == nil
	return s, nil
}

// isAt reports whether a file has just this text.
func isAt(own *Folder, name string, text []byte) bool {
	s, err := look(own, name)
	return err == nil && bytes.Equal(s.text, text)
}

// living returns a *LockedError unless the owner that was seen is dead. Both times
// are the file system's: clocks of machines differ. A file from the future is a dead
// owner's too, or the clock of the file server was set back, and a living one would
// never again seem dead.
func (p Place) living(own *Folder, s sighting) error {
	switch {
	case p.isDead(s):
		return nil
	case now(own).Sub(s.modified).Abs() > ownerStale:
		return nil
	}
	return &LockedError{Path: s.path, Owner: s.owner}
}

// isDead reports whether an owner is known to be dead, and not only silent: by its lock,
// which has been tried or will be, or by its process.
func (p Place) isDead(s sighting) bool {
	o := s.owner
	return s.whole && (o.PID == 0 || p.sharesLock(o) || o.Here() && !alive(o.PID))
}

// now is the time by the clock of the mirror's file system. Whoever cannot make a file
// there cannot take the mirror either, and gets the time of this machine.
func now(own *Folder) time.Time {
	f, name, err := durable.CreateTempIn(own.Root(), ".owner.")
	if err != nil {
		return time.Now()
	}
	fi, err := f.Stat()
	_, _ = f.Close(), own.Root().Remove(name) // nothing was written to it
	if err != nil {
		return time.Now()
	}
	return fi.ModTime()
}

// otherOwner returns a *LockedError when the mirror has a living owner whose lock
// cannot be seen from here.
func (p Place) otherOwner() error {
	own, err := p.folder()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	s, err := look(own, ownerName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.living(own, s)
}

// named is the owner that the mirror names, zero if it names none.
func (p Place) named() Owner {
	own, err := p.folder()
	if err != nil {
		return Owner{}
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	s, _ := look(own, ownerName)       // an owner without a name owns it too
	return s.owner
}

// isSilent reports whether the mirror names an owner that is not known to be dead.
func (p Place) isSilent() bool {
	own, err := p.folder()
	if err != nil {
		return false
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	s, err := look(own, ownerName)
	return err == nil && !p.isDead(s)
}

// OwnerOf returns the living owner that a mirror names, as far as that can be
// told without opening anything.
func OwnerOf(mirror string) (Owner, bool) {
	locked, ok := errors.AsType[*LockedError](Place{Mirror: mirror}.otherOwner())
	if !ok {
		return Owner{}, false
	}
	return locked.Owner, locked.Owner.PID != 0
}

// alive reports whether a process of this machine may still run.
func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = process.Signal(syscall.Signal(0))
	return !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH)
}

// claim puts the text of an owner at path, where there may be a dead one. Of several
// processes, on whatever machines, one succeeds; the others get a *LockedError:
//
//	create path                whoever makes it has it
//	claim path.next            of a dead owner's heirs one gets it; one that died here has heirs too
//	look at path               it may have gone to an heir that was faster, or its owner was not dead
//	rename path.next to path   which takes path and gives path.next back
//	look at path               an heir that slept before it renamed may have moved the file of its own heir
func (p Place) claim(own *Folder, name string, text []byte) error {
	for {
		err := own.CreateFile(name, text)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err = p.inherit(own, name, text); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// inherit is claim where there is an owner, and fs.ErrNotExist where it is gone.
func (p Place) inherit(own *Folder, name string, text []byte) error {
	s, err := look(own, name)
	if err != nil || bytes.Equal(s.text, text) { // a file server says that it exists if its first answer was lost
		return err
	}
	if err := p.living(own, s); err != nil {
		return err
	}
	next := name + nextOwner
	if err := p.claim(own, next, text); err != nil {
		return err
	}
	if s, err = look(own, name); err == nil {
		err = p.living(own, s)
	}
	if err == nil {
		err = own.Root().Rename(next, name)
	}
	if isAt(own, name, text) {
		return durable.SyncRoot(own.Root())
	}
	if err == nil {
		return fs.ErrNotExist // what was renamed was another's: see who has it
	}
	if isAt(own, next, text) {
		_ = own.Root().Remove(next) // if it stays, it is a dead one's
	}
	return err
}

// ownerFile is this process's name in the mirror.
type ownerFile struct {
	place Place
	text  []byte
	lost  chan struct{} // closed when another has the mirror
	loss  error         // why, from then on
	// inherited says that the owner before was silent, and is not known to be dead.
	inherited bool
	close     sync.Once
	stop      chan struct{}
	done      chan struct{}

	mu   sync.Mutex // held while the owner shows that it lives; guards what follows
	late bool       // the file is still to be made
	seen time.Time  // when it showed last, by the wall clock: the other one stands still while a machine sleeps
}

func newOwnerFile(p Place) *ownerFile {
	return &ownerFile{
		place: p, lost: make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// take makes the file, and keeps its time fresh until release. On a full disk it may
// come later, so that a daemon can wait for room there: the lock of a state in the
// mirror keeps others out. A state elsewhere has no such lock.
func (f *ownerFile) take(command string) error {
	host, _ := os.Hostname() // an empty name still tells the pid
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

// check shows that the owner lives, and returns the loss if another has its place.
// After any other error, the next beat makes it good.
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

// checkAfterSilence is check where this process has not shown for so long that it lives
// that another may have its place: it was stopped, or its machine slept.
func (f *ownerFile) checkAfterSilence() {
	f.mu.Lock()
	silent := !f.seen.IsZero() && wallClock().Sub(f.seen) > ownerStale // zero before the file is made
	f.mu.Unlock()
	if silent {
		_ = f.check() // the loss is remembered
	}
}

// show proves that the owner lives, and returns a *LockedError if another has its
// place. It writes what the file has already, by which the file server sets its time:
// to the file that it has read, which cannot be another's.
func (f *ownerFile) show() error {
	now := wallClock()
	file, err := f.open()
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.mayHaveHadHeirs(now):
		return fmt.Errorf("%w, or was meanwhile", &LockedError{Path: f.place.ownerPath()})
	case errors.Is(err, fs.ErrNotExist): // a person has removed it, or it is late
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
	case f.late: // it is of somebody who died before
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

// mayHaveHadHeirs reports whether the owner was silent for so long that another may
// have had its place, and given it back: what is known here of the mirror need not be
// so any more. A mirror that is gone altogether is none that another had.
func (f *ownerFile) mayHaveHadHeirs(now time.Time) bool {
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
	defer func() { _ = own.Close() }() // that the name is gone may be lost
	if !isAt(own, ownerName, f.text) {
		return nil
	}
	if err := own.Root().Remove(ownerName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
