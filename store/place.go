package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mimicsync/internal/durable"
)

// Dir is the folder in a mirror that belongs to mimicsync.
const Dir = ".mimicsync"

// Names in it.
const (
	stateName = "state.db"
	idName    = "id"
	ownerName = "owner"
	nextOwner = ".next" // suffix of the file that a successor takes
)

// Place says where a mirror is and where its state is. bbolt locks and maps its file, which
// needs a local disk; a mirror may be on a file server.
type Place struct {
	Mirror  string // the mirror's root folder
	State   string // the folder of state.db
	Network string // name of the mirror's network file system, empty if it is local

	stateID string // names the folder of the state, empty if it is in the mirror
}

// inMirror reports whether the state is in the mirror.
func (p Place) inMirror() bool { return p.State == filepath.Join(p.Mirror, Dir) }

// Locate finds the place of a mirror's state: dir if it isn't empty, otherwise .mimicsync
// in the mirror, or a folder in $XDG_STATE_HOME/mimicsync if the mirror is on a network
// file system. It creates the mirror's folder and .mimicsync.
func Locate(mirror, dir string) (Place, error) {
	own, err := MakeFolder(mirror)
	if err != nil {
		return Place{}, err
	}
	defer func() { _ = own.Close() }() // what was written in it is synced
	p := Place{Mirror: mirror, State: own.Path()}
	name, network := durable.NetworkFS(own.Path())
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
	id, err := idOf(own)
	if err != nil {
		return Place{}, err
	}
	p.State = filepath.Join(dir, id)
	folder, err := p.stateFolder()
	if err != nil {
		return Place{}, err
	}
	defer func() { _ = folder.Close() }() // likewise
	p.stateID, err = idOf(folder)
	return p, err
}

// folder opens the mirror's .mimicsync. A Place holds no open folder, because the mirror's
// disk may come and go.
func (p Place) folder() (*Folder, error) { return OpenFolder(p.Mirror) }

// stateFolder opens the folder of the state file, and creates it if necessary. For a folder
// outside of the mirror, the same rules of trust hold.
func (p Place) stateFolder() (*Folder, error) {
	if err := os.MkdirAll(filepath.Dir(p.State), 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	own, err := MakeFolder(p.Mirror)
	return p.stateFolderBeside(own, err, (*Folder).MakeSub)
}

// stateFolderIfAny is stateFolder, but creates nothing; the error is fs.ErrNotExist if
// there is none.
func (p Place) stateFolderIfAny() (*Folder, error) {
	own, err := p.folder()
	return p.stateFolderBeside(own, err, (*Folder).Sub)
}

func (p Place) stateFolderBeside(own *Folder, err error, open func(*Folder, string) (*Folder, error)) (*Folder, error) {
	if err != nil || p.State == own.Path() {
		return own, err
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	above, err := openTop(filepath.Dir(p.State))
	if err != nil {
		return nil, err
	}
	defer func() { _ = above.Close() }() // likewise
	above.believed = own.believed
	return open(above, filepath.Base(p.State))
}

// stateHome is where programs keep state, see the XDG Base Directory Specification.
func stateHome() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "mimicsync"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) { // the current folder may be anybody's
		return "", errors.New("there is no home folder for the state of a mirror on a file server: set HOME, or name a folder with --state DIR")
	}
	return filepath.Join(home, ".local", "state", "mimicsync"), nil
}

// idOf names a folder, whatever path leads to it, by a file in it. If two processes do so
// at once, both use the name that was first.
func idOf(own *Folder) (string, error) {
	for {
		b, err := own.ReadFile(idName, 4<<10)
		if id := strings.TrimSpace(string(b)); err == nil && isMirrorID(id) {
			return id, nil
		}
		write := own.CreateFile
		if err == nil {
			write = own.WriteFile // over one that has no name in it
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		raw := make([]byte, 8)
		_, _ = rand.Read(raw) // never fails, see crypto/rand
		id := hex.EncodeToString(raw)
		if err := write(idName, []byte(id+"\n")); !errors.Is(err, fs.ErrExist) {
			return id, err
		}
	}
}

// isMirrorID reports whether a text is the name of a mirror, and so of a folder: other text
// might lead out of the folder of states.
func isMirrorID(id string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && len(raw) == 8
}

func (p Place) file() string { return filepath.Join(p.State, stateName) }

// File is the path of the state file.
func (p Place) File() string { return p.file() }
