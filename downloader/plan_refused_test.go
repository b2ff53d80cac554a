package downloader_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

// planFrom is a plan of three files that PhysioNet has, by a source before it.
func planFrom(t *testing.T, source host.Source, files ...lookalike.GeneratedFile) report.SourcePlan {
	t.Helper()
	authority := newSite(t, nil, project(files...)).source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{source, authority}, authority: &authority})
	p := r.plan()
	if p.Sources[1].Refused != nil || p.Sources[1].Bytes <= 0 {
		t.Errorf("PhysioNet, which serves all, is planned as %+v", p.Sources[1])
	}
	return p.Sources[0]
}

// Who would give nothing is planned so, and neither as bytes nor as free.
func TestAPlanTellsWhoRefuses(t *testing.T) {
	files := manyFiles(3, 2000)
	refusals := map[string]struct {
		source func(t *testing.T) host.Source
		cause  source.Cause
	}{
		"a key that was deleted": {func(t *testing.T) host.Source {
			t.Helper()
			a := signed(t, nil, withManifest(files...)...)
			a.RemoveKey("AKIAIOSFODNN7EXAMPLE")
			return a.source
		}, source.CauseUnknownKey},
		"a session that is over": {func(t *testing.T) host.Source {
			t.Helper()
			a := signed(t, nil, withManifest(files...)...)
			a.DropSessions()
			return a.source
		}, source.CauseLoginExpired},
		"no such bucket": {func(t *testing.T) host.Source {
			t.Helper()
			g := newGoogle(t, gcs.Options{Anonymous: true, Bucket: func(manifest.Ref) string { return "elsewhere" }}, lookalike.Bucket{}, files...)
			return g.source
		}, source.CauseNoBucket},
		"nobody pays": {func(t *testing.T) host.Source {
			t.Helper()
			return dear(newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{RequesterPays: true}, withManifest(files...)...).source)
		}, source.CauseNoBillingProject},
		"files that may be listed and not read": {func(t *testing.T) host.Source {
			t.Helper()
			a := newAmazon(t, nil, withManifest(files...)...)
			a.Inject(lookalike.Fault{
				Kind: lookalike.Status, Code: http.StatusForbidden, Reason: "AccessDenied",
				Match: func(r *http.Request) bool { return !strings.Contains(r.URL.RawQuery, "list-type") },
			})
			return a.source
		}, source.CauseStranger},
	}
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			got := planFrom(t, tt.source(t), files...)
			if got.Refused == nil || got.Refused.Cause != tt.cause {
				t.Fatalf("refused = %v, want the cause %s", got.Refused, tt.cause)
			}
			if got.Bytes != -1 || got.Basis != report.BasisUnknown || got.Cost != -1 || got.Files != 0 || got.Unlisted != nil {
				t.Errorf("plan = %+v, want nothing to be had there", got)
			}
		})
	}
}

// Trouble is no refusal: what the store has is unknown, and that is said.
func TestAPlanTellsTroubleFromRefusals(t *testing.T) {
	t.Parallel()
	files := manyFiles(3, 2000)
	eachStore(t, func(t *testing.T, host *lookalike.Host, src host.Source) {
		host.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusBadGateway})
		got := planFrom(t, src, files...)
		status, ok := errors.AsType[*source.StatusError](got.Unlisted)
		if !ok || status.Code != http.StatusBadGateway || got.Refused != nil || got.Bytes != -1 || got.Basis != report.BasisUnknown {
			t.Errorf("plan = %+v, want what is there to be unknown for the status 502", got)
		}
	}, files...)
}
