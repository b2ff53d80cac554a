package gcs_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"mimicsync/downloader/gcs"
)

// TestMain takes out of the environment what could lead to the account of
// whoever runs the tests, or to a server that is not of a test.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mimicsync-test")
		check(err)
		defer func() { _ = os.RemoveAll(dir) }()
		for _, pair := range os.Environ() {
			name, _, _ := strings.Cut(pair, "=")
			upper := strings.ToUpper(name)
			if strings.HasPrefix(upper, "GOOGLE_") || strings.HasPrefix(upper, "STORAGE_") || strings.HasPrefix(upper, "CLOUDSDK_") || strings.HasSuffix(upper, "_PROXY") {
				check(os.Unsetenv(name))
			}
		}
		check(os.Setenv("HOME", dir))
		check(os.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")) // else every machine is asked whether it is one of Google's
		return m.Run()
	}())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// unstarted is a server on loopback whose address is known before its handler.
func unstarted(t *testing.T) (hs *httptest.Server, address string) {
	t.Helper()
	hs = httptest.NewUnstartedServer(nil)
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	return hs, hs.Listener.Addr().String()
}

func start(t *testing.T, hs *httptest.Server, h http.Handler) {
	t.Helper()
	hs.Config.Handler = h
	hs.Start()
	t.Cleanup(hs.Close)
}

func newSource(t *testing.T, o gcs.Options) *gcs.Source {
	t.Helper()
	o.Version, o.Connections = "test", max(o.Connections, 4)
	s, err := gcs.New(o)
	if err != nil {
		t.Fatalf("New(%q) = %v, want <nil>", o.Endpoint, err)
	}
	return s
}
