package source

import (
	"fmt"

	"mimicsync/manifest"
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
