package physionet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

func TestLatest(t *testing.T) {
	p := lookalike.Project{Slug: "demo", Title: "Demo", Versions: []lookalike.Version{{Version: "1.0.0"}, {Version: "1.10.0"}, {Version: "1.2.0"}}}
	site, url := serveSite(t, p)
	s := newSource(t, physionet.Options{URL: url})
	got, err := s.Latest(t.Context(), "demo")
	if err != nil || got != "1.10.0" {
		t.Errorf("Latest(demo) = %q, %v, want 1.10.0", got, err)
	}
	if n := site.Counters().Requests; n != 1 {
		t.Errorf("%d requests for the latest version, want 1", n)
	}

	_, err = s.Latest(t.Context(), "nothing")
	if access, ok := errors.AsType[*source.AccessError](err); !ok || access.Denial != source.UnknownVersion {
		t.Errorf("Latest(nothing) = %v, want UnknownVersion", err)
	}

	site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 503, RetryAfter: "7"})
	_, err = s.Latest(t.Context(), "demo")
	if status, ok := errors.AsType[*source.StatusError](err); !ok || status.Code != 503 || status.RetryAfter != 7*time.Second {
		t.Errorf("Latest(demo) = %v, want 503 with 7 s to wait", err)
	}
}

func TestPublishedSize(t *testing.T) {
	p := project(3)
	p.Versions[0].Bytes = 12_345_678_901
	site, url := serveSite(t, p)
	site.APIPerHour = 2
	s := newSource(t, physionet.Options{URL: url})
	got, err := s.PublishedSize(t.Context(), demo)
	if err != nil || got != 12_345_678_901 {
		t.Errorf("PublishedSize(%s) = %d, %v, want 12345678901", demo, got, err)
	}
	_, err = s.PublishedSize(t.Context(), manifest.Ref{Dataset: "demo", Version: "9.9"})
	if status, ok := errors.AsType[*source.StatusError](err); !ok || status.Code != 404 {
		t.Errorf("PublishedSize(demo@9.9) = %v, want 404", err)
	}
	_, err = s.PublishedSize(t.Context(), demo)
	status, ok := errors.AsType[*source.StatusError](err)
	if !ok || status.Code != 429 {
		t.Fatalf("PublishedSize(%s) = %v, want 429", demo, err)
	}
	if status.RetryAfter < 50*time.Minute || status.RetryAfter > time.Hour {
		t.Errorf("PublishedSize(%s): RetryAfter = %v, want what the server asked for, about an hour", demo, status.RetryAfter)
	}
	until := time.Now().Add(status.RetryAfter)
	if says := err.Error(); !strings.Contains(says, until.Format("15:04")) && !strings.Contains(says, until.Add(-time.Minute).Format("15:04")) {
		t.Errorf("PublishedSize(%s) = %v, want it to say until when", demo, err)
	}
}
