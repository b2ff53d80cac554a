package main

import (
	"errors"
	"io/fs"

	"mimicsync/store"
)

// tellForeign warns of what somebody else has put into the mirror's .mimicsync. A command
// that needs such a file ends with an error; other commands continue, but people should
// know.
func (a *app) tellForeign() {
	if a.flags.Lookup("mirror") == nil {
		return
	}
	own, err := store.OpenFolder(a.mirror)
	if err != nil {
		return // the command that needs it will report it
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	for _, err := range own.Foreign() {
		if failed, ok := errors.AsType[*fs.PathError](err); ok {
			a.ui.Notef("%s: %v", failed.Path, failed.Err)
		}
	}
}
