package s3_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// says answers like a store that says no.
func says(code int, word, message, more string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message>%s</Error>", word, message, more)
	})
}

// The bucket is in another region than the configuration says. Amazon names the
// right one, in a header or in the text: it is asked in, from then on.
func TestTheRegionThatTheStoreNames(t *testing.T) {
	login(t)
	site := store(lookalike.S3Bucket{Name: "controlled", Region: "eu-west-1", Objects: objects("mimiciv/3.1/", data), Readers: []string{keyID}})
	o := amazon(t, site)
	o.Locations = map[manifest.Ref]s3.Location{mimic: {URL: "s3://controlled/{dataset}/{version}/", Region: "us-east-1"}}
	src := mustNew(t, o)
	for range 2 {
		if _, err := fetch(t, src, source.Request{Path: manifest.Name}); err != nil {
			t.Fatalf("Open = %v, want it from the other region", err)
		}
	}
	if n := site.Counters().Requests; n != 3 {
		t.Errorf("%d requests, want one that is refused", n)
	}

	// Another bucket of the same location is where it was.
	site.AddBucket(lookalike.S3Bucket{Name: "demo-bucket", Objects: objects("1.0/", data), Readers: []string{keyID}})
	site.AddBucket(lookalike.S3Bucket{Name: "mimiciv-bucket", Region: "eu-west-1", Objects: objects("3.1/", data), Readers: []string{keyID}})
	o.Locations = map[manifest.Ref]s3.Location{{}: {URL: "s3://{dataset}-bucket/{version}/"}}
	src = mustNew(t, o)
	for range 3 {
		for _, ref := range []manifest.Ref{mimic, {Dataset: "demo", Version: "1.0"}} {
			if _, err := fetch(t, src, source.Request{Ref: ref, Path: manifest.Name}); err != nil {
				t.Errorf("Open of %s = %v", ref, err)
			}
		}
	}

	inText := newSource(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/") {
			says(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-central-1'", "<Region>eu-central-1</Region>").ServeHTTP(w, r)
			return
		}
		w.Header().Set("ETag", `"1"`)
		_, _ = fmt.Fprint(w, "x")
	})), s3.Location{URL: "s3://controlled/"})
	if b, err := fetch(t, inText, source.Request{Path: "x"}); err != nil || string(b) != "x" {
		t.Errorf("Open = %q, %v, want x", b, err)
	}

	// One that sends from here to there and back is told, and not followed for ever.
	asked := 0
	round := newSource(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		says(301, "PermanentRedirect", "", fmt.Sprintf("<Region>eu-north-%d</Region>", asked)).ServeHTTP(w, r)
	})), s3.Location{URL: "s3://controlled/", Anonymous: true})
	_, err := fetch(t, round, source.Request{Path: "x"})
	access := expectAccess(t, err, source.UnknownVersion, source.CauseWrongRegion)
	if asked != 2 || !strings.Contains(access.Error(), "is in the region eu-north-2, not in eu-north-1") {
		t.Errorf("Open = %q after %d requests, want the region named after two", access, asked)
	}
}

// An access point's region is in its name: it is told, and not tried elsewhere.
func TestTheRegionOfAnAccessPoint(t *testing.T) {
	login(t)
	site := controlled()
	site.AddBucket(lookalike.S3Bucket{Name: "controlled", Region: "eu-west-1", Objects: objects("mimiciv/3.1/", data)})
	o := amazon(t, site)
	o.Locations = map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-02")}}
	_, err := fetch(t, mustNew(t, o), source.Request{Path: manifest.Name})
	access := expectAccess(t, err, source.UnknownVersion, source.CauseWrongRegion)
	if !strings.Contains(access.Error(), "is in the region eu-west-1, not in us-east-1") {
		t.Errorf("Open = %q, want both regions", access)
	}
}

// A store whose rules for odd characters in names are others than Amazon's refuses
// the signatures for those names. Before it has accepted any, the secret is wrong.
func TestASignatureIsRefusedForOneName(t *testing.T) {
	login(t)
	site := store(lookalike.S3Bucket{Objects: objects("mimiciv/3.1/", data), Readers: []string{keyID}})
	odd := lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden, Reason: "SignatureDoesNotMatch", Path: "patients.csv.gz"}
	site.Inject(odd)
	src := newSource(t, serve(t, site), s3.Location{URL: "s3://physionet-open/{dataset}/{version}/"})
	_, err := fetch(t, src, source.Request{Path: "hosp/patients.csv.gz"})
	mustRefuse(t, err, source.BadCredentials, source.CauseWrongSecret)
	for range 2 {
		if _, err := fetch(t, src, source.Request{Path: "hosp/admissions.csv.gz"}); err != nil {
			t.Fatal(err)
		}
		_, err := fetch(t, src, source.Request{Path: "hosp/patients.csv.gz"})
		access := expectAccess(t, err, source.Forbidden, source.CauseSignature)
		if !strings.Contains(access.Error(), "hosp/patients.csv.gz") {
			t.Errorf("Open = %q, want the name that it is about", access)
		}
	}
}

// A bucket may let somebody read and its key may not.
func TestAKeyThatMayNotBeUsed(t *testing.T) {
	login(t)
	for name, h := range map[string]http.Handler{
		"denied": says(403, "AccessDenied", "User: "+alice+" is not authorized to perform: kms:Decrypt on the resource associated with this "+
			"ciphertext because no identity-based policy allows the kms:Decrypt action", ""),
		"disabled": says(400, "KMS.DisabledException", "arn:aws:kms:us-east-1:1:key/x is disabled.", ""),
	} {
		t.Run(name, func(t *testing.T) {
			src := newSource(t, serve(t, h), s3.Location{URL: "s3://controlled/"})
			_, err := fetch(t, src, source.Request{Path: "x"})
			mustRefuse(t, err, source.Forbidden, source.CauseEncrypted)
		})
	}
}
