package s3_test

import (
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

func TestLocations(t *testing.T) {
	source := mustNew(t, s3.Options{Locations: map[manifest.Ref]s3.Location{
		{Dataset: "mimiciv"}:                     {URL: arn("mimiciv-v3-0-07")},
		{Dataset: "mimiciv", Version: "3.1"}:     {URL: arn("mimiciv-v3-1-01")},
		{Dataset: "mimiciii"}:                    {URL: "s3://mimic-iii-physionet"},
		{Dataset: "mimic-cxr", Version: "2.1.0"}: {URL: "s3://lab/copies/{dataset}-{version}"},
	}})
	for name, want := range map[string]string{
		"mimic-iv-demo@2.2": "s3://physionet-open/mimic-iv-demo/2.2/",
		"mimiciv@3.0":       "s3://arn:aws:s3:us-east-1:724665945834:accesspoint/mimiciv-v3-0-07/mimiciv/3.0/",
		"mimiciv@3.1":       "s3://arn:aws:s3:us-east-1:724665945834:accesspoint/mimiciv-v3-1-01/mimiciv/3.1/",
		"mimiciii@1.4":      "s3://mimic-iii-physionet/",
		"mimic-cxr@2.1.0":   "s3://lab/copies/mimic-cxr-2.1.0/",
		"mimic-cxr@2.0.0":   "s3://physionet-open/mimic-cxr/2.0.0/",
	} {
		ref, err := manifest.ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := source.Location(ref); got != want {
			t.Errorf("Location(%s) = %s, want %s", name, got, want)
		}
	}
}

// TestALocationIsCheap: every request of a pass asks for one, of hundreds of
// thousands.
func TestALocationIsCheap(t *testing.T) {
	source := mustNew(t, s3.Options{})
	ref := manifest.Ref{Dataset: "mimic-iv-demo", Version: "2.2"}
	if n := testing.AllocsPerRun(100, func() { source.Location(ref) }); n > 5 {
		t.Errorf("Location allocates %.0f times, want at most 5", n)
	}
}

func TestBadLocations(t *testing.T) {
	for url, want := range map[string]string{
		"":                              "must begin with s3://",
		"https://bucket/x":              "must begin with s3://",
		"s3://":                         "names no bucket",
		"s3:///mimiciv/3.1":             "names no bucket",
		"s3://arn:aws:s3:us-east-1:1:x": "names no bucket",
		"s3://b/{slug}/":                "has {slug}",
		"s3://key:secret@b/":            "must not contain credentials",
		"s3://arn:aws:s3:us-east-1:724665945834:accesspoint/na_me/x/": "na_me",
	} {
		_, err := s3.New(t.Context(), s3.Options{Locations: map[manifest.Ref]s3.Location{{}: {URL: url}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New with the location %q = %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("New with the location %q = %v, which tells a secret", url, err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://minio.example.org:9000": "",
		"http://127.0.0.1:9000":          "",
		"http://[::1]:9000":              "",
		"http://localhost:9000":          "",
		"http://minio.example.org:9000":  "must begin with https://",
		"minio.example.org:9000":         "is not a URL",
		"https://u:p@minio.example.org":  "must not contain a user",
		"https://minio.example.org/?a=b": "must not contain a user, password or query",
	} {
		_, err := s3.New(t.Context(), s3.Options{Endpoint: endpoint})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("New with the endpoint %s = %v, want %q", endpoint, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("New with the endpoint %s = %v, which tells a password", endpoint, err)
		}
	}
	if _, err := s3.New(t.Context(), s3.Options{Endpoint: "http://minio.example.org:9000", PlainHTTP: true}); err != nil {
		t.Errorf("New with an endpoint that may do without TLS = %v, want <nil>", err)
	}
}

// TestEndpointOfTheEnvironment: the variable that every AWS tool honours leads
// to a lab's own store, and is held to the same rules.
func TestEndpointOfTheEnvironment(t *testing.T) {
	login(t)
	site := store(lookalike.S3Bucket{Name: "lab", Readers: []string{keyID}, Objects: objects("mimiciv/3.1/", data)})
	t.Setenv("AWS_ENDPOINT_URL_S3", serve(t, site))
	src := newSource(t, "", s3.Location{URL: "s3://lab/{dataset}/{version}/"})
	if b, err := fetch(t, src, source.Request{Path: manifest.Name}); err != nil || string(b) != string(data[manifest.Name]) {
		t.Errorf("Open(%s) = %q, %v, want %q", manifest.Name, b, err, data[manifest.Name])
	}
	if r := site.Requests(); len(r) != 1 || r[0].Path != "/lab/mimiciv/3.1/"+manifest.Name {
		t.Errorf("the store was asked %+v, want one path style request", r)
	}
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://minio.example.org")
	if _, err := s3.New(t.Context(), s3.Options{}); err == nil {
		t.Error("New with plain http in AWS_ENDPOINT_URL_S3 = <nil>, want an error")
	}
}
