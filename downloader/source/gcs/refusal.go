package gcs

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
)

// Pages and commands that help.
const (
	physioNet          = "https://physionet.org"
	cloudSettings      = physioNet + "/settings/cloud/"
	physioNetBucket    = ".physionet.org" // suffix of the names of buckets to which PhysioNet grants access
	aboutPaying        = "https://cloud.google.com/storage/docs/using-requester-pays"
	billingConsole     = "https://console.cloud.google.com/billing/linkedaccount?project="
	aboutFederation    = "https://cloud.google.com/iam/docs/troubleshooting-workload-identity-federation"
	aboutImpersonation = "https://cloud.google.com/iam/docs/troubleshooting-service-accounts"
	loginCommand       = "gcloud auth application-default login"
	applicationWord    = "the application default credentials"
)

// refusal is the server's error. The XML API and the JSON API have different forms.
type refusal struct {
	codes   []string // as in "NoSuchKey"
	message string
}

// parseRefusal reads the body of an error. Unreadable parts are empty.
func parseRefusal(text []byte) refusal {
	var x struct {
		Code    string `xml:"Code"`
		Message string `xml:"Message"`
		Details string `xml:"Details"`
	}
	if xml.Unmarshal(text, &x) == nil && x.Code != "" {
		message := x.Details // the more useful one
		if message == "" {
			message = x.Message
		}
		return refusal{codes: []string{x.Code}, message: message}
	}
	var j struct {
		Error struct {
			Message string                    `json:"message"`
			Errors  []struct{ Reason string } `json:"errors"`
			Details []struct{ Reason string } `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &j) != nil {
		return refusal{}
	}
	r := refusal{message: j.Error.Message}
	for _, e := range append(j.Error.Errors, j.Error.Details...) {
		if e.Reason != "" {
			r.codes = append(r.codes, e.Reason)
		}
	}
	return r
}

func (r refusal) is(codes ...string) bool {
	for _, have := range r.codes {
		for _, want := range codes {
			if strings.EqualFold(have, want) {
				return true
			}
		}
	}
	return false
}

func (r refusal) says(words string) bool { return strings.Contains(strings.ToLower(r.message), words) }

// account is the one that the server names, as in "a@b.org does not have
// storage.objects.get access to ...".
func (r refusal) account() string {
	account, _, ok := strings.Cut(r.message, " does not have ")
	if !ok || !strings.Contains(account, "@") || strings.Contains(account, " ") {
		return ""
	}
	return account
}

// quote is the server's message for use in ours.
func (r refusal) quote() string {
	words := strings.Join(strings.Fields(r.message), " ")
	if words == "" {
		words = strings.Join(r.codes, ", ")
	}
	const most = 300
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "") + "…"
	}
	return fmt.Sprintf("Google says %q", words)
}

// explain turns an error into one of the contract.
func (s *Source) explain(x *exchange, r source.Request, err error) error {
	switch {
	case x.failed != nil:
		return s.loginError(x, r, x.failed)
	case x.status == 0 || x.status/100 == 2:
		return s.trouble(r, err)
	}
	if x.page && x.status/100 == 4 && x.status != http.StatusTooManyRequests {
		return fmt.Errorf("%s: status %d: %w", s.name(r), x.status, source.ErrWebPage)
	}
	switch x.status {
	case http.StatusNotModified:
		return source.ErrNotModified
	case http.StatusNotFound:
		return s.notFound(x, r)
	case http.StatusPreconditionFailed:
		return fmt.Errorf("%s: %w", s.name(r), source.ErrChanged)
	case http.StatusRequestedRangeNotSatisfiable:
		return source.ErrRange
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		if access := s.access(x, r); access != nil {
			return access
		}
	}
	return &source.StatusError{URL: s.name(r), Code: x.status, RetryAfter: httpheader.RetryAfter(x.header.Get("Retry-After"))}
}

// trouble is the error if nobody refused anything.
func (s *Source) trouble(r source.Request, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // its URL is that of the API
	}
	return fmt.Errorf("%s: %w", s.name(r), err)
}

func (s *Source) notFound(x *exchange, r source.Request) error {
	switch {
	case x.is("NoSuchBucket") || r.Path == "":
		e := s.refused(r, source.UnknownVersion, source.CauseNoBucket)
		e.Page = contentPage(r)
		e.Detail = fmt.Sprintf("there is no bucket %s; not every dataset has a copy at Google, and some have it under another name", s.bucket(r.Ref))
		return e
	case r.Validator != "" && (r.Offset > 0 || r.Length > 0): // the generation is missing
		return fmt.Errorf("%s: %w", s.name(r), source.ErrChanged)
	}
	return fmt.Errorf("%s: %w", s.name(r), source.ErrNotExist)
}

func contentPage(r source.Request) string {
	return physioNet + "/content/" + r.Ref.Dataset + "/" + r.Ref.Version + "/"
}

func (s *Source) refused(r source.Request, d source.Denial, c source.Cause) *source.AccessError {
	return &source.AccessError{Denial: d, Cause: c, Ref: r.Ref, Source: Name}
}

// access says why the server denied access, or nil if people can't do anything about it.
func (s *Source) access(x *exchange, r source.Request) error {
	bucket, stranger := s.bucket(r.Ref), x.who.credentials == nil
	switch {
	case x.aboutNoProject():
		e := s.refused(r, source.NoCredentials, source.CauseNoBillingProject)
		e.Page = aboutPaying
		e.Detail = fmt.Sprintf("readers of the bucket %s pay for it, and no billing project is set: set gcs.billing_project or --billing-project to a Google Cloud project of yours", bucket)
		return e
	case s.billing != "" && x.aboutProject():
		e := s.refused(r, source.BadCredentials, source.CauseBadBillingProject)
		e.Page = billingConsole + url.QueryEscape(s.billing)
		e.Detail = fmt.Sprintf("the billing project %q can't pay for reading from %s: it must exist, have billing enabled, and give you the role Service Usage Consumer (%s)", s.billing, bucket, x.quote())
		return e
	case x.says("cloud kms") || x.says("cryptokey"):
		e := s.refused(r, source.Forbidden, source.CauseEncrypted)
		e.User, e.Page, e.Sure = x.account(), contentPage(r), true
		e.Detail = fmt.Sprintf("%s is encrypted with a Cloud KMS key that can't be used: only its owner can correct that (%s)", s.name(r), x.quote())
		return e
	case x.status == http.StatusBadRequest:
		return nil
	case stranger && s.login.anonymous:
		e := s.refused(r, source.NoCredentials, source.CauseStranger)
		e.Command = loginCommand
		e.Detail = fmt.Sprintf("the bucket %s isn't public, and the configuration says to send no Google login: set gcs.anonymous to false, and run %s", bucket, loginCommand)
		return e
	case stranger:
		s.login.forget(x.who) // there may be a login when somebody asks again
		e := s.refused(r, source.NoCredentials, source.CauseNoLogin)
		e.Command = loginCommand
		e.Detail = fmt.Sprintf("the bucket %s isn't public, and no Google login was sent: run %s", bucket, loginCommand)
		return e
	case x.status == http.StatusUnauthorized:
		return s.expired(r, x.who)
	}
	return s.notGranted(x, r)
}

func (x *exchange) aboutNoProject() bool {
	return x.status == http.StatusBadRequest && (x.is("UserProjectMissing") || x.says("requester pays") && x.says("no user project"))
}

func (x *exchange) aboutProject() bool {
	return x.is("UserProjectAccountProblem", "UserProjectAccessDenied", "UserProjectInvalid", "UserProjectInconsistent",
		"USER_PROJECT_DENIED", "CONSUMER_INVALID", "BILLING_DISABLED") ||
		x.says("serviceusage") || x.says("permission to use project") || x.says("user project") || x.says("billing account")
}

// notGranted is the error that Google also sends for a missing object, to an account that
// can't list.
func (s *Source) notGranted(x *exchange, r source.Request) error {
	e := s.refused(r, source.Forbidden, source.CauseNotGranted)
	e.User, e.From, e.Page = x.account(), applicationWord, contentPage(r)+"#files"
	if e.User == "" {
		e.User = x.who.email
	}
	account := e.User
	if account == "" {
		account = "of this login"
	}
	if !strings.HasSuffix(s.bucket(r.Ref), physioNetBucket) {
		e.Cause, e.Page, e.Command = source.CauseOwner, "", loginCommand
		e.Detail = fmt.Sprintf("the Google account %s has no access to %s, which isn't PhysioNet's: its owner must grant it the role Storage Object Viewer (%s)", account, s.bucket(r.Ref), x.quote())
		return e
	}
	if x.who.isService() {
		e.Command = loginCommand
		e.Detail = fmt.Sprintf("the service account %s has no access to %s: PhysioNet grants access to people, by the Google account in their settings; run %s as such a person", account, s.bucket(r.Ref), loginCommand)
		return e
	}
	e.Detail = fmt.Sprintf("the Google account %s has no access to %s: link it at %s, then request access to Google Cloud under Files at %s, and wait ten minutes (%s)",
		account, s.bucket(r.Ref), cloudSettings, e.Page, x.quote())
	return e
}
