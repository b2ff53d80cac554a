package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mimicsync/internal/durable"
)

// Owner says which process has a mirror open. It is for people, and for processes that
// don't see the lock of its state file: on other machines, or with a state in another
// folder.
type Owner struct {
	Host    string
	PID     int
	Command string // as in "pull"
	Started time.Time
	State   string // the folder of its state file
	// StateID names that folder if it isn't in the mirror: containers may have folders with
	// the same path on different disks.
	StateID string `json:",omitempty"`
	// Processes names the processes among which PID counts: those of one run of the kernel,
	// and of one container. It is empty if that is unknown.
	Processes string `json:",omitempty"`
}

// Here reports whether the owner is a process of this machine and this container.
func (o Owner) Here() bool {
	host, err := os.Hostname()
	return err == nil && o.Host == host && (o.Processes == "" || o.Processes == durable.Processes())
}

// sharesLock reports whether the lock of our state is also the owner's: then a process that
// gets the lock knows that the owner is dead.
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
	ownerStale = 4 * ownerBeat    // an owner that was silent for this long is dead
)

func (p Place) ownerPath() string { return filepath.Join(p.Mirror, Dir, ownerName) }

// sighting is the content of an owner file at one moment.
type sighting struct {
	path     string
	text     []byte
	owner    Owner     // zero if it names none
	whole    bool      // without hard links, a file may be visible before it is complete
	modified time.Time // by the clock of the file system
}

// look opens the file, because then an NFS client asks the server for its content and time;
// see "close-to-open" in nfs(5).
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

// isAt reports whether a file has exactly this text.
func isAt(own *Folder, name string, text []byte) bool {
	s, err := look(own, name)
	return err == nil && bytes.Equal(s.text, text)
}

// living returns a *LockedError unless the owner is dead. Both times are the file system's,
// because the clocks of machines differ. A file from the future counts as a dead owner's:
// the clock of the file server may have been set back, and a living owner would update it.
func (p Place) living(own *Folder, s sighting) error {
	switch {
	case p.isDead(s):
		return nil
	case now(own).Sub(s.modified).Abs() > ownerStale:
		return nil
	}
	return &LockedError{Path: s.path, Owner: s.owner}
}

// isDead reports whether an owner is known to be dead, not only silent: by its lock, which
// has been tried or will be, or by its process.
func (p Place) isDead(s sighting) bool {
	o := s.owner
	return s.whole && (o.PID == 0 || p.sharesLock(o) || o.Here() && !alive(o.PID))
}

// now is the time by the clock of the mirror's file system. A process that can't create a
// file there can't take the mirror either, and gets the time of this machine.
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

// otherOwner returns a *LockedError if the mirror has a living owner whose lock can't be
// seen from here.
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
	s, _ := look(own, ownerName)       // without its name, it is an owner all the same
	return s.owner
}

// isSilent reports whether the mirror names an owner that isn't known to be dead.
func (p Place) isSilent() bool {
	own, err := p.folder()
	if err != nil {
		return false
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	s, err := look(own, ownerName)
	return err == nil && !p.isDead(s)
}

// OwnerOf returns the living owner that a mirror names, as far as that can be seen without
// opening anything.
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

// claim puts the text of an owner at path, where the file of a dead owner may be. Of
// several processes, on any machines, one succeeds; the others get a *LockedError:
//
//	create path                the process that creates it owns it
//	claim path.next            one successor of the dead owner gets it; one that died here has successors, too
//	look at path               a faster successor may have it, or its owner was alive
//	rename path.next to path   which takes path and frees path.next
//	look at path               a successor that slept before its rename may have moved the file of its own successor
func (p Place) claim(own *Folder, name string, text []byte) error {
	for {
		err := own.CreateFile(name, text)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err = p.takeOver(own, name, text); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// takeOver is claim where there is an owner file. The error is fs.ErrNotExist if it is
// gone.
func (p Place) takeOver(own *Folder, name string, text []byte) error {
	s, err := look(own, name)
	if err != nil || bytes.Equal(s.text, text) { // a file server says that it exists if the first answer was lost
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
		return fs.ErrNotExist // the renamed file was another's: look who has it
	}
	if isAt(own, next, text) {
		_ = own.Root().Remove(next) // if it stays, it counts as a dead owner's
	}
	return err
}
