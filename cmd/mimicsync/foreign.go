package main

import (
	"errors"
	"io/fs"

	"mimicsync/store"
)

// tellForeign notes what somebody else has put into the mirror's .mimicsync. A command
// that needs what should be there ends with an error; the others go on, but people know.
func (a *app) tellForeign() {
	if a.flags.Lookup("mirror") == nil {
		return
	}
	own, err := store.OpenFolder(a.mirror)
	if err != nil {
		return // whoever needs it says so
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	for _, err := range own.Foreign() {
		if failed, ok := errors.AsType[*fs.PathError](err); ok {
			a.ui.Notef("%s: %v", failed.Path, failed.Err)
		}
	}
}
