package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
	"mimicsync/manifest"
)

// codeOf is the store's error code, empty if the error isn't the store's.
func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// explain turns an error of the SDK into one of the contract of source.Source. path is
// empty for a listing.
func (p *place) explain(ctx context.Context, a address, ref manifest.Ref, path string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if credentials, ok := errors.AsType[*credentialsError](err); ok {
		return p.noCredentials(ref, credentials)
	}
	answer := answerOf(err) //nolint:bodyclose // the SDK has read and closed it
	if answer == nil {
		return fmt.Errorf("%s: %w", a.url(path), wire(err))
	}
	if answer.Header[foreign] != nil && regionOf(err) == "" {
		return between(a.url(path), answer)
	}
	switch answer.StatusCode {
	case http.StatusNotModified:
		return source.ErrNotModified
	case http.StatusPreconditionFailed:
		return source.ErrChanged
	case http.StatusRequestedRangeNotSatisfiable:
		return source.ErrRange
	}
	if access := p.refusal(a, ref, path, err, answer); access != nil {
		return p.identify(ctx, access)
	}
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: %w", a.url(path), source.ErrNotExist)
	case answer.StatusCode < 300: // of a listing: the answer isn't XML
		return fmt.Errorf("%s: the answer has an unexpected form: %w", a.url(path), wire(err))
	}
	return &source.StatusError{URL: a.url(path), Code: answer.StatusCode, RetryAfter: httpheader.RetryAfter(answer.Header.Get("Retry-After"))}
}

// between is the error for an answer from a server between here and the store: the page of
// a firewall, or of a network that requires a login.
func between(what string, answer *http.Response) error {
	if code := answer.StatusCode; code >= http.StatusInternalServerError || code == http.StatusTooManyRequests {
		return &source.StatusError{URL: what, Code: code, RetryAfter: httpheader.RetryAfter(answer.Header.Get("Retry-After"))}
	}
	return fmt.Errorf("%s: status %d: %w", what, answer.StatusCode, source.ErrWebPage)
}

// wire is an error of the connection, without the URL and the SDK's words around it.
func wire(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*smithy.OperationError](err); ok {
		return e.Err
	}
	return err
}

// refused begins an AccessError.
func (p *place) refused(d source.Denial, c source.Cause, ref manifest.Ref) *source.AccessError {
	e := &source.AccessError{Denial: d, Cause: c, Ref: ref, Source: Name}
	if p.amazon {
		e.Page = "https://physionet.org/content/" + ref.Dataset + "/" + ref.Version + "/#files"
	}
	return e
}

// refusal returns an error for a person to solve, nil if the answer isn't one.
func (p *place) refusal(a address, ref manifest.Ref, path string, err error, answer *http.Response) *source.AccessError {
	switch code := codeOf(err); code {
	case "NoSuchBucket", "NoSuchAccessPoint", "InvalidAccessPoint":
		e := p.refused(source.UnknownVersion, source.CauseNoBucket, ref)
		e.Detail = fmt.Sprintf("there is no bucket or access point %s; compare it with the dataset's page", a.bucket)
		return e
	case "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException":
		e := p.refused(source.BadCredentials, source.CauseUnknownKey, ref)
		e.Detail = "the store doesn't know the access key: it was deleted, or belongs to another store"
		return e
	case codeSignature:
		if p.knowsSecret() {
			e := p.refused(source.Forbidden, source.CauseSignature, ref)
			e.Sure = true
			e.Detail = "the store rejects the signature for " + a.url(path) + " but accepts others: it encodes characters of the name differently"
			return e
		}
		e := p.refused(source.BadCredentials, source.CauseWrongSecret, ref)
		e.Detail = "the secret of the access key is wrong"
		return e
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidTokenId":
		e := p.refused(source.BadCredentials, source.CauseLoginExpired, ref)
		e.Detail = "the AWS session has expired"
		return e
	case codeSkewed:
		e := p.refused(source.BadCredentials, source.CauseClock, ref)
		e.Detail = "the store refuses requests signed at another time than its own: " + skew(answer.Header.Get("Date"), time.Now())
		return e
	case "PermanentRedirect", "TemporaryRedirect", codeMalformed, "IllegalLocationConstraintException", "MovedPermanently":
		return p.elsewhere(a, ref, err)
	case "InvalidObjectState":
		e := p.refused(source.Forbidden, source.CauseArchived, ref)
		e.Sure = true
		e.Detail = a.url(path) + " is in an archive; its owner must restore it first"
		return e
	}
	switch {
	case strings.HasPrefix(codeOf(err), "KMS.") && answer.StatusCode/100 == 4:
		return p.denied(a, ref, path, err)
	case answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized:
		return p.denied(a, ref, path, err)
	case answer.StatusCode/100 == 3:
		return p.elsewhere(a, ref, err)
	}
	return nil
}

// elsewhere is the error for a bucket in another region.
func (p *place) elsewhere(a address, ref manifest.Ref, err error) *source.AccessError {
	e := p.refused(source.UnknownVersion, source.CauseWrongRegion, ref)
	e.Detail = fmt.Sprintf("the bucket %s is not in the region %s", a.bucket, p.region(a))
	if region := regionOf(err); region != "" && region != p.region(a) {
		e.Detail = fmt.Sprintf("the bucket %s is in the region %s, not in %s; set its region", a.bucket, region, p.region(a))
	}
	return e
}

// knowsSecret reports whether the store has accepted a signature with the key in use.
func (p *place) knowsSecret() bool {
	accepted, c := p.accepted.Load(), p.wallet.held.Load()
	return accepted != nil && c != nil && *accepted == c.AccessKeyID
}

func messageOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorMessage()
	}
	return ""
}

var (
	regionName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	// whoWhat is the identity in S3's message, as in "User:
	// arn:aws:iam::123456789012:user/alice is not authorized to perform: s3:GetObject on
	// resource: ... because no identity-based policy allows the s3:GetObject action".
	// Nothing else of the message is repeated.
	who       = regexp.MustCompile(`User: (arn:aws[\w-]*:(?:iam|sts)::\d{12}:[\w+=,.@/-]{1,128})`)
	encrypted = regexp.MustCompile(`kms:Decrypt|kms:GenerateDataKey|ciphertext`)
	why       = regexp.MustCompile(`because no identity-based policy allows`)
)

// denied finds in the location and the message what a bare 403 doesn't say.
func (p *place) denied(a address, ref manifest.Ref, path string, err error) *source.AccessError {
	e := p.refused(source.Forbidden, source.CauseNotGranted, ref)
	message := messageOf(err)
	if m := who.FindStringSubmatch(message); m != nil {
		e.User = m[1]
	}
	subject := "the store denies access to " + a.url(path)
	if e.User != "" {
		subject += " to " + e.User
	}
	own := ref.Dataset + "/" + ref.Version + "/"
	point := a.accessPoint()
	switch {
	case strings.HasPrefix(codeOf(err), "KMS.") || encrypted.MatchString(message):
		e.Cause, e.Sure = source.CauseEncrypted, true
		e.Detail = subject + ": it is encrypted with an AWS KMS key that this identity can't use; only the owner can change that"
	case why.MatchString(message):
		e.Cause = source.CauseIdentityPolicy
		e.Detail = subject + ": your own AWS account doesn't let you read from S3; you need a policy like AmazonS3ReadOnlyAccess"
	case point != "" && a.prefix != own:
		e.Cause = source.CauseWrongPrefix
		e.Detail = fmt.Sprintf("%s: an access point of PhysioNet serves what is below %s, but the location says %q", subject, own, a.prefix)
	case point != "" && !strings.HasPrefix(point, ref.Dataset+"-v"+strings.ReplaceAll(ref.Version, ".", "-")+"-"):
		e.Cause = source.CauseAccessPoint
		e.Detail = fmt.Sprintf("%s: the access point is for another dataset or version than %s", subject, ref)
	case point != "":
		e.Cause = source.CauseAccessPoint
		e.Detail = subject + ": the number of the access point may be another user's (yours is on the dataset's page), " +
			"or you haven't enabled AWS access there" + onlyUsers(e.User) + hidden(path)
	case a.bucket == openBucket && p.amazon:
		e.Cause = source.CauseShut
		e.Detail = subject + ", although that bucket is public" + hidden(path)
	case p.Anonymous:
		e.Cause = source.CauseStranger
		e.Detail = subject + " without credentials, and the location says to send none" + hidden(path)
	case p.RequesterPays:
		e.Cause = a.granter()
		e.Detail = subject + hidden(path)
	default:
		e.Cause = a.granter()
		e.Detail = subject + "; or the bucket requires readers to pay, and the configuration doesn't agree to that" + hidden(path)
	}
	return e
}

// granter says whether PhysioNet grants access to a bucket, or another owner. Buckets of
// PhysioNet have its name in theirs.
func (a address) granter() source.Cause {
	if strings.Contains(a.bucket, "physionet") {
		return source.CauseNotGranted
	}
	return source.CauseOwner
}

// onlyUsers says whom PhysioNet can't grant access.
func onlyUsers(identity string) string {
	if identity == "" || strings.Contains(identity, ":user/") {
		return ""
	}
	return "; PhysioNet grants access to IAM users only, not to roles or root accounts"
}

// hidden says that S3 hides missing objects from accounts that can't list.
func hidden(path string) string {
	if path == "" {
		return ""
	}
	return "; or there is no such file: S3 doesn't say so to accounts that can't list"
}

// skew compares this machine's clock with the time in a Date header.
func skew(date string, now time.Time) string {
	t, err := http.ParseTime(date)
	if err != nil {
		return "this machine's clock is wrong"
	}
	d := now.Sub(t).Round(time.Minute)
	switch {
	case d > 0:
		return fmt.Sprintf("this machine's clock is %s ahead of the store's", minutes(d))
	case d < 0:
		return fmt.Sprintf("this machine's clock is %s behind the store's", minutes(-d))
	}
	return "this machine's clock is right, so something delays requests on their way"
}

func minutes(d time.Duration) string { return strings.TrimSuffix(d.String(), "0s") }
