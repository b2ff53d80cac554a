package physionet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// Limits for answers of the JSON API: the list of all projects, with their abstracts, has
// some megabytes, and the description of one has some kilobytes.
const (
	listLimit    = 32 << 20
	aboutLimit   = 1 << 20
	mostProjects = 50_000
)

// Latest implements source.Publisher: the page of a dataset redirects to that of its newest
// version. The versions of the JSON API are in the order of publication, which may be
// another.
func (s *Source) Latest(ctx context.Context, dataset string) (string, error) {
	start := s.below("/content/" + dataset + "/")
	at := start
	for range mostRedirects + 1 {
		response, err := s.hop(ctx, at)
		if err != nil {
			return "", err
		}
		discard(response)
		if err := s.namesNothing(dataset, at, response); err != nil {
			return "", err
		}
		next, err := response.Location()
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: the address of the newest version is unreadable: %w", redact(at.String()), err)
		case !sameServer(next, s.base):
			return "", s.elsewhere(at, next)
		case manifest.ValidVersion(path.Base(next.Path)):
			return path.Base(next.Path), nil
		}
		at = next
	}
	return "", fmt.Errorf("%s: too many redirects, the last one to %s, and none to a version", start, redact(at.String()))
}

// hop requests a page and follows no redirect: that is the answer.
func (s *Source) hop(ctx context.Context, at *url.URL) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", s.agent)
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return nil, &url.Error{Op: "Get", URL: redact(at.String()), Err: hungUp(err)}
	}
	return response, nil
}

// namesNothing returns the error for an answer that isn't a redirect.
func (s *Source) namesNothing(dataset string, at *url.URL, response *http.Response) error {
	switch {
	case response.StatusCode == http.StatusNotFound:
		return &source.AccessError{Denial: source.UnknownVersion, Ref: manifest.Ref{Dataset: dataset}, Source: Name, Page: s.address("content") + "/"}
	case response.StatusCode == http.StatusOK && isWebPage(response.Header.Get("Content-Type")):
		return fmt.Errorf("%s doesn't redirect to the newest version: %w", redact(at.String()), source.ErrWebPage)
	case response.StatusCode/100 != 3:
		return statusError(at.String(), response)
	}
	return nil
}

// PublishedSize implements source.Publisher with the JSON API, which needs no account and
// allows 20 calls per hour.
func (s *Source) PublishedSize(ctx context.Context, ref manifest.Ref) (int64, error) {
	var about struct {
		Size int64 `json:"main_storage_size"`
	}
	err := s.api(ctx, aboutLimit, func(d *json.Decoder) error { return d.Decode(&about) }, "projects", ref.Dataset, "versions", ref.Version)
	return max(about.Size, 0), err
}

// Project is a published project of PhysioNet in its newest version.
type Project struct {
	Slug    string `json:"slug"`
	Version string `json:"version"`
	Access  string `json:"access"` // as in manifest.Access; empty if PhysioNet doesn't say
	Title   string `json:"title"`
	Bytes   int64  `json:"bytes"`
}

// Published lists the newest version of every project of PhysioNet, by name. It is one of
// the 20 calls per hour that the JSON API allows.
func (s *Source) Published(ctx context.Context) ([]Project, error) {
	newest := map[string]Project{}
	if err := s.api(ctx, listLimit, func(d *json.Decoder) error { return readProjects(d, newest) }, "projects", "published"); err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(newest), func(a, b Project) int { return cmp.Compare(a.Slug, b.Slug) }), nil
}

// readProjects reads a list of projects one by one: they are in the order of publication,
// not of versions.
func readProjects(d *json.Decoder, newest map[string]Project) error {
	if _, err := d.Token(); err != nil {
		return err
	}
	for n := 0; d.More(); n++ {
		var p struct {
			Slug    string `json:"slug"`
			Version string `json:"version"`
			Title   string `json:"title"`
			Bytes   int64  `json:"main_storage_size"`
			Access  policy `json:"access_policy"`
		}
		if err := d.Decode(&p); err != nil {
			return err
		}
		if n == mostProjects {
			return fmt.Errorf("it has more than %d projects", mostProjects)
		}
		if seen, ok := newest[p.Slug]; ok && manifest.CompareVersions(p.Version, seen.Version) < 0 {
			continue
		}
		newest[p.Slug] = Project{Slug: p.Slug, Version: p.Version, Access: string(p.Access), Title: p.Title, Bytes: p.Bytes}
	}
	_, err := d.Token()
	return err
}

// policy is the access to a project as in manifest.Access, empty if PhysioNet doesn't say.
type policy string

// UnmarshalJSON reads words like "Contributor Review" since 2026, before that a number, and
// before 2025 nothing. A new form is no reason to reject the whole list.
func (p *policy) UnmarshalJSON(b []byte) error {
	var number int
	var word string
	switch {
	case json.Unmarshal(b, &number) == nil && string(b) != "null":
		*p = policy(manifest.Access(number).String())
	case json.Unmarshal(b, &word) == nil:
		*p = policy(strings.ToLower(strings.Join(strings.Fields(word), "-")))
	}
	return nil
}

// api calls the JSON API, and reads its answer up to a limit. It needs no account, so it
// sends none.
func (s *Source) api(ctx context.Context, limit int64, read func(*json.Decoder) error, elem ...string) error {
	address := s.address(append([]string{"api", "v1"}, elem...)...) + "/"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", s.agent)
	request.Header.Set("Accept", "application/json") // otherwise a web page comes
	response, err := do(s.stranger, request)
	if err != nil {
		return err
	}
	defer discard(response)
	if response.StatusCode != http.StatusOK {
		return throttled(statusError(address, response))
	}
	if err := read(json.NewDecoder(io.LimitReader(response.Body, limit))); err != nil {
		return fmt.Errorf("%s: %w", redact(address), errors.Join(errors.New("the answer has an unexpected form"), err))
	}
	return nil
}

// throttled adds when the API answers again, if it limits calls.
func throttled(err error) error {
	status, ok := errors.AsType[*source.StatusError](err)
	if !ok || status.Code != http.StatusTooManyRequests {
		return err
	}
	until := "later"
	if status.RetryAfter > 0 {
		until = "at " + time.Now().Add(status.RetryAfter).Format("15:04")
	}
	return fmt.Errorf("%w: PhysioNet limits questions per hour, and answers the next one %s; files can still be fetched", err, until)
}
