package failure_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

var demo = manifest.Ref{Dataset: "demo", Version: "1.0"}

// Each failure says the amounts that a person compares, and is what callers ask for.
func TestFailuresSayHowMuch(t *testing.T) {
	mismatch := &failure.MismatchError{Size: 100}
	for _, test := range []struct {
		err  error
		is   error // nil: nothing in particular
		says []string
	}{
		{mismatch, nil, []string{"100 bytes", "SHA-256"}},
		{&failure.ShrunkError{Ref: demo, Was: 377110, Is: 12}, failure.ErrManifest, []string{"12 entries", "377,110"}},
		{&failure.KeptManifestError{Ref: demo}, failure.ErrManifest, []string{"demo@1.0", "damaged or gone"}},
		{&failure.SizeError{Got: 10, Want: 20}, nil, []string{"10", "20"}},
		{&failure.SpaceError{Need: 3e9, Free: 1e9}, failure.ErrNoSpace, []string{"3.0 GB", "1.0 GB", "2.0 GB"}},
		{&failure.SpaceError{Inodes: true}, failure.ErrNoSpace, []string{"inode"}},
		{&failure.SpaceError{Free: 5e9, Err: syscall.EDQUOT}, failure.ErrNoSpace, []string{"quota"}},
		{&failure.SpaceError{Need: 9e12, Disk: 1e12}, failure.ErrNoSpace, []string{"9.0 TB", "1.0 TB"}},
		{&failure.UnfinishedManifestError{Ref: demo, Listed: 5, Published: 50}, source.ErrNotPublished, []string{"demo@1.0", "5 B", "50 B"}},
		{&failure.UnansweredError{After: 90 * time.Second}, failure.ErrStalled, []string{"1m30s", "new connection"}},
		{&failure.DifferentError{Mismatch: mismatch}, nil, []string{"different object", "100 bytes"}},
		{&failure.BoundlessError{Got: 5e9, Most: 1e9}, nil, []string{"5.0 GB", "1.0 GB"}},
		{failure.ErrSpent, failure.ErrLimit, []string{"limit"}},
		{failure.ErrLongManifest, failure.ErrManifest, []string{"too long"}},
	} {
		text := test.err.Error()
		for _, want := range test.says {
			if !strings.Contains(text, want) {
				t.Errorf("%T: %q, want %q in it", test.err, text, want)
			}
		}
		if test.is != nil && !errors.Is(fmt.Errorf("pull: %w", test.err), test.is) {
			t.Errorf("%T is not %v", test.err, test.is)
		}
	}
}

// A process without free file descriptors waits; a full disk does not get better by that.
func TestOutOfFilesIsNotOutOfSpace(t *testing.T) {
	if !failure.IsOutOfFiles(fmt.Errorf("open: %w", syscall.EMFILE)) || failure.IsOutOfFiles(syscall.ENOSPC) {
		t.Error("IsOutOfFiles takes one for the other")
	}
}
