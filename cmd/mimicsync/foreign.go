package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

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
			a.ui.note("%s: %v", failed.Path, failed.Err)
		}
	}
}

// adviseForeign is about what others may have put into a mirror.
func adviseForeign(err error) (advice, bool) {
	foreign, ok := errors.AsType[*store.ForeignError](err)
	failed, named := errors.AsType[*fs.PathError](err)
	if !ok || !named {
		return advice{}, false
	}
	look := fmt.Sprintf("see what it is and who put it there, with: ls -ld %s\nthen remove it, and run the same command again; what is verified stays", shellQuote(failed.Path))
	mirror, _, inMirror := strings.Cut(failed.Path, string(filepath.Separator)+store.Dir)
	switch {
	case foreign.Owner != "" && inMirror:
		return advice{exitUnexpected, fmt.Sprintf("if %s looks after this mirror, run mimicsync as that user, or let the mirror's folder belong to that user, with: chown %s %s\nelse %s",
			foreign.Owner, shellQuote(strings.TrimPrefix(foreign.Owner, "user ")), shellQuote(mirror), look)}, true
	case strings.HasSuffix(failed.Path, "state.db"):
		look += "\nif the state is to lie elsewhere, name its folder with --state DIR"
	}
	return advice{exitUnexpected, look}, true
}
