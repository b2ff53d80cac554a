package downloader_test

import (
	"encoding/pem"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes this process trust the certificate of httptest's servers the
// way a user would: by SSL_CERT_FILE.
func TestMain(m *testing.M) {
	if os.Getenv("MIMICSYNC_VICTIM_DIR") != "" { // its parent has seen to that, and it dies without clearing up
		os.Exit(m.Run())
	}
	// Most stories wait, for a retry or a slow line: more of them than there are
	// processors may do so together. A -parallel on the command line wins.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mimicsync-test")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		s := httptest.NewTLSServer(nil)
		cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		s.Close()
		file := filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(file, cert, 0o600); err != nil {
			panic(err)
		}
		for _, pair := range os.Environ() {
			if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "GOOGLE_") {
				if err := os.Unsetenv(name); err != nil {
					panic(err)
				}
			}
		}
		for name, value := range map[string]string{
			"SSL_CERT_FILE": file,
			// No account of whoever runs the tests, and no machine is asked for one.
			"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
			"GCE_METADATA_HOST": "127.0.0.1:1",
		} {
			if err := os.Setenv(name, value); err != nil {
				panic(err)
			}
		}
		return m.Run()
	}())
}
