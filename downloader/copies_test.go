package downloader_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// amazon and google are look-alikes of the stores over real TLS, each with a
// copy of demo@1.0, and the source that asks them.
type amazon struct {
	*lookalike.S3

	source host.Source
}

type google struct {
	*lookalike.GCS

	source host.Source
}

// serve runs a look-alike over TLS.
func serve(t testing.TB, h interface {
	http.Handler
	Attach(s *http.Server)
	Close()
},
) (url string) {
	t.Helper()
	hs := httptest.NewUnstartedServer(h)
	h.Attach(hs.Config)
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	hs.StartTLS()
	t.Cleanup(func() {
		h.Close()
		hs.Close()
	})
	return hs.URL
}

// newAmazon has the files in a bucket without a prefix: what a generated file
// holds depends on its path.
func newAmazon(t testing.TB, setup func(*lookalike.S3), files ...lookalike.GeneratedFile) *amazon {
	t.Helper()
	a := &amazon{S3: lookalike.NewS3()}
	a.Record = true
	if setup != nil {
		setup(a.S3)
	}
	a.AddBucket(lookalike.S3Bucket{Name: "demo-copy", Public: true, Objects: lookalike.Generated(files)})
	source, err := s3.New(t.Context(), s3.Options{
		Endpoint: serve(t, a.S3), Connections: 4,
		Locations: map[manifest.Ref]s3.Location{demo: {URL: "s3://demo-copy/", Anonymous: true}},
	})
	must(t, err)
	a.source = host.Source{Source: source, Budget: pace.NewBudget(4)}
	return a
}

func newGoogle(t testing.TB, o gcs.Options, b lookalike.Bucket, files ...lookalike.GeneratedFile) *google {
	t.Helper()
	b.Name, b.Objects = gcs.DefaultBucket(demo), lookalike.Generated(files)
	g := &google{GCS: lookalike.NewGCS(b)}
	g.Record = true
	o.Endpoint, o.Connections, o.Version = serve(t, g.GCS), 4, "test"
	source, err := gcs.New(o)
	must(t, err)
	g.source = host.Source{Source: source, Budget: pace.NewBudget(4)}
	return g
}

// logIn makes a service account's key the default credentials of the test.
func (g *google) logIn(t *testing.T, endpoint string) {
	t.Helper()
	const robot = "robot@the-lab.iam.gserviceaccount.com"
	g.PutAccount(lookalike.Account{Email: robot})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": robot, "private_key_id": "1", "token_uri": endpoint + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	must(t, err)
	name := filepath.Join(t.TempDir(), "credentials.json")
	must(t, os.WriteFile(name, text, 0o600))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", name)
}

// asked counts the answers of a look-alike about a file.
func asked(h interface{ Requests() []lookalike.Request }, name string) (n int) {
	for _, r := range h.Requests() {
		if filepath.Base(r.Path) == name {
			n++
		}
	}
	return n
}

// withManifest adds the manifest of the files to them, as the copies have it.
func withManifest(files ...lookalike.GeneratedFile) []lookalike.GeneratedFile {
	return append(slices.Clone(files), lookalike.GeneratedFile{Path: manifest.Name, Data: []byte(sums(files...))})
}

// wantSources compares what a report says of each source, but for errors.
func wantSources(t testing.TB, r *report.Report, want ...report.SourceReport) {
	t.Helper()
	if diff := cmp.Diff(want, r.Sources, cmpopts.IgnoreFields(report.SourceReport{}, "Err", "Dropped")); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}
