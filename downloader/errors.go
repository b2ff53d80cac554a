package downloader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/manifest"
)

// What a Source says about an object. Sources wrap these; anything else that
// they return is taken for trouble on the way and tried again.
var (
	// ErrNotExist means that the source has no such object.
	ErrNotExist = errors.New("not there")
	// ErrNotModified means that the object is still the one the request named.
	ErrNotModified = errors.New("not modified")
	// ErrRange means that the object ends before the offset asked for.
	ErrRange = errors.New("the object is shorter than the offset")
	// ErrChanged means that the object is not the one that the request's
	// Validator names.
	ErrChanged = errors.New("the object has changed at the source")
	// ErrNoRange means that the source does not answer a request for a part of an
	// object as it should. It may give the whole.
	ErrNoRange = errors.New("the source does not give a part of the object")
	// ErrWebPage means that the source answered with a web page where data was
	// asked for.
	ErrWebPage = errors.New("the server sent a web page instead of the file")
)

// What ends a pass.
var (
	// ErrNoSpace means that the disk is full, or will be before the pass ends.
	ErrNoSpace = errors.New("no space left on the mirror's disk")
	// ErrUnreachable means that a host could not be connected to for so long
	// that the pass gave up.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrInterrupted is the cause to cancel a pass with when a person stops it.
	ErrInterrupted = errors.New("interrupted")
	// ErrLimit means that the pass came to a limit that a person set: on bytes,
	// or on time. It is the cause to cancel a pass with for the latter. The pass
	// ends as if interrupted, but is incomplete.
	ErrLimit = errors.New("the limit is reached")
	// ErrSpent is the ErrLimit of Options.MaxCost.
	ErrSpent = fmt.Errorf("%w", ErrLimit)
	// ErrManifest means that what the source serves as SHA256SUMS.txt cannot be
	// used. The one in force before stays.
	ErrManifest = errors.New("the manifest cannot be used")
	// ErrManifestChanges means that the manifest was made anew again and again while
	// a pass went by it.
	ErrManifestChanges = errors.New("the manifest changes faster than it can be followed")
	// ErrSources means that the sources that a pass was to ask are not usable.
	ErrSources = errors.New("the sources cannot be used")
	// ErrNothingSelected means that a selection has none of a manifest's entries,
	// as by a typo: that is nothing to be called complete.
	ErrNothingSelected = errors.New("nothing is selected")
)

// ErrStalled means that no byte came for the idle time-out. What waited for it is
// tried again.
var ErrStalled = errors.New("no data came")

// Why a version is not verified or pruned.
var (
	// ErrKept means that a version is not for pruning.
	ErrKept = errors.New("not an old version")
	// ErrNoManifest means that the mirror has no manifest of the version yet.
	ErrNoManifest = errors.New("the mirror has no manifest of this version")
)

// Denial says why a source refused access.
type Denial int

const (
	// NoCredentials means that the source asks who we are and nobody told us.
	NoCredentials Denial = iota + 1
	// BadCredentials means that the source does not accept the user and password.
	BadCredentials
	// Forbidden means that the source knows who we are and still refuses: an
	// agreement to sign, a training to renew.
	Forbidden
	// UnknownVersion means that the source has no such dataset or version.
	UnknownVersion
	// Moved means that the source is at another address, where the account was not
	// sent: a person has to name it.
	Moved
)

// Cause is the reason for a Denial in one word, for programs, where a source
// can tell more than the Denial itself.
type Cause string

// The causes of PhysioNet.
const (
	// CauseWithdrawn means that nobody gets the files of this version any more.
	CauseWithdrawn Cause = "withdrawn"
	// CauseRegion means that the files may not go to where the request came from.
	CauseRegion Cause = "region"
	// CauseDownloadsOff means that the files can be used where PhysioNet has them,
	// and nobody may take them home.
	CauseDownloadsOff Cause = "downloads_off"
	// CauseReview means that those who contributed the data must consent.
	CauseReview Cause = "contributor_review"
	// CauseUnexplained means that the account may read the files, as PhysioNet says,
	// and does not get them all the same.
	CauseUnexplained Cause = "unexplained"
)

// The causes of cloud sources.
const (
	// CauseNoLogin means that no credentials were found, or none were sent, and
	// that the source does not serve strangers.
	CauseNoLogin Cause = "no_login"
	// CauseLoginExpired means that a login was found which is over.
	CauseLoginExpired Cause = "login_expired"
	// CauseBadLogin means that credentials were found which cannot be used.
	CauseBadLogin Cause = "bad_login"
	// CauseNoBillingProject means that the reader pays and has not said from what.
	CauseNoBillingProject Cause = "no_billing_project"
	// CauseBadBillingProject means that what shall pay cannot.
	CauseBadBillingProject Cause = "bad_billing_project"
	// CauseNotGranted means that the account is known and has no access.
	CauseNotGranted Cause = "not_granted"
	// CauseOwner is the same of a bucket that is not PhysioNet's: somebody else lets
	// people in.
	CauseOwner Cause = "bucket_owner"
	// CauseShut means that a bucket refuses which is open to everybody.
	CauseShut Cause = "open_bucket_shut"
	// CauseNoBucket means that there is no such bucket.
	CauseNoBucket Cause = "no_bucket"
)

// The causes of S3 beside those.
const (
	// CauseUnknownKey means that the store does not know the access key.
	CauseUnknownKey Cause = "unknown_key"
	// CauseWrongSecret means that it knows the access key by another secret.
	CauseWrongSecret Cause = "wrong_secret"
	// CauseClock means that this machine's clock is too wrong for signatures.
	CauseClock Cause = "clock"
	// CauseNoUser means that the credentials are those of a role or of a whole
	// account, which PhysioNet does not let in.
	CauseNoUser Cause = "no_user"
	// CauseWrongRegion means that the bucket is in another region.
	CauseWrongRegion Cause = "wrong_region"
	// CauseAccessPoint means that an access point refuses: it may be that of
	// other people or of another version.
	CauseAccessPoint Cause = "access_point"
	// CauseWrongPrefix means that the location is not where the access point
	// lets anybody read.
	CauseWrongPrefix Cause = "wrong_prefix"
	// CauseIdentityPolicy means that the person's own cloud account does not
	// let its user read.
	CauseIdentityPolicy Cause = "identity_policy"
	// CauseNoRole means that a login is good, and does not give the role or the
	// account that the configuration names.
	CauseNoRole Cause = "no_role"
	// CauseFederation means that the login of another identity provider does not give
	// one of the cloud's.
	CauseFederation Cause = "federation"
	// CauseEncrypted means that the object is encrypted with a key that the reader
	// may not use.
	CauseEncrypted Cause = "encrypted"
	// CauseStranger means that no credentials are sent, as the configuration has it,
	// and that the source does not serve strangers.
	CauseStranger Cause = "stranger"
	// CauseSignature means that a signature was refused for the name of one object.
	CauseSignature Cause = "signature"
	// CauseArchived means that the owner has to bring the object back from an
	// archive.
	CauseArchived Cause = "archived"
)

// AccessError means that a person has to do something before the source gives
// the dataset.
type AccessError struct {
	Denial Denial
	// Cause is empty where the Denial says it all.
	Cause  Cause
	Ref    manifest.Ref
	Source string
	User   string // whose credentials were sent, empty if none
	// From says where the credentials came from, as in "netrc", empty if none.
	From string
	// Page is the page where the cure lies.
	Page string
	// Command is what to type where that is the cure.
	Command string
	// Detail is what is wrong and what to do, in the source's own words; empty
	// where the fields above say it.
	Detail string
	// Sure means that the source has looked into it and knows: asking again is no
	// use before a person has acted. Else a refusal may be that of a firewall, a
	// proxy or an overloaded login service, and is tried again where the same
	// account was served before.
	Sure bool
	// Err says why credentials could not be looked for, nil if they could.
	Err error
}

// Error says what was refused to whom.
func (e *AccessError) Error() string {
	if e.Detail != "" {
		return e.Source + ": " + e.Detail
	}
	switch e.Denial {
	case NoCredentials:
		asks := e.Source + " asks for a user and password"
		if e.Ref.Dataset != "" {
			asks += " for " + e.Ref.String()
		}
		if e.Err != nil {
			return asks + ": " + e.Err.Error()
		}
		return asks + ", and none were given"
	case BadCredentials:
		return fmt.Sprintf("%s does not accept the user %q with the password from %s", e.Source, e.User, e.From)
	case Forbidden:
		if e.User == "" {
			return fmt.Sprintf("%s refuses access to %s", e.Source, e.Ref)
		}
		return fmt.Sprintf("%s knows the user %q, who may not read %s", e.Source, e.User, e.Ref)
	case UnknownVersion:
		return fmt.Sprintf("%s has no dataset %s", e.Source, e.Ref)
	case Moved:
		return fmt.Sprintf("%s is at another address: %s", e.Source, e.Page)
	}
	return fmt.Sprintf("%s refuses access to %s", e.Source, e.Ref)
}

// Unwrap returns Err.
func (e *AccessError) Unwrap() error { return e.Err }

// StatusError is an answer that is not the object, for reasons that may pass.
type StatusError struct {
	URL        string // without user, password and query
	Code       int
	RetryAfter time.Duration // what the server asked for, 0 if nothing
}

// Error names the status and the URL.
func (e *StatusError) Error() string { return fmt.Sprintf("%s: status %d", e.URL, e.Code) }

func (e *StatusError) answer() Answer {
	switch {
	case e.Code == http.StatusTooManyRequests:
		return TooFast
	case e.Code == http.StatusServiceUnavailable:
		return Busy
	case e.Code >= 500:
		return Sick
	}
	return Bare // it brought nothing, and says nothing about the number of connections
}

// ProxyError is the refusal of a proxy to connect to a source: trouble of the
// network on the way, whatever the status.
type ProxyError struct {
	Proxy string // its address, without user and password
	Host  string // which it was to connect to
	Code  int    // of its answer to CONNECT
}

// Error names the proxy and what it answered.
func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy %s does not connect to %s: status %d (%s)", e.Proxy, e.Host, e.Code, http.StatusText(e.Code))
}

// RefusedByProxy is for http.Transport.OnProxyConnectResponse: it returns a
// *ProxyError where a proxy refuses CONNECT.
func RefusedByProxy(_ context.Context, proxy *url.URL, connect *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Scheme + "://" + proxy.Host, Host: connect.Host, Code: answer.StatusCode}
}

// MismatchError means that all bytes of an object came and are not the entry's.
type MismatchError struct {
	Path      string
	Want, Got manifest.Digest
	Size      int64 // bytes that came
}

// Error names both digests.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("its %d bytes have the SHA-256 %s, the manifest says %s", e.Size, e.Got, e.Want)
}

// ShrunkError means that a published manifest has so many entries less than the
// one in force that a person must say whether that is meant: a server in trouble
// publishes half a list, too.
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

// KeptManifestError means that the mirror's own copy of the manifest in force is
// damaged or gone, so that nothing can be said of the version's files. A pull of
// the version fetches it again.
type KeptManifestError struct {
	Ref manifest.Ref
}

// Error names the version.
func (e *KeptManifestError) Error() string {
	return fmt.Sprintf("the mirror's copy of the manifest of %s is damaged or gone", e.Ref)
}

// Unwrap makes errors.Is(err, ErrManifest) true.
func (e *KeptManifestError) Unwrap() error { return ErrManifest }

// SizeError means that an object ended early, or is longer than it can be.
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

// SpaceError says how much room is missing.
type SpaceError struct {
	Need, Free int64 // bytes; Need is 0 when unknown
	Inodes     bool  // it is the number of files that is exhausted
	Disk       int64 // bytes of the whole disk where a single object is said to have more, else 0
	Published  int64 // size of the whole version, by which Need was reckoned, else 0
	Err        error // what the file system said, nil when it was asked beforehand
}

// Error names both sizes.
func (e *SpaceError) Error() string {
	switch {
	case errors.Is(e.Err, syscall.EDQUOT): // what is free on the disk says nothing then
		return fmt.Sprintf("%v: your quota there is used up, though %s are free on it", ErrNoSpace, size(e.Free))
	case e.Inodes:
		return "the mirror's file system has no inode left for another file"
	case e.Disk > 0:
		return fmt.Sprintf("%v: this file is said to need %s more, and the whole disk has %s", ErrNoSpace, size(e.Need), size(e.Disk))
	case e.Published > 0:
		return fmt.Sprintf("%v: the version has %s as published, of which %s more are needed, and %s are free", ErrNoSpace, size(e.Published), size(e.Need), size(e.Free))
	case e.Need > e.Free:
		return fmt.Sprintf("%v: %s more are needed and %s are free, so %s are missing", ErrNoSpace,
			size(e.Need), size(e.Free), size(e.Need-e.Free))
	}
	return fmt.Sprintf("%v: %s are free", ErrNoSpace, size(e.Free))
}

// Unwrap makes errors.Is(err, ErrNoSpace) true.
func (e *SpaceError) Unwrap() []error { return []error{ErrNoSpace, e.Err} }

func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
