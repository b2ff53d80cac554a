package source_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

var demo = manifest.Ref{Dataset: "demo", Version: "1.0"}

// Passwords and tokens travel over TLS, or stay on this machine.
func TestSecretsTravelOverTLSOnly(t *testing.T) {
	for address, want := range map[string]bool{
		"https://physionet.org":              true,
		"https://10.0.0.1:8443":              true,
		"http://physionet.org":               false,
		"http://127.0.0.1:8080":              true,
		"http://localhost":                   true,
		"http://[::1]:80":                    true,
		"http://localhost.evil.example":      false,
		"http://127.0.0.1.evil.example":      false,
		"ftp://localhost":                    false,
		"http://physionet.org@127.0.0.1":     true,
		"http://127.0.0.1@physionet.example": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := source.MayCarrySecrets(u); got != want {
			t.Errorf("MayCarrySecrets(%s) = %v, want %v", address, got, want)
		}
	}
}

// Stores hold some files packed. Those whose name says so are published that way.
func TestAFileIsUnpackedUnlessItsNameSaysSo(t *testing.T) {
	for _, test := range []struct {
		name, encoding string
		want           source.Packing
	}{
		{"hosp/admissions.csv.gz", "gzip", source.AsPublished},
		{"hosp/admissions.csv", "gzip", source.Gzipped},
		{"notes.TGZ", "x-gzip", source.AsPublished},
		{"LICENSE.txt", "", source.AsPublished},
		{"LICENSE.txt", "aws-chunked", source.AsPublished},
		{"LICENSE.txt", "aws-chunked, gzip", source.Gzipped},
		{"LICENSE.txt", "br", source.OddlyPacked},
		{"a.br", "br", source.AsPublished},
	} {
		if got := source.PackingOf(test.name, test.encoding); got != test.want {
			t.Errorf("PackingOf(%s, %q) = %v, want %v", test.name, test.encoding, got, test.want)
		}
	}
}

// Refusals name who refused what to whom, and are told apart by type.
func TestRefusalsSayWhatAPersonNeeds(t *testing.T) {
	proxy := &url.URL{Scheme: "http", Host: "proxy.example:3128", User: url.UserPassword("me", "hunter2")}
	request := &http.Request{Host: "physionet.org:443"}
	if err := source.RefusedByProxy(t.Context(), proxy, request, &http.Response{StatusCode: http.StatusOK}); err != nil {
		t.Errorf("a proxy that connects: %v", err)
	}
	refused := source.RefusedByProxy(t.Context(), proxy, request, &http.Response{StatusCode: http.StatusProxyAuthRequired})
	for _, test := range []struct {
		err  error
		says []string
	}{
		{refused, []string{"http://proxy.example:3128", "physionet.org:443", "407"}},
		{&source.StatusError{URL: "https://physionet.org/files/", Code: 503}, []string{"https://physionet.org/files/", "503"}},
		{&source.AccessError{Denial: source.NoCredentials, Ref: demo, Source: "physionet"}, []string{"physionet", "demo@1.0"}},
		{&source.AccessError{Denial: source.BadCredentials, Ref: demo, Source: "physionet", User: "marie", From: "netrc"}, []string{"marie", "netrc"}},
		{&source.AccessError{Denial: source.UnknownVersion, Ref: demo, Source: "physionet"}, []string{"demo"}},
		{&source.NotPublishedError{Ref: demo, Source: "physionet"}, []string{"demo@1.0", "not published yet"}},
		{&source.PortalError{Asked: "https://physionet.org/", Host: "wifi.example", Why: "which sends a web page"}, []string{"https://physionet.org/", "wifi.example"}},
		{&source.EncodingError{Encoding: "br"}, []string{"br"}},
	} {
		for _, want := range test.says {
			if text := test.err.Error(); !strings.Contains(text, want) || strings.Contains(text, "hunter2") {
				t.Errorf("%T: %q, want %q in it and no password", test.err, text, want)
			}
		}
	}
	unpublished := &source.NotPublishedError{Ref: demo}
	if !errors.Is(unpublished, source.ErrNotExist) || !errors.Is(unpublished, source.ErrNotPublished) {
		t.Error("what is not published yet is there")
	}
}
