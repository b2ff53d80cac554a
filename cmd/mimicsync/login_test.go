package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/downloader/lookalike"
)

// plainSite is a look-alike without TLS, so that its certificate need not be
// trusted, with the closed dataset demo@1.0 and the user marie.
func plainSite(t *testing.T) *httptest.Server {
	t.Helper()
	files := lookalike.Generated(demoContent)
	site := lookalike.New(lookalike.Project{Slug: "demo", Title: "Demo", Policy: lookalike.Credentialed, Versions: []lookalike.Version{
		{Version: "1.0", Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()},
	}})
	site.PlainBasic = true
	site.AddUser(lookalike.User{Name: "marie", Password: "hunter2", Credentialed: true, Signed: []string{"demo@1.0"}})
	h := httptest.NewServer(site)
	t.Cleanup(func() {
		site.Close()
		h.Close()
	})
	return h
}

// privately keeps a test from what the account of whoever runs it has.
func privately(t *testing.T, url string) (home string) {
	t.Helper()
	home = t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"), "NETRC": filepath.Join(home, "none"),
		"PHYSIONET_USERNAME": "", "PHYSIONET_PASSWORD": "", "MIMICSYNC_CONFIG": "", "MIMICSYNC_MIRROR": filepath.Join(home, "mirror"),
		"MIMICSYNC_PHYSIONET_URL": url, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
	} {
		t.Setenv(name, value)
	}
	return home
}

// typeIn makes text the standard input.
func typeIn(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = f
	t.Cleanup(func() {
		os.Stdin = before
		_ = f.Close()
	})
}

// wantRun runs a command line and returns what it said.
func wantRun(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if got := run(t.Context(), args, &out, &out); got != code {
		t.Fatalf("mimicsync %s: exit code %d, want %d:\n%s", strings.Join(args, " "), got, code, &out)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("mimicsync %s tells the password:\n%s", strings.Join(args, " "), &out)
	}
	return out.String()
}

// Where there is a keyring, login, pull and logout agree on it, and no file
// has the password.
func TestLoginByKeyring(t *testing.T) {
	keyring.MockInit()
	site := plainSite(t)
	home := privately(t, site.URL)
	typeIn(t, "hunter2\r\n")
	if said := wantRun(t, advice.ExitOK, "login", "--username", "marie", "--password-stdin"); !strings.Contains(said, "saved in the system's keyring") {
		t.Errorf("login said:\n%s", said)
	}
	wantRun(t, advice.ExitOK, "pull", "demo", "-q")
	if err := filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("hunter2")) {
			t.Errorf("%s has the password", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if said := wantRun(t, advice.ExitOK, "logout"); !strings.Contains(said, "removed from the system's keyring\n") {
		t.Errorf("logout said:\n%s", said)
	}
	if said := wantRun(t, advice.ExitAccess, "pull", "demo", "-q"); !strings.Contains(said, "none was found") {
		t.Errorf("pull after logout said:\n%s", said)
	}
}

// A password that has changed since is told with its place and its cure.
func TestKeyringHasTheFormerPassword(t *testing.T) {
	keyring.MockInit()
	site := plainSite(t)
	privately(t, site.URL)
	host := strings.TrimPrefix(site.URL, "http://")
	if err := keyring.Set("mimicsync", host, "machine "+host+" login marie password radium"); err != nil {
		t.Fatal(err)
	}
	said := wantRun(t, advice.ExitAccess, "pull", "demo", "-q")
	for _, want := range []string{`the user "marie" with the password from the system's keyring`, "enter them again: mimicsync login"} {
		if !strings.Contains(said, want) {
			t.Errorf("pull said:\n%s\nwant %q", said, want)
		}
	}
}
