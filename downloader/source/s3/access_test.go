package s3_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

var (
	mimic = manifest.Ref{Dataset: "mimiciv", Version: "3.1"}
	data  = map[string][]byte{
		manifest.Name:            []byte("a manifest\n"),
		"hosp/patients.csv.gz":   []byte("patients\n"),
		"hosp/admissions.csv.gz": []byte("admissions\n"),
	}
)

const account = "724665945834"

func arn(name string) string {
	return "s3://arn:aws:s3:us-east-1:" + account + ":accesspoint/" + name + "/{dataset}/{version}/"
}

// amazon is a store behind the names of Amazon's hosts: the returned Options
// send every connection there, and the environment trusts it, by the variable
// that people behind a hospital's proxy set.
func amazon(t *testing.T, site *lookalike.S3) s3.Options {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"*.s3-accesspoint.us-east-1.amazonaws.com", "*.s3.us-east-1.amazonaws.com", "*.s3.eu-west-1.amazonaws.com", "sts.us-east-1.amazonaws.com"},
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
	hs := httptest.NewUnstartedServer(site)
	hs.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	hs.StartTLS()
	t.Cleanup(hs.Close)
	t.Cleanup(site.Close)
	return s3.Options{Connections: 2, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, hs.Listener.Addr().String())
	}}
}

// controlled is a store of MIMIC-IV behind two access points, of which the
// second is ours.
func controlled() *lookalike.S3 {
	site := store(lookalike.S3Bucket{Name: "controlled", Objects: objects("mimiciv/3.1/", data)})
	for name, reader := range map[string]string{"mimiciv-v3-1-01": "somebody else", "mimiciv-v3-1-02": keyID, "mimiciv-v3-0-01": "somebody else"} {
		site.AddAccessPoint(lookalike.S3AccessPoint{
			Name: name, Account: account, Bucket: "controlled", Prefix: "mimiciv/3.1/", Readers: []string{reader},
		})
	}
	return site
}

func TestAccessPoint(t *testing.T) {
	login(t)
	site := controlled()
	o := amazon(t, site)
	o.Locations = map[manifest.Ref]s3.Location{{Dataset: "mimiciv"}: {URL: arn("mimiciv-v3-1-02")}}
	src := mustNew(t, o)
	for path, want := range data {
		if got, err := fetch(t, src, source.Request{Ref: mimic, Path: path}); err != nil || string(got) != string(want) {
			t.Errorf("Open(%s) = %q, %v, want %q", path, got, err, want)
		}
	}
	for l, err := range src.List(t.Context(), mimic) {
		if err != nil || l.Size != int64(len(data[l.Path])) {
			t.Errorf("List gave %v, %v, want the sizes of %v", l, err, data)
		}
	}
	for _, r := range site.Requests() {
		if want := "mimiciv-v3-1-02-" + account + ".s3-accesspoint.us-east-1.amazonaws.com"; r.Host != want {
			t.Errorf("a request went to %s, want %s", r.Host, want)
		}
	}
}

// TestRefusals meets everything that keeps people from their data, and wants
// each to be told from the others.
func TestRefusals(t *testing.T) {
	fault := func(code int, reason string) func(*lookalike.S3) {
		return func(site *lookalike.S3) {
			site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: code, Reason: reason})
		}
	}
	identity := func(arn string) func(*lookalike.S3) {
		return func(site *lookalike.S3) {
			site.AddKey(lookalike.S3Key{ID: keyID, Identity: arn})
		}
	}
	for name, tt := range map[string]struct {
		location  s3.Location
		do        func(*lookalike.S3)
		anonymous bool
		denial    source.Denial
		cause     source.Cause
		says      string
	}{
		"other people's access point": {
			location: s3.Location{URL: arn("mimiciv-v3-1-01")},
			denial:   source.Forbidden, cause: source.CauseAccessPoint, says: "may be another user's",
		},
		"another version's access point": {
			location: s3.Location{URL: arn("mimiciv-v3-0-01")},
			denial:   source.Forbidden, cause: source.CauseAccessPoint, says: "for another dataset or version",
		},
		"a prefix that the access point does not give": {
			location: s3.Location{URL: strings.TrimSuffix(arn("mimiciv-v3-1-02"), "{dataset}/{version}/")},
			denial:   source.Forbidden, cause: source.CauseWrongPrefix, says: "serves what is below mimiciv/3.1/",
		},
		"a role": {
			location: s3.Location{URL: arn("mimiciv-v3-1-01")}, do: identity("arn:aws:sts::123456789012:assumed-role/lab/alice"),
			denial: source.Forbidden, cause: source.CauseAccessPoint, says: "not to roles or root accounts",
		},
		"an access point that does not exist": {
			location: s3.Location{URL: arn("mimiciv-v3-1-77")},
			denial:   source.UnknownVersion, cause: source.CauseNoBucket, says: "mimiciv-v3-1-77",
		},
		"a bucket that does not exist": {
			location: s3.Location{URL: "s3://mimic-iii-physionet/"},
			denial:   source.UnknownVersion, cause: source.CauseNoBucket, says: "mimic-iii-physionet",
		},
		"a bucket that refuses": {
			location: s3.Location{URL: "s3://controlled/{dataset}/{version}/"},
			denial:   source.Forbidden, cause: source.CauseOwner, says: "S3 doesn't say so",
		},
		"a bucket of PhysioNet's that refuses": {
			location: s3.Location{URL: "s3://mimic-iii-physionet/"}, do: fault(403, "AccessDenied"),
			denial: source.Forbidden, cause: source.CauseNotGranted, says: "S3 doesn't say so",
		},
		"the open bucket refuses": {
			location: s3.Open, do: fault(403, "AccessDenied"),
			denial: source.Forbidden, cause: source.CauseShut, says: "although that bucket is public",
		},
		"a bucket that refuses strangers": {
			location: s3.Location{URL: "s3://controlled/{dataset}/{version}/", Anonymous: true},
			denial:   source.Forbidden, cause: source.CauseStranger, says: "without credentials",
		},
		"a redirect": {
			do:     fault(301, "PermanentRedirect"),
			denial: source.UnknownVersion, cause: source.CauseWrongRegion, says: "not in the region us-east-1",
		},
		"a key that was deleted": {
			do:     func(site *lookalike.S3) { site.RemoveKey(keyID) },
			denial: source.BadCredentials, cause: source.CauseUnknownKey, says: "doesn't know the access key",
		},
		"a wrong secret": {
			do:     fault(403, "SignatureDoesNotMatch"),
			denial: source.BadCredentials, cause: source.CauseWrongSecret, says: "secret of the access key is wrong",
		},
		"an expired session": {
			do: func(site *lookalike.S3) {
				site.AddKey(lookalike.S3Key{ID: keyID, Expires: time.Now().Add(-time.Minute)})
			},
			denial: source.BadCredentials, cause: source.CauseLoginExpired, says: "session has expired",
		},
		"no credentials": {
			anonymous: true,
			denial:    source.NoCredentials, cause: source.CauseNoLogin, says: "no AWS credentials were found",
		},
		"an archived object": {
			do:     fault(403, "InvalidObjectState"),
			denial: source.Forbidden, cause: source.CauseArchived, says: "is in an archive",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if !tt.anonymous {
				login(t)
			}
			site := controlled()
			o := amazon(t, site)
			if tt.do != nil {
				tt.do(site)
			}
			if tt.location.URL == "" {
				tt.location.URL = arn("mimiciv-v3-1-02")
			}
			o.Locations = map[manifest.Ref]s3.Location{mimic: tt.location}
			_, err := fetch(t, mustNew(t, o), source.Request{Ref: mimic, Path: "hosp/patients.csv.gz"})
			access := expectAccess(t, err, tt.denial, tt.cause)
			if !strings.Contains(access.Error(), tt.says) {
				t.Errorf("Open = %q, want it to say %q", access, tt.says)
			}
			if want := "https://physionet.org/content/mimiciv/3.1/#files"; access.Page != want {
				t.Errorf("Open names the page %q, want %q", access.Page, want)
			}
		})
	}
}

// TestRefusalNamesWho: the identity that AWS names is what PhysioNet's cloud
// settings must name, so it is worth saying.
func TestRefusalNamesWho(t *testing.T) {
	login(t)
	o := amazon(t, controlled())
	o.Locations = map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-01")}}
	_, err := fetch(t, mustNew(t, o), source.Request{Ref: mimic, Path: "hosp/patients.csv.gz"})
	access := expectAccess(t, err, source.Forbidden, source.CauseAccessPoint)
	if access.User != alice || access.From != "the environment" {
		t.Errorf("Open names the user %q from %q, want %q from the environment", access.User, access.From, alice)
	}
}

// TestExpiredLogin: a profile of AWS's single sign-on whose login is over.
func TestExpiredLogin(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	text := "[default]\nsso_session = lab\nsso_account_id = 123456789012\nsso_role_name = reader\nregion = us-east-1\n" +
		"[sso-session lab]\nsso_region = us-east-1\nsso_start_url = https://lab.awsapps.com/start\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", config)
	t.Setenv("HOME", t.TempDir())
	src := mustNew(t, s3.Options{Locations: map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-02")}}})
	_, err := fetch(t, src, source.Request{Ref: mimic, Path: "hosp/patients.csv.gz"})
	access := expectAccess(t, err, source.BadCredentials, source.CauseLoginExpired)
	if access.Command != "aws sso login" {
		t.Errorf("Open advises %q, want aws sso login", access.Command)
	}
}

// TestLoginSession: a profile that aws login has made, whose session is gone.
func TestLoginSession(t *testing.T) {
	_ = profile(t, "[default]\nregion = us-east-1\nlogin_session = arn:aws:iam::123456789012:user/alice\n", "")
	src := mustNew(t, s3.Options{Locations: map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-02")}}})
	_, err := fetch(t, src, source.Request{Ref: mimic, Path: "hosp/patients.csv.gz"})
	if access := expectAccess(t, err, source.BadCredentials, source.CauseLoginExpired); access.Command != "aws login" {
		t.Errorf("Open advises %q, want aws login", access.Command)
	}
}

// TestCredentialsThatCannotBeHad: a profile that names a program which fails.
// What the program says is not repeated.
func TestCredentialsThatCannotBeHad(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[default]\ncredential_process = sh -c 'echo {%s'\n", marker), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", config)
	src := mustNew(t, s3.Options{Locations: map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-02")}}})
	_, err := fetch(t, src, source.Request{Ref: mimic, Path: "hosp/patients.csv.gz"})
	mustRefuse(t, err, source.BadCredentials, source.CauseBadLogin)
}

// TestMissingOrForbidden: where nobody may list, what is missing looks
// forbidden; it is so for that file alone.
func TestMissingOrForbidden(t *testing.T) {
	site := store(lookalike.S3Bucket{Public: true, NoList: true, Objects: objects("mimiciv/3.1/", data)})
	src := newSource(t, serve(t, site))
	_, err := fetch(t, src, source.Request{Ref: mimic, Path: "missing.csv"})
	access := expectAccess(t, err, source.Forbidden, source.CauseStranger)
	if want := "or there is no such file"; !strings.Contains(access.Error(), want) {
		t.Errorf("Open(missing.csv) = %q, want it to say %q", access, want)
	}
	if _, err := fetch(t, src, source.Request{Ref: mimic, Path: manifest.Name}); err != nil {
		t.Errorf("Open(%s) = %v, want <nil>", manifest.Name, err)
	}
}

// TestUnknownVersion: where the open bucket has nothing, the person learns of
// access points; where it has files and no manifest, that is all there is to say.
func TestUnknownVersion(t *testing.T) {
	site := store(lookalike.S3Bucket{Public: true, Objects: objects("mimiciv/3.1/", map[string][]byte{"x.csv": nil})})
	src := newSource(t, serve(t, site))
	_, err := fetch(t, src, source.Request{Ref: manifest.Ref{Dataset: "mimic-cxr", Version: "2.1.0"}, Path: manifest.Name})
	access := expectAccess(t, err, source.UnknownVersion, "")
	if want := "has an access point"; !strings.Contains(access.Error(), want) {
		t.Errorf("Open = %q, want it to say %q", access, want)
	}
	if _, err := fetch(t, src, source.Request{Ref: mimic, Path: manifest.Name}); !errors.Is(err, source.ErrNotExist) {
		t.Errorf("Open of a manifest that is missing = %v, want ErrNotExist", err)
	}
}

// expectAccess wants an AccessError that tells no secret.
func expectAccess(t *testing.T, err error, denial source.Denial, cause source.Cause) *source.AccessError {
	t.Helper()
	access, ok := errors.AsType[*source.AccessError](err)
	if !ok {
		t.Fatalf("Open = %v, want an AccessError", err)
	}
	if access.Denial != denial || access.Cause != cause {
		t.Errorf("Open = %v with denial %d and cause %q, want %d and %q", err, access.Denial, access.Cause, denial, cause)
	}
	tellsNothing(t, fmt.Sprintf("%+v %v", *access, err))
	return access
}

// mustRefuse is expectAccess of who does not look closer.
func mustRefuse(t *testing.T, err error, denial source.Denial, cause source.Cause) {
	t.Helper()
	_ = expectAccess(t, err, denial, cause)
}

// tellsNothing wants a text without secrets.
func tellsNothing(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{marker, keyID, "Signature=", "X-Amz-Signature", "AWS4-HMAC"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q tells %q", text, secret)
		}
	}
}
