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
	if err != nil || !filepath.IsAbs(home) { // the current folder may be anybody's
		return "", errors.New("there is no home folder for the state of a mirror on a file server: set HOME, or name a folder with --state DIR")
	}
	return filepath.Join(home, ".local", "state", "mimicsync"), nil
}

// mirrorID names a mirror, however it is reached, by a file in it. Of two
// processes that begin a mirror at once, both take the name that was there first.
func mirrorID(own string) (string, error) {
	path := filepath.Join(own, "id")
	for {
		b, err := os.ReadFile(path)
		if id := strings.TrimSpace(string(b)); err == nil && len(id) == 16 {
			return id, nil
		}
		err = unlessDangling(path, err)
		write := durable.CreateFile
		if err == nil {
			write = durable.WriteFile // over one that names nothing
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		raw := make([]byte, 8)
		_, _ = rand.Read(raw) // never fails, see crypto/rand
		id := hex.EncodeToString(raw)
		if err := write(path, []byte(id+"\n")); !errors.Is(err, fs.ErrExist) {
			return id, err
		}
	}
}

// unlessDangling is the error of opening path, or says that path is a symlink which leads
// nowhere: that does not exist for who reads it, and exists for who would make it.
func unlessDangling(path string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if fi, lerr := os.Lstat(path); lerr == nil && fi.Mode()&fs.ModeSymlink != 0 {
		return &fs.PathError{Op: "open", Path: path, Err: errors.New("it is a symlink that leads nowhere; remove it")}
	}
	return err
}

func (p Place) file() string { return filepath.Join(p.State, "state.db") }

// File is the path of the state file.
func (p Place) File() string { return p.file() }
