package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

const (
	keyID      = "AKIAIOSFODNN7EXAMPLE"
	awsAccount = "724665945834"
)

// robotKey is the private key of a service account.
var robotKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

func accessPoint(name string) s3.Location {
	return s3.Location{URL: "s3://arn:aws:s3:us-east-1:" + awsAccount + ":accesspoint/" + name + "/{dataset}/{version}/"}
}

// amazon is a store behind the names of Amazon's hosts, with demo@1.0 behind
// access points of which one is ours. The environment trusts its certificate.
func amazon(t *testing.T) (*lookalike.S3, s3.Options) {
	t.Helper()
	site := lookalike.NewS3()
	site.AddBucket(lookalike.S3Bucket{Name: "controlled", Objects: lookalike.Generated([]lookalike.GeneratedFile{
		{Path: "demo/1.0/" + manifest.Name, Data: []byte("a manifest\n")},
	})})
	site.AddBucket(lookalike.S3Bucket{Name: "physionet-open", Public: true, Objects: lookalike.Generated(nil)})
	for name, reader := range map[string]string{"demo-v1-0-01": "somebody", "demo-v1-0-02": keyID, "demo-v0-9-01": "somebody"} {
		site.AddAccessPoint(lookalike.S3AccessPoint{Name: name, Account: awsAccount, Bucket: "controlled", Prefix: "demo/1.0/", Readers: []string{reader}})
	}
	site.AddKey(lookalike.S3Key{ID: keyID, Identity: "arn:aws:iam::123456789012:user/alice"})

	hs := httptest.NewUnstartedServer(site)
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	hs.TLS = &tls.Config{Certificates: []tls.Certificate{amazonCertificate(t)}}
	hs.StartTLS()
	t.Cleanup(hs.Close)
	t.Cleanup(site.Close)
	return site, s3.Options{Connections: 2, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, hs.Listener.Addr().String())
	}}
}

func amazonCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{
			"*.s3-accesspoint.us-east-1.amazonaws.com", "*.s3.us-east-1.amazonaws.com", "*.s3.eu-west-1.amazonaws.com",
			"s3.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com", "sts.eu-west-1.amazonaws.com",
		},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// singleSignOn is a profile whose login is over.
func singleSignOn(t *testing.T, _ *lookalike.S3) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	text := "[default]\nsso_session = lab\nsso_account_id = 123456789012\nsso_role_name = reader\nregion = us-east-1\n" +
		"[sso-session lab]\nsso_region = us-east-1\nsso_start_url = https://lab.awsapps.com/start\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", config)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
}
