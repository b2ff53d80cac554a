package physionet

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

const (
	// surelyFor and perhapsFor are how long a certain or uncertain result about a denial
	// holds.
	surelyFor  = time.Hour
	perhapsFor = 5 * time.Minute
	// diagnosisTime limits the search for the reason: a pass continues without it.
	diagnosisTime = 10 * time.Second
	// mostDiagnoses is how many are remembered.
	mostDiagnoses = 64
)

// diagnosis is why the server denies a version to an account.
type diagnosis struct {
	ref     manifest.Ref
	account *Credentials // nil: no account
	status  int

	made chan struct{} // closed when the fields below are set
	at   time.Time
	reason
}

// reason is what is known of a denial besides its status; zero means nothing.
type reason struct {
	cause  source.Cause
	page   string
	detail string
	closed bool // for everybody
	sure   bool
}

// diagnoses are the remembered ones, oldest first.
type diagnoses struct {
	mu   sync.Mutex
	list []*diagnosis
}

// of returns the diagnosis of a denial, or a new one, which the caller must make.
func (d *diagnoses) of(ref manifest.Ref, account *Credentials, status int) (found *diagnosis, mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = slices.DeleteFunc(d.list, (*diagnosis).outdated)
	for _, known := range d.list {
		if known.ref == ref && known.status == status && (known.account == account || known.account.same(account)) {
			return known, false
		}
	}
	if len(d.list) >= mostDiagnoses {
		d.list = slices.Delete(d.list, 0, 1)
	}
	found = &diagnosis{ref: ref, account: account, status: status, made: make(chan struct{})}
	d.list = append(d.list, found)
	return found, true
}

// outdated reports whether to look again.
func (d *diagnosis) outdated() bool {
	select {
	case <-d.made:
	default:
		return false // it is being made
	}
	if d.sure {
		return time.Since(d.at) > surelyFor
	}
	return time.Since(d.at) > perhapsFor
}

// forget is for a version that somebody was served: earlier certainty is outdated.
func (d *diagnoses) forget(ref manifest.Ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == 0 {
		return
	}
	d.list = slices.DeleteFunc(d.list, func(known *diagnosis) bool {
		select {
		case <-known.made:
			return known.ref == ref && known.sure
		default:
			return false
		}
	})
}

// drop forgets a diagnosis that couldn't be made.
func (d *diagnoses) drop(it *diagnosis) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = slices.DeleteFunc(d.list, func(known *diagnosis) bool { return known == it })
}

// explain adds the reason to a denial. One request finds it out, and the others that are
// denied meanwhile wait for it.
func (s *Source) explain(ctx context.Context, ref manifest.Ref, got *reply, e *source.AccessError) *source.AccessError {
	ctx, cancel := context.WithTimeout(ctx, diagnosisTime)
	defer cancel()
	d, mine := got.memory.diagnoses.of(ref, got.account, got.StatusCode)
	if mine {
		d.reason = s.diagnose(ctx, ref, got)
		d.at = time.Now()
		close(d.made)
		if ctx.Err() != nil {
			got.memory.diagnoses.drop(d)
		}
	}
	select {
	case <-d.made:
	case <-ctx.Done():
		return e
	}
	if d.closed {
		e.Denial = source.Forbidden
	}
	if d.cause != "" {
		e.Cause, e.Page, e.Detail = d.cause, d.page, d.detail
	}
	e.Sure = d.sure
	return e
}

// diagnose reads the page of the version, which is public, and then asks the JSON API
// whether the account has access.
func (s *Source) diagnose(ctx context.Context, ref manifest.Ref, got *reply) reason {
	found := s.readPage(ctx, ref)
	account := got.account
	if found.sure || account == nil || got.StatusCode == http.StatusUnauthorized && !got.memory.wasAccepted(account) {
		if got.StatusCode == http.StatusUnauthorized && !found.closed {
			return reason{} // the login comes first
		}
		return found
	}
	switch status, heard := s.askAccess(ctx, ref, *account); {
	case !heard:
	case status == got.StatusCode:
		found.sure = true
	case status == http.StatusOK && got.StatusCode == http.StatusForbidden:
		return reason{
			cause: source.CauseUnexplained, page: s.pageOf(ref),
			detail: "PhysioNet says that the user " + account.User + " may read " + ref.String() + ", but denies access to the files",
		}
	}
	if got.StatusCode == http.StatusUnauthorized {
		return reason{sure: found.sure}
	}
	return found
}

// pageOf is the page of a version.
func (s *Source) pageOf(ref manifest.Ref) string {
	return s.address("content", ref.Dataset, ref.Version) + "/"
}

// readPage reads on the page of a version why its files are denied.
func (s *Source) readPage(ctx context.Context, ref manifest.Ref) reason {
	response, err := s.look(ctx, s.pageOf(ref))
	if err != nil {
		return reason{}
	}
	const enough = 1 << 20
	text, err := io.ReadAll(io.LimitReader(response.Body, enough))
	discard(response)
	if err != nil || response.StatusCode != http.StatusOK {
		return reason{}
	}
	text = bytes.Join(bytes.Fields(text), []byte(" ")) // templates break lines anywhere
	says := func(words string) bool { return bytes.Contains(text, []byte(words)) }
	request := "/request-access-status/" + ref.Dataset + "/" + ref.Version + "/"
	switch {
	case says("The files for this version of the project") && says("no longer available"):
		return reason{
			cause: source.CauseWithdrawn, page: s.address("content", ref.Dataset) + "/", closed: true, sure: true,
			detail: "PhysioNet no longer offers the files of " + ref.String() + "",
		}
	case says("The files for this project are no longer available."): // on the page of the newest version
		return reason{
			cause: source.CauseWithdrawn, page: s.pageOf(ref), closed: true, sure: true,
			detail: "PhysioNet no longer offers the files of " + ref.String() + ", and there is no newer version",
		}
	case says("Data is not available in your region"):
		return reason{
			cause: source.CauseRegion, page: s.pageOf(ref), closed: true, sure: true,
			detail: "PhysioNet doesn't offer the files of " + ref.String() + " in your region",
		}
	case says("the files are only available via a research environment"):
		return reason{
			cause: source.CauseDownloadsOff, page: s.pageOf(ref), closed: true, sure: true,
			detail: "PhysioNet doesn't let anyone download the files of " + ref.String() + ": they can be used only in a research environment",
		}
	case says(request):
		return reason{cause: source.CauseReview, page: s.below(request).String()}
	}
	return reason{}
}

// look requests a page without an account.
func (s *Source) look(ctx context.Context, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", s.agent)
	return do(s.stranger, request)
}

// askAccess asks the JSON API whether an account has access to a version: 200 means yes,
// 403 no, and 401 that the account is rejected. It doesn't cover downloads that are
// switched off. heard is false if there was no answer of the API.
func (s *Source) askAccess(ctx context.Context, ref manifest.Ref, account Credentials) (status int, heard bool) {
	address := s.address("api", "v1", "projects", "published", ref.Dataset, ref.Version, "sha256sums") + "/"
	response, err := s.present(ctx, http.MethodGet, address, account)
	if err != nil {
		return 0, false
	}
	discard(response)
	kind := response.Header.Get("Content-Type")
	switch status = response.StatusCode; status {
	case http.StatusOK:
		return status, !isWebPage(kind)
	case http.StatusUnauthorized, http.StatusForbidden:
		return status, isJSON(kind)
	}
	return status, false
}
