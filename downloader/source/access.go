package source

import (
	"fmt"

	"mimicsync/manifest"
)

// Denial says why a source denied access.
type Denial int

const (
	// NoCredentials means that the source requires credentials and none were found.
	NoCredentials Denial = iota + 1
	// BadCredentials means that the source rejects the user and password.
	BadCredentials
	// Forbidden means that the source accepts the credentials but still denies access:
	// there is an agreement to sign or training to renew.
	Forbidden
	// UnknownVersion means that the source has no such dataset or version.
	UnknownVersion
	// Moved means that the source has another address. The account was not sent there: a
	// person must configure it.
	Moved
)

// Cause is the reason for a Denial in one word, for programs, if a source knows more than
// the Denial says.
type Cause string

// The causes of PhysioNet.
const (
	// CauseWithdrawn means that the files of this version are no longer offered.
	CauseWithdrawn Cause = "withdrawn"
	// CauseRegion means that the files aren't offered in the region that the request came
	// from.
	CauseRegion Cause = "region"
	// CauseDownloadsOff means that the files can be used only on PhysioNet's own platform,
	// and not downloaded.
	CauseDownloadsOff Cause = "downloads_off"
	// CauseReview means that the contributors of the data must consent.
	CauseReview Cause = "contributor_review"
	// CauseUnexplained means that PhysioNet says the account has access, but denies it.
	CauseUnexplained Cause = "unexplained"
)

// The causes of cloud sources.
const (
	// CauseNoLogin means that no credentials were found or sent, and the source requires
	// some.
	CauseNoLogin Cause = "no_login"
	// CauseLoginExpired means that a login was found that has expired.
	CauseLoginExpired Cause = "login_expired"
	// CauseBadLogin means that unusable credentials were found.
	CauseBadLogin Cause = "bad_login"
	// CauseNoBillingProject means that readers pay, and no billing project is set.
	CauseNoBillingProject Cause = "no_billing_project"
	// CauseBadBillingProject means that the billing project can't pay.
	CauseBadBillingProject Cause = "bad_billing_project"
	// CauseNotGranted means that the account is known and has no access.
	CauseNotGranted Cause = "not_granted"
	// CauseOwner is the same for a bucket that isn't PhysioNet's: its owner grants access.
	CauseOwner Cause = "bucket_owner"
	// CauseShut means that a public bucket denies access.
	CauseShut Cause = "open_bucket_shut"
	// CauseNoBucket means that there is no such bucket.
	CauseNoBucket Cause = "no_bucket"
)

// More causes of S3.
const (
	// CauseUnknownKey means that the store doesn't know the access key.
	CauseUnknownKey Cause = "unknown_key"
	// CauseWrongSecret means that the secret doesn't belong to the access key.
	CauseWrongSecret Cause = "wrong_secret"
	// CauseClock means that this machine's clock is too wrong for signatures.
	CauseClock Cause = "clock"
	// CauseNoUser means that the credentials are those of a role or of a whole account, to
	// which PhysioNet grants no access.
	CauseNoUser Cause = "no_user"
	// CauseWrongRegion means that the bucket is in another region.
	CauseWrongRegion Cause = "wrong_region"
	// CauseAccessPoint means that an access point denies access: it may be another user's
	// or another version's.
	CauseAccessPoint Cause = "access_point"
	// CauseWrongPrefix means that the access point doesn't serve the location.
	CauseWrongPrefix Cause = "wrong_prefix"
	// CauseIdentityPolicy means that the user's own cloud account doesn't let them read.
	CauseIdentityPolicy Cause = "identity_policy"
	// CauseNoRole means that a login is valid but lacks the role or account that the
	// configuration names.
	CauseNoRole Cause = "no_role"
	// CauseFederation means that a login at another identity provider isn't accepted by the
	// cloud.
	CauseFederation Cause = "federation"
	// CauseEncrypted means that the object is encrypted with a key that the reader can't
	// use.
	CauseEncrypted Cause = "encrypted"
	// CauseStranger means that the configuration says to send no credentials, and the
	// source requires some.
	CauseStranger Cause = "stranger"
	// CauseSignature means that the signature was rejected for the name of one object.
	CauseSignature Cause = "signature"
	// CauseArchived means that the owner must restore the object from an archive.
	CauseArchived Cause = "archived"
)

// AccessError means that a person must act before the source serves the dataset.
type AccessError struct {
	Denial Denial
	// Cause is empty if the Denial says everything.
	Cause  Cause
	Ref    manifest.Ref
	Source string
	User   string // whose credentials were sent, empty if none
	// From says where the credentials came from, like "netrc"; empty if there are none.
	From string
	// Page is the page to open, if there is one.
	Page string
	// Command is the command to type, if that helps.
	Command string
	// Detail is what is wrong and what to do, in the source's own words; empty if the other
	// fields say it.
	Detail string
	// Sure means that the source has checked: asking again is useless before a person has
	// acted. Otherwise the denial may be that of a firewall, a proxy or an overloaded login
	// service, and is tried again if the same account was served before.
	Sure bool
	// Err says why looking for credentials failed, nil if it didn't.
	Err error
}

// Error says who was denied what.
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
		return asks + "; none was found"
	case BadCredentials:
		return fmt.Sprintf("%s rejects the user %q with the password from %s", e.Source, e.User, e.From)
	case Forbidden:
		if e.User == "" {
			return fmt.Sprintf("%s denies access to %s", e.Source, e.Ref)
		}
		return fmt.Sprintf("%s denies the user %q access to %s", e.Source, e.User, e.Ref)
	case UnknownVersion:
		return fmt.Sprintf("%s has no dataset %s", e.Source, e.Ref)
	case Moved:
		return fmt.Sprintf("%s is at another address: %s", e.Source, e.Page)
	}
	return fmt.Sprintf("%s denies access to %s", e.Source, e.Ref)
}

// Unwrap returns Err.
func (e *AccessError) Unwrap() error { return e.Err }
