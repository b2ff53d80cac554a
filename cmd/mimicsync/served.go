package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/internal/durable"
	"mimicsync/store"
)

// served remembers that a daemon had a mirror in a folder, by a file outside of it. If such
// a folder is empty, it is the mount point of a disk that is missing: a second mirror in it
// would hide behind the first one, and fill the system's disk.
type served struct {
	mirror string // absolute
	file   string
}

// servedMirror is for one mirror; an empty file name means that there is no home folder to
// keep it in.
func servedMirror(mirror string) served {
	state := stateFolder()
	if state == "" {
		return served{mirror: mirror}
	}
	name := sha256.Sum256([]byte(mirror))
	return served{mirror, filepath.Join(state, "mirrors", hex.EncodeToString(name[:8]))}
}

// remember notes that the mirror exists.
func (s served) remember() error {
	if s.file == "" {
		return errors.New("there is no home folder; set XDG_STATE_HOME")
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(s.file, []byte(s.mirror+"\n"))
}

// here reports whether there is a mirror in the folder, or something that somebody put in
// its place.
func (s served) here() bool {
	_, err := os.Lstat(filepath.Join(s.mirror, store.Dir))
	return err == nil
}

// away returns nil if the mirror exists or may be created. It writes nothing.
func (s served) away() error {
	if s.here() || s.file == "" {
		return nil
	}
	if _, err := os.Lstat(s.file); errors.Is(err, fs.ErrNotExist) {
		return nil // never served
	}
	return &awayError{s}
}

// awayError means that a mirror is no longer where it was.
type awayError struct{ served }

func (e *awayError) Error() string {
	return fmt.Sprintf("the mirror is missing from %s: its disk may not be mounted", e.mirror)
}

// Advice implements advice.Advised.
func (e *awayError) Advice(advice.Adviser) advice.Advice {
	return advice.Advice{Code: advice.ExitIncomplete, Hint: e.cure()}
}

func (e *awayError) cure() string {
	return fmt.Sprintf("mount it, and a waiting daemon continues automatically; to create a new mirror there, stop the daemon and delete %s", e.file)
}
