package store

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"mimicsync/internal/durable"
)

// Dir is the folder in a mirror that belongs to mimicsync.
const Dir = ".mimicsync"

// Place says where a mirror lies and where its state does: bbolt locks and maps
// its file, which needs a local disk, while a mirror may be on a file server.
type Place struct {
	Mirror  string // the mirror's root folder
	State   string // the folder of state.db
	Network string // name of the network file system the mirror is on, empty when local
}

// Locate finds the place of a mirror's state: dir if it is not empty, else
// .mimicsync in the mirror, or below $XDG_STATE_HOME/mimicsync where the mirror
// is on a network file system. It makes the mirror's folder and .mimicsync.
func Locate(mirror, dir string) (Place, error) {
	own := filepath.Join(mirror, Dir)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return Place{}, err
	}
	p := Place{Mirror: mirror, State: own}
	name, network := durable.NetworkFS(own)
	if network {
		p.Network = name
	}
	if dir == "" && !network {
		return p, nil
	}
	if dir == "" {
		base, err := stateHome()
		if err != nil {
			return Place{}, fmt.Errorf("the mirror is on %s and its state needs a local disk: %w", name, err)
		}
		dir = base
	}
	id, err := mirrorID(own)
	if err != nil {
		return Place{}, err
	}
	p.State = filepath.Join(dir, id)
	return p, os.MkdirAll(p.State, 0o700)
}

// stateHome is where programs keep state, see the XDG Base Directory
// Specification.
func stateHome() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "mimicsync"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "mimicsync"), nil
}

// mirrorID names a mirror, however it is reached, by a file in it.
func mirrorID(own string) (string, error) {
	path := filepath.Join(own, "id")
	b, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(b)); err == nil && len(id) == 16 {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	id := hex.EncodeToString(raw)
	return id, durable.WriteFile(path, []byte(id+"\n"))
}

func (p Place) file() string { return filepath.Join(p.State, "state.db") }

// File is the path of the state file.
func (p Place) File() string { return p.file() }

func (p Place) ownerPath() string { return filepath.Join(p.Mirror, Dir, "owner") }

// Owner says which process has a mirror open. It is for people and for other
// machines; on one machine the lock of the state file decides.
type Owner struct {
	Host    string
	PID     int
	Command string // as in "pull"
	Started time.Time
	State   string // the folder of its state file
}

const (
	ownerBeat  = 30 * time.Second // how often an owner shows that it lives
	ownerStale = 4 * ownerBeat    // an owner on another machine that was silent for so long is dead
)

func (p Place) ownerExists() bool {
	_, err := os.Lstat(p.ownerPath())
	return err == nil
}

// readOwner returns the owner that the mirror names, zero if none.
func (p Place) readOwner() Owner {
	var o Owner
	b, err := os.ReadFile(p.ownerPath())
	if err != nil || json.Unmarshal(b, &o) != nil {
		return Owner{}
	}
	return o
}

// otherOwner returns a *LockedError when the mirror has a living owner whose
// lock cannot be seen from here: on another machine, or with its state in
// another folder.
func (p Place) otherOwner() error {
	o := p.readOwner()
	host, err := os.Hostname()
	here := err == nil && o.Host == host
	if o.PID == 0 || here && (o.State == p.State || !alive(o.PID)) {
		return nil
	}
	fi, err := os.Stat(p.ownerPath())
	if err != nil || time.Since(fi.ModTime()) > ownerStale {
		return nil
	}
	return &LockedError{Path: p.ownerPath(), Owner: o}
}

// OwnerOf returns the living owner that a mirror names, as far as that can be
// told without opening anything.
func OwnerOf(mirror string) (Owner, bool) {
	p := Place{Mirror: mirror}
	o := p.readOwner()
	fi, err := os.Stat(p.ownerPath())
	if o.PID == 0 || err != nil || time.Since(fi.ModTime()) > ownerStale {
		return Owner{}, false
	}
	host, err := os.Hostname()
	return o, err != nil || o.Host != host || alive(o.PID)
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

// ownerFile is this process's name in the mirror.
type ownerFile struct {
	path  string
	text  []byte
	late  bool // it is still to be written; beat's
	close sync.Once
	stop  chan struct{}
	done  chan struct{}
}

// own writes the owner file and keeps its time fresh until release. On a full disk
// the file may come later, so that a daemon can wait for room there: the lock of a
// state in the mirror keeps others out. A state elsewhere has no such lock.
func (p Place) own(command string) (*ownerFile, error) {
	host, _ := os.Hostname() // an empty name still tells the pid
	b, err := json.Marshal(Owner{Host: host, PID: os.Getpid(), Command: command, Started: time.Now(), State: p.State})
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	f := &ownerFile{path: p.ownerPath(), text: b, stop: make(chan struct{}), done: make(chan struct{})}
	if err := durable.WriteFile(f.path, b); err != nil {
		full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
		if !full || p.State != filepath.Join(p.Mirror, Dir) {
			return nil, fmt.Errorf("name the owner of the mirror: %w", err)
		}
		f.late = true
	}
	go f.beat()
	return f, nil
}

func (f *ownerFile) beat() {
	defer close(f.done)
	t := time.NewTicker(ownerBeat)
	defer t.Stop()
	for {
		select {
		case <-f.stop:
			return
		case now := <-t.C:
			switch {
			case f.late:
				f.late = durable.WriteFile(f.path, f.text) != nil
			case f.ours():
				_ = os.Chtimes(f.path, now, now) // a missed beat is made good by the next
			}
		}
	}
}

// ours reports whether the file still names this owner.
func (f *ownerFile) ours() bool {
	b, err := os.ReadFile(f.path)
	return err == nil && bytes.Equal(b, f.text)
}

func (f *ownerFile) release() error {
	f.close.Do(func() { close(f.stop) })
	<-f.done
	if !f.ours() {
		return nil
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
