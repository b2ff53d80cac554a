package s3_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

const (
	keyID = "AKIAIOSFODNN7EXAMPLE"
	// marker is what must never be seen outside requests.
	marker = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	bucket = "physionet-open"
	alice  = "arn:aws:iam::123456789012:user/alice"
)

// TestMain takes away what the machine's own AWS configuration says.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			_ = os.Unsetenv(name)
		}
	}
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// login is what a person has in the environment.
func login(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", marker)
}

// objects is a bucket's content: what is given by path, below a prefix.
func objects(prefix string, all map[string][]byte) lookalike.Objects {
	var files []lookalike.GeneratedFile
	for path, data := range all {
		files = append(files, lookalike.GeneratedFile{Path: prefix + path, Data: slices.Concat([]byte{}, data)})
	}
	return lookalike.Generated(files)
}

// store is a lookalike with one bucket.
func store(b lookalike.S3Bucket) *lookalike.S3 {
	site := lookalike.NewS3()
	site.Record = true
	if b.Name == "" {
		b.Name = bucket
	}
	site.AddBucket(b)
	site.AddKey(lookalike.S3Key{ID: keyID, Identity: alice})
	return site
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	hs := httptest.NewUnstartedServer(h)
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // gofakes3 writes headers twice
	hs.Start()
	t.Cleanup(hs.Close)
	if site, ok := h.(*lookalike.S3); ok {
		t.Cleanup(site.Close)
	}
	return hs.URL
}

// newSource asks a store, where all datasets lie at one location if it is given.
func newSource(t *testing.T, endpoint string, l ...s3.Location) *s3.Source {
	t.Helper()
	o := s3.Options{Endpoint: endpoint, Connections: 4}
	if len(l) > 0 {
		o.Locations = map[manifest.Ref]s3.Location{{}: l[0]}
	}
	return mustNew(t, o)
}

func mustNew(t *testing.T, o s3.Options) *s3.Source {
	t.Helper()
	s, err := s3.New(t.Context(), o)
	if err != nil {
		t.Fatalf("New = %v, want <nil>", err)
	}
	return s
}
