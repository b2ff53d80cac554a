package advice

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A server that hangs up is in trouble, and no error of this program.
func TestAServerThatHangsUp(t *testing.T) {
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF} {
		if a := (Adviser{}).Advise(fmt.Errorf("the newest version: %w", err)); a.Code != ExitIncomplete || !strings.Contains(a.Hint, "the server has trouble") {
			t.Errorf("advise(%v) = %+v", err, a)
		}
	}
}

// A disk that fails is told with what became of the data.
func TestADiskThatFails(t *testing.T) {
	err := fmt.Errorf("commit: %w", &fs.PathError{Op: "fdatasync", Path: "x", Err: syscall.EIO})
	if a := (Adviser{}).Advise(err); a.Code != ExitIncomplete || !strings.Contains(a.Hint, "Lost data doesn't count as verified") || !strings.Contains(a.Hint, "verify --repair") {
		t.Errorf("advise(%v) = %+v", err, a)
	}
}

// The pid of an owner on another machine is another process's here.
func TestAnOwnerElsewhere(t *testing.T) {
	for _, command := range []string{"pull", "daemon"} {
		err := &store.LockedError{Owner: store.Owner{Host: "elsewhere.example.com", PID: 42, Command: command}}
		if a := (Adviser{}).Advise(err); a.Code != ExitOwned || !strings.Contains(a.Hint, "on elsewhere.example.com with: kill 42") {
			t.Errorf("advise(%v) = %+v, want it stopped there", err, a)
		}
	}
}

// Trouble of the network, and of a publication, is told with what to do, and is
// no unexpected error.
func TestTroubleOnTheWay(t *testing.T) {
	ref := manifest.Ref{Dataset: "demo", Version: "2.0"}
	proxy := func(code int) error {
		return &source.ProxyError{Proxy: "http://proxy.example:3128", Host: "physionet.org:443", Code: code}
	}
	for _, test := range []struct {
		err  error
		code int
		want []string
	}{
		{proxy(407), ExitIncomplete, []string{"HTTPS_PROXY=http://USER:PASSWORD@proxy.example:3128"}},
		{proxy(403), ExitIncomplete, []string{"the administrator of the proxy http://proxy.example:3128", "HTTPS_PROXY", "physionet.org:443", "NO_PROXY=physionet.org"}},
		{proxy(504), ExitIncomplete, []string{"the proxy http://proxy.example:3128, set by HTTPS_PROXY", "try again later"}},
		{&source.PortalError{Asked: "https://physionet.org/ping/", Host: "wifi.example", Why: "which sends a web page"}, ExitIncomplete, []string{"https://physionet.org/ping/", "browser"}},
		{&source.EncodingError{Encoding: "br"}, ExitIncomplete, []string{"proxy", "run the same command"}},
		{fmt.Errorf("%w: it was replaced 5 times", failure.ErrManifestChanges), ExitIncomplete, []string{"in a few minutes"}},
		{&failure.SpaceError{Need: 600e12, Free: 1e9, Published: 600e12}, ExitNoSpace, []string{"free some space", "if the published size is wrong", "--include '**'"}},
		{source.ErrWebPage, ExitIncomplete, []string{"maintenance", "browser"}},
		{&source.NotPublishedError{Ref: ref, Source: "physionet"}, ExitIncomplete, []string{"in a few minutes"}},
		{fmt.Errorf("%w: %w", failure.ErrManifest, &source.NotPublishedError{Ref: ref, Source: "physionet"}), ExitIncomplete, []string{"in a few minutes"}},
		{&failure.UnfinishedManifestError{Ref: ref, Listed: 5, Published: 50}, ExitIncomplete, []string{"in a few minutes"}},
		{
			&source.AccessError{Denial: source.Moved, Source: "physionet", Page: "https://physionet.org"},
			ExitUsage,
			[]string{"MIMICSYNC_PHYSIONET_URL=https://physionet.org", "mimicsync login --url https://physionet.org"},
		},
	} {
		a := (Adviser{}).Advise(fmt.Errorf("the manifest: %w", test.err))
		for _, want := range test.want {
			if a.Code != test.code || !strings.Contains(a.Hint, want) {
				t.Errorf("advise(%v) = %d, %q, want %d and %q", test.err, a.Code, a.Hint, test.code, want)
			}
		}
	}
}

// A certificate that has ended, and one that nobody here vouches for, are cured in
// different ways; pull says the same as doctor.
func TestCertificatesThatAreNotBelieved(t *testing.T) {
	for cure, reason := range map[string]error{
		"the server's certificate has expired": x509.CertificateInvalidError{Reason: x509.Expired},
		"export SSL_CERT_FILE=":                x509.UnknownAuthorityError{},
		"the login page of a network":          x509.HostnameError{Certificate: &x509.Certificate{}, Host: "physionet.org"},
	} {
		a := (Adviser{}).Advise(fmt.Errorf("the manifest: %w", &tls.CertificateVerificationError{Err: reason}))
		if a.Code != ExitIncomplete || !strings.Contains(a.Hint, cure) || !strings.HasSuffix(a.Hint, "run the same command to continue") {
			t.Errorf("advise(%v) = %+v, want %q", reason, a, cure)
		}
	}
}
