package downloader

import (
	"os"

	"mimicsync/manifest"
)

// KeepManifest makes a file of the mirror's folder of manifests the kept one.
func (t *Tree) KeepManifest(f *os.File, d manifest.Digest) error { return t.keepManifest(f, d) }

// SetReached lets a test act at the named points of a transfer and a commit.
func (s *Syncer) SetReached(f func(point string)) { s.reached = f }

// DropEnds makes a test see a file system on which dots and spaces at the end of a name
// do not count, as FAT.
func (t *Tree) DropEnds() { t.dropsEnds = true }
