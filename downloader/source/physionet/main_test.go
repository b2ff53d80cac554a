package physionet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/physionet"
)

// certificate is that of all servers here. It is valid for two names of this
// machine, so that a test can have two hosts.
var certificate tls.Certificate

// TestMain makes this process trust the certificate the way a user would: by
// SSL_CERT_FILE. Nothing else of the environment shall matter.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mimicsync-test")
		check(err)
		defer func() { _ = os.RemoveAll(dir) }()
		file := filepath.Join(dir, "ca.pem")
		check(os.WriteFile(file, newCertificate(), 0o600))
		check(os.Setenv("SSL_CERT_FILE", file))
		for _, name := range []string{
			"NETRC", "PHYSIONET_USERNAME", "PHYSIONET_PASSWORD", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy",
		} {
			if os.Getenv(startedAgain) == "" {
				check(os.Unsetenv(name))
			}
		}
		check(os.Setenv("HOME", dir))
		check(os.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent"))
		keyring.MockInit() // nobody's own
		return m.Run()
	}())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func newCertificate() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// serve runs a handler over TLS. It offers HTTP/2, which is not to be taken.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if l, ok := h.(*lookalike.Server); ok {
		l.Attach(s.Config)
		t.Cleanup(l.Close)
	}
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// serveSite runs a look-alike that keeps a log of its requests.
func serveSite(t *testing.T, projects ...lookalike.Project) (site *lookalike.Server, url string) {
	t.Helper()
	site = lookalike.New(projects...)
	site.Record = true
	hs := serve(t, site)
	// Cleanups run in reverse: the look-alike's Close must come before the
	// server's, which waits for stalled answers.
	t.Cleanup(site.Close)
	return site, hs.URL
}

func newSource(t *testing.T, o physionet.Options) *physionet.Source {
	t.Helper()
	o.Version = "test"
	s, err := physionet.New(o)
	if err != nil {
		t.Fatalf("New(%q) = %v, want <nil>", o.URL, err)
	}
	return s
}

// byName is the address of a server under the other of its two names.
func byName(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }

// pipe is a listener whose connections are made in memory, for tests in a bubble
// of synctest.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// pipedSite runs a look-alike in the test's bubble, and returns a source with the
// account. It has no TLS, and so no session.
func pipedSite(t *testing.T, projects ...lookalike.Project) (*lookalike.Server, *physionet.Source) {
	t.Helper()
	site := lookalike.New(projects...)
	site.PlainBasic = true
	p := &pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: site, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(p) }()
	s := newSource(t, physionet.Options{URL: "http://127.0.0.1:1", Credentials: account, Connections: 4, DialContext: p.dial})
	t.Cleanup(func() {
		site.Close()
		s.CloseIdleConnections()
		_ = server.Close()
	})
	return site, s
}

// startedAgain is set in the environment of what again starts.
const startedAgain = "MIMICSYNC_STARTED_AGAIN"

// again runs a test of this program in a process of its own, with something else
// in the environment, and returns what it printed.
func again(t *testing.T, test string, environment ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), environment...), startedAgain+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s in a process of its own: %v", test, err)
	}
	return string(out)
}
