package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"os"
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
		if a := advise(fmt.Errorf("the newest version: %w", err)); a.code != exitIncomplete || !strings.Contains(a.hint, "the server has trouble") {
			t.Errorf("advise(%v) = %+v", err, a)
		}
	}
}

// A daemon that finds another one on its machine sends its user there.
func TestASecondDaemonHere(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]bool{"daemon": true, "pull": false} {
		err := &store.LockedError{Owner: store.Owner{Host: host, PID: 42, Command: command}}
		if second := secondDaemon(fmt.Errorf("open: %w", err)); (second != nil) != want {
			t.Errorf("secondDaemon(%v) = %v", err, second)
		}
	}
}

// A disk that fails is told with what became of the data.
func TestADiskThatFails(t *testing.T) {
	err := fmt.Errorf("commit: %w", &fs.PathError{Op: "fdatasync", Path: "x", Err: syscall.EIO})
	if a := advise(err); a.code != exitUnexpected || !strings.Contains(a.hint, "nothing that it lost counts as verified") || !strings.Contains(a.hint, "verify --repair") {
		t.Errorf("advise(%v) = %+v", err, a)
	}
}

// The pid of an owner on another machine is another process's here.
func TestAnOwnerElsewhere(t *testing.T) {
	for _, command := range []string{"pull", "daemon"} {
		err := &store.LockedError{Owner: store.Owner{Host: "elsewhere.example.com", PID: 42, Command: command}}
		if a := advise(err); a.code != exitOwned || !strings.Contains(a.hint, "on elsewhere.example.com with: kill 42") {
			t.Errorf("advise(%v) = %+v, want it stopped there", err, a)
		}
		if second := secondDaemon(err); second != nil {
			t.Errorf("a daemon here takes %v for one that runs here", second)
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
		{proxy(407), exitIncomplete, []string{"HTTPS_PROXY=http://USER:PASSWORD@proxy.example:3128"}},
		{proxy(403), exitIncomplete, []string{"those who run the proxy http://proxy.example:3128", "HTTPS_PROXY", "physionet.org:443", "NO_PROXY=physionet.org"}},
		{proxy(504), exitIncomplete, []string{"the proxy http://proxy.example:3128, which HTTPS_PROXY names", "try again later"}},
		{&source.PortalError{Asked: "https://physionet.org/ping/", Host: "wifi.example", Why: "answers"}, exitIncomplete, []string{"https://physionet.org/ping/", "browser"}},
		{&source.EncodingError{Encoding: "br"}, exitIncomplete, []string{"proxy", "run the same command"}},
		{fmt.Errorf("%w: it was made anew 5 times", failure.ErrManifestChanges), exitIncomplete, []string{"in some minutes"}},
		{&failure.SpaceError{Need: 600e12, Free: 1e9, Published: 600e12}, exitNoSpace, []string{"make room", "if the published size is wrong", "--include '**'"}},
		{source.ErrWebPage, exitIncomplete, []string{"maintenance", "browser"}},
		{&source.NotPublishedError{Ref: ref, Source: "physionet"}, exitIncomplete, []string{"in some minutes"}},
		{fmt.Errorf("%w: %w", failure.ErrManifest, &source.NotPublishedError{Ref: ref, Source: "physionet"}), exitIncomplete, []string{"in some minutes"}},
		{&failure.UnfinishedManifestError{Ref: ref, Listed: 5, Published: 50}, exitIncomplete, []string{"in some minutes"}},
		{
			&source.AccessError{Denial: source.Moved, Source: "physionet", Page: "https://physionet.org"},
			exitUsage,
			[]string{"MIMICSYNC_PHYSIONET_URL=https://physionet.org", "mimicsync login --url https://physionet.org"},
		},
	} {
		a := advise(fmt.Errorf("the manifest: %w", test.err))
		for _, want := range test.want {
			if a.code != test.code || !strings.Contains(a.hint, want) {
				t.Errorf("advise(%v) = %d, %q, want %d and %q", test.err, a.code, a.hint, test.code, want)
			}
		}
	}
}

// A certificate that has ended, and one that nobody here vouches for, are cured in
// different ways; pull says the same as doctor.
func TestCertificatesThatAreNotBelieved(t *testing.T) {
	for cure, reason := range map[string]error{
		"the server's certificate has ended": x509.CertificateInvalidError{Reason: x509.Expired},
		"export SSL_CERT_FILE=":              x509.UnknownAuthorityError{},
		"the login page of a network":        x509.HostnameError{Certificate: &x509.Certificate{}, Host: "physionet.org"},
	} {
		a := advise(fmt.Errorf("the manifest: %w", &tls.CertificateVerificationError{Err: reason}))
		if a.code != exitIncomplete || !strings.Contains(a.hint, cure) || !strings.HasSuffix(a.hint, "run the same command to go on") {
			t.Errorf("advise(%v) = %+v, want %q", reason, a, cure)
		}
	}
}
