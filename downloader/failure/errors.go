// Package failure defines what can go wrong in a pass: the errors that callers distinguish,
// and the reason that a report gives for each. Package retry decides what they mean for
// another attempt; package source has the refusals of sources.
package failure

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// What ends a pass.
var (
	// ErrNoSpace means that the disk is full, or will be before the pass ends.
	ErrNoSpace = errors.New("no space left on the mirror's disk")
	// ErrUnreachable means that the pass gave up on a host that couldn't be reached for
	// long.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrInterrupted is the cause with which a person cancels a pass.
	ErrInterrupted = errors.New("interrupted")
	// ErrLimit means that the pass reached a limit on bytes, time or cost. It is also the
	// cause with which a time limit cancels a pass. The pass ends as if interrupted, but is
	// incomplete.
	ErrLimit = errors.New("the limit is reached")
	// ErrSpent is the ErrLimit of Options.MaxCost.
	ErrSpent = fmt.Errorf("%w", ErrLimit)
	// ErrManifest means that what the source serves as SHA256SUMS.txt can't be used. The
	// manifest in force stays.
	ErrManifest = errors.New("the manifest can't be used")
	// ErrManifestChanges means that the manifest was renewed again and again during a pass.
	ErrManifestChanges = errors.New("the manifest changes faster than it can be followed")
	// ErrSources means that the requested sources can't be used.
	ErrSources = errors.New("the sources can't be used")
	// ErrNothingSelected means that a selection matches no entry of a manifest, for example
	// because of a typo. Such a pass must not be called complete.
	ErrNothingSelected = errors.New("nothing is selected")
)

// ErrStalled means that no byte arrived within the idle time-out. What waited for it is
// retried.
var ErrStalled = errors.New("no data arrived")

// Why a version can't be verified or pruned.
var (
	// ErrKept means that a version is not to be pruned.
	ErrKept = errors.New("not an old version")
	// ErrNoManifest means that the mirror has no manifest of the version yet.
	ErrNoManifest = errors.New("the mirror has no manifest of this version")
)

// MismatchError means that all bytes of an object arrived and are not the entry's.
type MismatchError struct {
	Path      string
	Want, Got manifest.Digest
	Size      int64 // bytes received
}

// Error names both digests.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("its %d bytes have the SHA-256 %s, the manifest says %s", e.Size, e.Got, e.Want)
}

// ShrunkError means that a published manifest has so many fewer entries than the one in
// force that a person must confirm it: a failing server also publishes half a list.
type ShrunkError struct {
	Ref     manifest.Ref
	Was, Is int64 // entries
}

// Error names both numbers.
func (e *ShrunkError) Error() string {
	return fmt.Sprintf("%v: it has %s entries, and the one in force has %s", ErrManifest, humanize.Comma(e.Is), humanize.Comma(e.Was))
}

// Unwrap makes errors.Is(err, ErrManifest) true.
func (e *ShrunkError) Unwrap() error { return ErrManifest }

// KeptManifestError means that the mirror's copy of the manifest in force is damaged or
// missing, so that nothing is known about the version's files. A pull of the version
// fetches it again.
type KeptManifestError struct {
	Ref manifest.Ref
}

// Error names the version.
func (e *KeptManifestError) Error() string {
	return fmt.Sprintf("the mirror's copy of the manifest of %s is damaged or gone", e.Ref)
}

// Unwrap makes errors.Is(err, ErrManifest) true.
func (e *KeptManifestError) Unwrap() error { return ErrManifest }

// SizeError means that an object ended early, or is longer than possible.
type SizeError struct {
	Want, Got int64
}

// Error names both sizes.
func (e *SizeError) Error() string {
	if e.Got > e.Want {
		return fmt.Sprintf("the object has at least %d bytes, and cannot have more than %d", e.Got, e.Want)
	}
	return fmt.Sprintf("the object ended after %d of %d bytes", e.Got, e.Want)
}

// SpaceError says how much space is missing.
type SpaceError struct {
	Need, Free int64 // bytes; Need is 0 if unknown
	Inodes     bool  // the file system is out of inodes, not of bytes
	Disk       int64 // size of the whole disk if a single object claims to be larger, otherwise 0
	Published  int64 // size of the whole version, from which Need was derived; otherwise 0
	Err        error // the error of the file system; nil if found beforehand
}

// Error names both sizes.
func (e *SpaceError) Error() string {
	switch {
	case errors.Is(e.Err, syscall.EDQUOT): // free space on the disk doesn't matter then
		return fmt.Sprintf("%v: your quota is used up, although the disk has %s free", ErrNoSpace, size(e.Free))
	case e.Inodes:
		return "the mirror's file system has no free inode left"
	case e.Disk > 0:
		return fmt.Sprintf("%v: this file claims to need %s more, but the whole disk has %s", ErrNoSpace, size(e.Need), size(e.Disk))
	case e.Published > 0:
		return fmt.Sprintf("%v: of the %s published for the version, %s is still needed, and %s is free", ErrNoSpace, size(e.Published), size(e.Need), size(e.Free))
	case e.Need > e.Free:
		return fmt.Sprintf("%v: %s more is needed and %s is free, so %s is missing", ErrNoSpace,
			size(e.Need), size(e.Free), size(e.Need-e.Free))
	}
	return fmt.Sprintf("%v: %s is free", ErrNoSpace, size(e.Free))
}

// Unwrap makes errors.Is(err, ErrNoSpace) true.
func (e *SpaceError) Unwrap() []error { return []error{ErrNoSpace, e.Err} }

func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// UnfinishedManifestError means that a version is larger than the files that its manifest
// lists, by the size that the source states: the manifest was cut short, or is still being
// written.
type UnfinishedManifestError struct {
	Ref               manifest.Ref
	Listed, Published int64 // bytes: of all listed files, of the version
}

// Error names both sizes.
func (e *UnfinishedManifestError) Error() string {
	return fmt.Sprintf("the files listed in %s of %s have %s, but the version has %s: the list is incomplete", manifest.Name, e.Ref, size(e.Listed), size(e.Published))
}

// Unwrap makes errors.Is(err, ErrNotPublished) true.
func (e *UnfinishedManifestError) Unwrap() error { return source.ErrNotPublished }

// ErrNoService means that the pass gave up on a host that answered, but served nothing
// useful for long.
var ErrNoService = errors.New("the server has sent no usable answer")

// ErrLongManifest means that a manifest exceeds its limits.
var ErrLongManifest = fmt.Errorf("%w: it is too long", ErrManifest)

// ErrStray means that an answer starts at another byte than requested.
var ErrStray = errors.New("the source sent other bytes than requested")

// ErrVoid ends the connections of a transfer whose bytes must go.
var ErrVoid = errors.New("the partial is of no use")

// IsOutOfFiles reports whether the process, or the machine, can't open more files.
func IsOutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// UnansweredError means that a request was given up because no answer began.
type UnansweredError struct {
	After time.Duration
	// Reused says that an earlier request on the connection was answered.
	Reused bool
	// Silent says that the host answered nobody in that time.
	Silent bool
}

// Error says how long nothing arrived.
func (e *UnansweredError) Error() string {
	on := "a new connection"
	if e.Reused {
		on = "an open connection"
	}
	return fmt.Sprintf("no answer began for %s on %s", e.After.Round(time.Second/10), on)
}

// Unwrap makes errors.Is(err, ErrStalled) true.
func (e *UnansweredError) Unwrap() error { return ErrStalled }
