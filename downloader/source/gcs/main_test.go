package gcs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/sourcetest"
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
		file := filepath.Join(dir, "ca.pem")
		check(os.WriteFile(file, newCertificate(), 0o600))
		check(os.Setenv("SSL_CERT_FILE", file))
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

// bucketOf is the bucket of the contract's version.
var bucketOf = gcs.DefaultBucket(sourcetest.Ref)

// objectsOf is a bucket's content from memory.
func objectsOf(objects map[string][]byte) lookalike.Objects {
	var files []lookalike.GeneratedFile
	for path, data := range objects {
		files = append(files, lookalike.GeneratedFile{Path: path, Data: data})
	}
	return lookalike.Generated(files)
}

// serveStore runs a look-alike that keeps a log of its requests.
func serveStore(t *testing.T, buckets ...lookalike.Bucket) (store *lookalike.GCS, address string) {
	t.Helper()
	store = lookalike.NewGCS(buckets...)
	store.Record = true
	hs, host := unstarted(t)
	store.Attach(hs.Config)
	start(t, hs, store)
	t.Cleanup(store.Close) // before the server's, which waits for stalled answers
	return store, "http://" + host
}

// read opens an object and reads it.
func read(t *testing.T, s *gcs.Source, r source.Request) ([]byte, error) {
	t.Helper()
	r.Ref = sourcetest.Ref
	o, err := s.Open(t.Context(), r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(o.Body)
	return b, errors.Join(err, o.Body.Close())
}

// refused is the AccessError that an Open ends with.
func refused(t *testing.T, s *gcs.Source, path string) *source.AccessError {
	t.Helper()
	_, err := read(t, s, source.Request{Path: path})
	e, ok := errors.AsType[*source.AccessError](err)
	if !ok {
		t.Fatalf("Open(%s) = %v, want an AccessError", path, err)
	}
	return e
}

// serveLogin runs Google's login for people, whose address is not in their
// credentials, and returns a DialContext that leads there.
func serveLogin(t *testing.T, store *lookalike.GCS) func(ctx context.Context, network, address string) (net.Conn, error) {
	t.Helper()
	hs, host := unstarted(t)
	hs.Config.Handler = store
	hs.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	hs.StartTLS()
	t.Cleanup(hs.Close)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == googleLogin+":443" {
			address = host
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

const googleLogin = "oauth2.googleapis.com"

// certificate is that of Google's login here.
var certificate tls.Certificate

func newCertificate() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{googleLogin}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
