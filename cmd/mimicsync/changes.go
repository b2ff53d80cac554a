package main

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"mimicsync/daemon"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
)

// changesSink returns where passes tell their changes: to the file of --changes, to those
// of a daemon, or nowhere.
func (a *app) changesSink(m *mirror) func(manifest.Ref, []report.Change) error {
	switch {
	case a.changes != "":
		return (&changesFile{path: a.changes}).note
	case a.serves:
		return (&daemon.Changes{Mirror: a.mirror, Store: m.store}).Note
	}
	return nil
}

// changesFile is the file of --changes. Earlier lines stay: a pull that was interrupted has
// written its part of them.
type changesFile struct {
	path string
	mu   sync.Mutex
}

func (c *changesFile) note(ref manifest.Ref, changes []report.Change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		err = errors.Join(report.WriteChanges(f, ref, changes), f.Close())
	}
	if err != nil {
		return fmt.Errorf("--changes: %w", err)
	}
	return nil
}
