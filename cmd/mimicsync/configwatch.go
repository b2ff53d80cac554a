package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"sync"

	"mimicsync/configs"
)

// errNoConfig means that there is no configuration file.
var errNoConfig = errors.New("it is empty")

// configWatch notices that a configuration file has changed. It compares the content, so a
// file that was touched or rewritten unchanged doesn't count. Safe for concurrent use.
type configWatch struct {
	path string // empty: there is none

	mu     sync.Mutex
	taken  digest // of the content that the daemon last read, valid or not
	before digest // at the previous look
	said   string // the problem with the file at that look
}

// digest is that of a file's content, zero if there is none.
type digest [sha256.Size]byte

// take notes that the file is being read.
func (w *configWatch) take() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken, _ = w.read()
	w.before = w.taken
}

// look reports whether to read the file again: its content differs from when it was last
// read, and was the same at two looks, so nobody is writing it any more. A file that can't
// be read or is empty doesn't count; the error says so, once.
func (w *configWatch) look() (changed bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, err := w.read()
	if err != nil {
		said := err.Error()
		if said == w.said {
			return false, nil
		}
		w.said = said
		return false, err
	}
	settled := now == w.before
	w.before, w.said = now, ""
	return settled && now != w.taken, nil
}

func (w *configWatch) read() (digest, error) {
	if w.path == "" {
		return digest{}, nil
	}
	text, err := configs.Read(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && w.taken == digest{}: // it wasn't there before, and need not be
		return digest{}, nil
	case err != nil:
		return digest{}, err
	case len(bytes.TrimSpace(text)) == 0:
		return digest{}, errNoConfig
	}
	return sha256.Sum256(text), nil
}
