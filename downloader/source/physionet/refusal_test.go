package physionet_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

func TestManifestNotFound(t *testing.T) {
	p := project(1)
	p.Versions[0].Manifest = nil
	site, url := serveSite(t, p)
	s := newSource(t, physionet.Options{URL: url})

	_, err := s.Open(t.Context(), source.Request{Ref: demo, Path: manifest.Name})
	if _, isAccess := errors.AsType[*source.AccessError](err); !errors.Is(err, source.ErrNotExist) || isAccess {
		t.Errorf("Open of a missing manifest = %v, want ErrNotExist", err)
	}
	// Its page is there: it is about to be published.
	if e, ok := errors.AsType[*source.NotPublishedError](err); !ok || e.Page != url+"/content/demo/1.0/" || !errors.Is(err, source.ErrNotPublished) {
		t.Errorf("Open of a missing manifest = %v, want that it is not published yet", err)
	}
	for _, ref := range []manifest.Ref{{Dataset: "demo", Version: "9.9"}, {Dataset: "nothing", Version: "1.0"}} {
		_, err := s.Open(t.Context(), source.Request{Ref: ref, Path: manifest.Name})
		access, ok := errors.AsType[*source.AccessError](err)
		if !ok || access.Denial != source.UnknownVersion || access.Ref != ref {
			t.Errorf("Open of the manifest of %s = %v, want UnknownVersion of it", ref, err)
		}
	}
	// A file that is missing asks no second question.
	before := site.Counters().Requests
	if _, err := fetch(t.Context(), s, "data/x.csv"); !errors.Is(err, source.ErrNotExist) {
		t.Errorf("Open(data/x.csv) = %v, want ErrNotExist", err)
	}
	if got := site.Counters().Requests - before; got != 1 {
		t.Errorf("%d requests for a missing file, want 1", got)
	}
}

// Whether a version exists is unknown while its page can't be fetched: that
// is trouble on the way, and not the answer that the manifest is missing.
func TestManifestNotFoundAndPageBroken(t *testing.T) {
	p := project(1)
	p.Versions[0].Manifest = nil
	site, url := serveSite(t, p)
	site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 502, Path: "/content/**"})
	s := newSource(t, physionet.Options{URL: url})
	_, err := fetch(t.Context(), s, manifest.Name)
	if status, ok := errors.AsType[*source.StatusError](err); !ok || status.Code != 502 {
		t.Errorf("Open(%s) = %v, want the 502 of the page", manifest.Name, err)
	}
}

func TestStatuses(t *testing.T) {
	tests := []struct {
		code       int
		retryAfter string
		want       time.Duration
	}{
		{429, "30", 30 * time.Second},
		{403, "9", 9 * time.Second},
		{401, "3", 3 * time.Second},
		{403, "soon", 0},
		{503, "", 0},
		{503, "-5", 0},
		{503, "soon", 0},
		{503, "999999999", time.Hour},
		{503, "99999999999999999999", 0},
		{502, "", 0},
		{504, "", 0},
		{500, "", 0},
		{418, "", 0},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.code, test.retryAfter), func(t *testing.T) {
			site, url := serveSite(t, project(1))
			site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: test.code, RetryAfter: test.retryAfter})
			_, err := fetch(t.Context(), newSource(t, physionet.Options{URL: url}), "data/0.csv")
			want := &source.StatusError{URL: url + "/files/demo/1.0/data/0.csv", Code: test.code, RetryAfter: test.want}
			got, ok := errors.AsType[*source.StatusError](err)
			if !ok {
				t.Fatalf("Open = %v, want %v", err, want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Open (-want +got):\n%s", diff)
			}
			if n := site.Counters().Requests; n != 1 {
				t.Errorf("%d requests, want one attempt", n)
			}
		})
	}
}

func TestWebPageIsNoData(t *testing.T) {
	site, url := serveSite(t, project(1))
	site.Inject(lookalike.Fault{Kind: lookalike.HTMLPage})
	s := newSource(t, physionet.Options{URL: url})
	for _, path := range []string{manifest.Name, "data/0.csv"} {
		if _, err := fetch(t.Context(), s, path); !errors.Is(err, source.ErrWebPage) {
			t.Errorf("Open(%s) = %v, want ErrWebPage", path, err)
		}
	}
}

// A server that closes the connection instead of an answer is told in words, with
// what was asked.
func TestAServerThatHangsUp(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(site.Close)
	s := newSource(t, physionet.Options{URL: site.URL})
	_, latest := s.Latest(t.Context(), "demo")
	_, opened := fetch(t.Context(), s, manifest.Name)
	for path, err := range map[string]error{"/content/demo/": latest, "/" + manifest.Name: opened} {
		if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), path+`": the server closed the connection without an answer`) {
			t.Errorf("asked for %s: %v, want that the server hung up", path, err)
		}
	}
}
