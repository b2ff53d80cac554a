package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"sync"

	"mimicsync/configs"
)

// errNoConfig means that there is nothing in the place of a configuration.
var errNoConfig = errors.New("it is empty")

// configWatch notices that a configuration file has changed. It goes by the content,
// so that a file which was touched, or written anew as it was, is no news. Safe for
// concurrent use.
type configWatch struct {
	path string // empty: there is none

	mu     sync.Mutex
	taken  digest // of what the daemon has read last, be it right or wrong
	before digest // at the look before
	said   string // what was the matter with the file, at that look
}

// digest is that of a file's content, zero if there is none.
type digest [sha256.Size]byte

// take notes that the file is read now.
func (w *configWatch) take() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken, _ = w.read()
	w.before = w.taken
}

// look reports whether the file is to be read again: it has another content than
// when it was read last, and has had it for two looks, so that nobody is writing it
// any more. A file that cannot be read, or is empty, is not; the error says so, once.
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
	case errors.Is(err, fs.ErrNotExist) && w.taken == digest{}: // it was not there before, and need not be
		return digest{}, nil
	case err != nil:
		return digest{}, err
	case len(bytes.TrimSpace(text)) == 0:
		return digest{}, errNoConfig
	}
	return sha256.Sum256(text), nil
}
