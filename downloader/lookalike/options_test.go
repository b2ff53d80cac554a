package lookalike_test

import (
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
)

// The API knows who has access, and not whether files may be had.
func TestTheAPIDoesNotKnowOfDisabledDownloads(t *testing.T) {
	p := closedProject(lookalike.Credentialed)
	p.Versions[0].DownloadsDisabled = true
	s := lookalike.New(p)
	s.AddUser(entitled())
	s.AddUser(lookalike.User{Name: "other", Password: "secret"})
	w := serve(t, s)
	sums := "/api/v1/projects/published/closed/2.2/sha256sums/"
	w.get(closedFile, as("reader", "pässword:1")).want(t, 403)
	w.get(sums, as("reader", "pässword:1")).want(t, 200)
	w.get(sums, as("other", "secret")).want(t, 403, "Content-Type", "application/json")
}

// The page of a version says why nobody gets its files, or whom to ask.
func TestPagesSayWhy(t *testing.T) {
	withdrawn, off, review := closedProject(lookalike.Open), closedProject(lookalike.Open), closedProject(lookalike.ContributorReview)
	withdrawn.Slug, off.Slug, review.Slug = "withdrawn", "off", "review"
	withdrawn.Versions[0].Deprecated, off.Versions[0].DownloadsDisabled = true, true
	w := serve(t, lookalike.New(withdrawn, off, review))
	for slug, want := range map[string]string{
		"withdrawn": "The files for this project are no longer available.",
		"off":       "access restricted and the files are only\n  available via a research environment",
		"review":    `href="/request-access-status/review/2.2/"`,
	} {
		if a := w.get("/content/" + slug + "/2.2/"); a.StatusCode != 200 || !strings.Contains(string(a.body), want) {
			t.Errorf("the page of %s does not say %q", slug, want)
		}
	}
	w.get("/files/withdrawn/2.2/SHA256SUMS.txt").want(t, 401)
	w.get("/files/off/2.2/SHA256SUMS.txt").want(t, 401)
}

func TestPoliciesByNumber(t *testing.T) {
	s := lookalike.New(closedProject(lookalike.ContributorReview))
	s.NumericPolicy = true
	all := decode[[]map[string]any](t, serve(t, s).get("/api/v1/projects/published/"))
	if len(all) != 1 || all[0]["access_policy"] != 3.0 {
		t.Errorf("published = %v, want the policy 3", all)
	}
}

func TestCanonicalAddress(t *testing.T) {
	s := lookalike.New(demo())
	s.Canonical = "https://physionet.example"
	w := serve(t, s)
	for _, path := range []string{"/content/demo/", "/files/demo/1.10.0/a%20b.csv?download", "/api/v1/projects/published/"} {
		w.get(path).want(t, 301, "Location", "https://physionet.example"+path)
	}
}

func TestExtraCookies(t *testing.T) {
	s := lookalike.New(demo())
	s.ExtraCookie, s.CookieLimit = 10, 50
	w := serve(t, s)
	w.get("/ping/").want(t, 200, "Set-Cookie", "extra1=vvvvvvvvvv; Path=/")
	w.get("/ping/", header("Cookie", strings.Repeat("c", 50))).want(t, 200, "Set-Cookie", "extra2=vvvvvvvvvv; Path=/")
	w.get("/ping/", header("Cookie", strings.Repeat("c", 51))).want(t, 400)
}
