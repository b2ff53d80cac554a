package downloader

import (
	"errors"
	"fmt"

	"mimicsync/manifest"
)

// ErrNotPublished means that a version is announced and has no manifest yet.
var ErrNotPublished = errors.New("not published yet")

// PortalError is the answer of another server in place of the source: trouble of
// the network on the way.
type PortalError struct {
	Asked string // address, without user, password and query
	Host  string // that answers, or that one is sent to
	Why   string // what it did, in words
}

// Error names both.
func (e *PortalError) Error() string {
	return fmt.Sprintf("%s: %s %s; a login page of the network may stand in between", e.Asked, e.Host, e.Why)
}

// NotPublishedError means that a version is announced and cannot be fetched yet:
// its page is there, and its manifest is not.
type NotPublishedError struct {
	Ref    manifest.Ref
	Source string
	Page   string
}

// Error says that this is normal.
func (e *NotPublishedError) Error() string {
	return fmt.Sprintf("%s is not published yet: %s has its page, and not its %s; that is normal for some minutes after a publication", e.Ref, e.Source, manifest.Name)
}

// Unwrap makes errors.Is(err, ErrNotExist) true, and so for ErrNotPublished.
func (e *NotPublishedError) Unwrap() []error { return []error{ErrNotExist, ErrNotPublished} }

// UnfinishedManifestError means that a version has more than its manifest lists, by
// what the source says of its size: the manifest was cut short, or is still being
// made.
type UnfinishedManifestError struct {
	Ref               manifest.Ref
	Listed, Published int64 // bytes: of all files that are listed, of the version
}

// Error names both sizes.
func (e *UnfinishedManifestError) Error() string {
	return fmt.Sprintf("the files that %s of %s lists have %s, and the version has %s: the list is not finished", manifest.Name, e.Ref, size(e.Listed), size(e.Published))
}

// Unwrap makes errors.Is(err, ErrNotPublished) true.
func (e *UnfinishedManifestError) Unwrap() error { return ErrNotPublished }
