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
	"slices"

	"mimicsync/manifest"
)

// apiLimit bounds an answer of the JSON API: the list of all projects, with
// their abstracts, is some megabytes.
const apiLimit = 64 << 20

// PublishedSize implements downloader.Publisher by the JSON API, which needs no
// account and allows 20 calls an hour.
func (s *Source) PublishedSize(ctx context.Context, ref manifest.Ref) (int64, error) {
	var about struct {
		Size int64 `json:"main_storage_size"`
	}
	err := s.api(ctx, &about, "projects", ref.Dataset, "versions", ref.Version)
	return max(about.Size, 0), err
}

// Project is a published project of PhysioNet in its newest version.
type Project struct {
	Slug    string `json:"slug"`
	Version string `json:"version"`
	Access  string `json:"access"` // as manifest.Access has it; empty when PhysioNet does not say
	Title   string `json:"title"`
	Bytes   int64  `json:"bytes"`
}

// Published lists the newest version of every project of PhysioNet, by name. It
// is one of 20 calls that the JSON API allows an hour.
func (s *Source) Published(ctx context.Context) ([]Project, error) {
	var all []struct {
		Slug    string `json:"slug"`
		Version string `json:"version"`
		Title   string `json:"title"`
		Bytes   int64  `json:"main_storage_size"`
		Access  any    `json:"access_policy"` // a number; added in 2025
	}
	if err := s.api(ctx, &all, "projects", "published"); err != nil {
		return nil, err
	}
	newest := map[string]Project{}
	for _, p := range all { // in order of publication, which is not that of versions
		if seen, ok := newest[p.Slug]; ok && manifest.CompareVersions(p.Version, seen.Version) < 0 {
			continue
		}
		access := ""
		if n, ok := p.Access.(float64); ok {
			access = manifest.Access(n).String()
		}
		newest[p.Slug] = Project{Slug: p.Slug, Version: p.Version, Access: access, Title: p.Title, Bytes: p.Bytes}
	}
	return slices.SortedFunc(maps.Values(newest), func(a, b Project) int { return cmp.Compare(a.Slug, b.Slug) }), nil
}

// api asks the JSON API. It needs no account, so none is told.
func (s *Source) api(ctx context.Context, into any, elem ...string) error {
	address := s.address(append([]string{"api", "v1"}, elem...)...) + "/"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", s.agent)
	request.Header.Set("Accept", "application/json") // else a person's page comes
	response, err := s.do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to the end of the JSON text
	if response.StatusCode != http.StatusOK {
		return statusError(address, response)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, apiLimit)).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", redact(address), errors.Join(errors.New("the answer is not what it should be"), err))
	}
	return nil
}
