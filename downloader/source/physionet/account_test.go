package physionet_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

// The server hashes a password once, and not again for each file.
func TestPasswordIsCheckedOnce(t *testing.T) {
	site, url := serveSite(t, restricted(project(50)))
	site.HashDelay = 5 * time.Millisecond
	addAlice(site, demo.String())
	s := newSource(t, physionet.Options{URL: url, Credentials: account, Connections: 4})
	mustFetch(t, s, manifest.Name)
	fetchAll(t, s, 50, 4)

	c := site.Counters()
	if c.PasswordChecks > 2 {
		t.Errorf("the server checked %d passwords for 51 files, want at most 2", c.PasswordChecks)
	}
	requests := site.Requests()
	if len(requests) != 52 { // the one that primes, the manifest, 50 files
		t.Errorf("%d requests for 51 files, want 52", len(requests))
	}
	for i, r := range requests {
		if first := i == 0; r.Authorization == first || r.Cookie == first {
			t.Errorf("request %d, %s: Authorization sent: %t, cookie sent: %t, want %t", i, r.Path, r.Authorization, r.Cookie, !first)
		}
	}
}

func TestEndedSessionCostsOneCheck(t *testing.T) {
	site, url := serveSite(t, restricted(project(3)))
	addAlice(site, demo.String())
	s := newSource(t, physionet.Options{URL: url, Credentials: account})
	mustFetch(t, s, manifest.Name)
	before := site.Counters().PasswordChecks
	site.DropSessions()
	fetchAll(t, s, 3, 1)
	if got := site.Counters().PasswordChecks - before; got != 1 {
		t.Errorf("%d password checks after the session had ended, want 1", got)
	}
}

func TestOpenProjectsNeverSeeThePassword(t *testing.T) {
	site, url := serveSite(t, project(20))
	addAlice(site)
	s := newSource(t, physionet.Options{URL: url, Credentials: account})
	mustFetch(t, s, manifest.Name)
	fetchAll(t, s, 20, 4)
	if _, err := s.Latest(t.Context(), "demo"); err != nil {
		t.Errorf("Latest(demo) = %v, want <nil>", err)
	}
	if _, err := s.PublishedSize(t.Context(), demo); err != nil {
		t.Errorf("PublishedSize(%s) = %v, want <nil>", demo, err)
	}
	_, _ = fetch(t.Context(), s, "data/missing.csv")
	_, _ = fetch(t.Context(), s, "../other/1.0/SHA256SUMS.txt")
	for _, r := range site.Requests() {
		if r.Authorization {
			t.Errorf("%s %s was sent the password", r.Method, r.Path)
		}
	}
}

func TestDenials(t *testing.T) {
	closed := restricted(project(1))
	tests := []struct {
		name        string
		credentials physionet.Credentials
		setup       func(*lookalike.Server)
		want        source.AccessError
		page        string
	}{
		{
			name: "nobody", want: source.AccessError{Denial: source.NoCredentials}, page: "/content/demo/1.0/",
		},
		{
			name: "wrong password", credentials: physionet.Credentials{User: "alice", Password: "wrong-" + marker, From: "the test"},
			want: source.AccessError{Denial: source.BadCredentials, User: "alice", From: "the test"}, page: "/login/",
		},
		{
			name: "unknown user", credentials: physionet.Credentials{User: "bob", Password: marker, From: "the test"},
			want: source.AccessError{Denial: source.BadCredentials, User: "bob", From: "the test"}, page: "/login/",
		},
		{
			name: "agreement unsigned", credentials: account,
			want: source.AccessError{Denial: source.Forbidden, User: "alice", From: "the test", Sure: true}, page: "/sign-dua/demo/1.0/",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			site, url := serveSite(t, closed)
			addAlice(site)
			s := newSource(t, physionet.Options{URL: url, Credentials: test.credentials})
			want := test.want
			want.Ref, want.Source, want.Page = demo, "physionet", url+test.page
			for _, path := range []string{manifest.Name, "data/0.csv"} {
				_, err := fetch(t.Context(), s, path)
				got, ok := errors.AsType[*source.AccessError](err)
				if !ok {
					t.Fatalf("Open(%s) = %v, want an AccessError", path, err)
				}
				if diff := cmp.Diff(&want, got); diff != "" {
					t.Errorf("Open(%s) (-want +got):\n%s", path, diff)
				}
				noSecret(t, err)
			}
		})
	}
}

// A wrong password is sent once for each request, and never twice: PhysioNet
// pays for each check.
func TestWrongPasswordIsNotSentAgain(t *testing.T) {
	site, url := serveSite(t, restricted(project(1)))
	addAlice(site, demo.String())
	s := newSource(t, physionet.Options{URL: url, Credentials: physionet.Credentials{User: "alice", Password: "wrong"}})
	_, _ = fetch(t.Context(), s, manifest.Name)
	if got := site.Counters().PasswordChecks; got != 1 {
		t.Errorf("%d password checks after one Open, want 1", got)
	}
}

// A person changes the password on PhysioNet's site, and then in the file that
// a daemon reads: it goes on without a restart, and until then sends the old
// password no more often than it must.
func TestAChangedPasswordIsLookedUpAgain(t *testing.T) {
	site, url := serveSite(t, restricted(project(2)))
	addAlice(site, demo.String())
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(password string) {
		t.Helper()
		text := "machine " + strings.TrimPrefix(url, "https://") + " login alice password " + password + "\n"
		check(os.WriteFile(file, []byte(text), 0o600))
	}
	write(marker)
	s := newSource(t, physionet.Options{URL: url, Find: physionet.Accounts{URL: url, File: file}.Find})
	mustFetch(t, s, manifest.Name)

	site.SetPassword("alice", "changed")
	site.Reset()
	for range 3 { // of which the last two look up what is known to be wrong
		_, err := fetch(t.Context(), s, manifest.Name)
		access, ok := errors.AsType[*source.AccessError](err)
		if !ok || access.Denial != source.BadCredentials || access.From != file {
			t.Errorf("Open with the former password = %v, want that it is refused, and where it is from", err)
		}
	}
	if got := site.Counters().PasswordChecks; got != 3 { // the request, the same without cookies, and the API
		t.Errorf("%d password checks of a password that was accepted before, want 3", got)
	}
	write("changed")
	mustFetch(t, s, manifest.Name)
	fetchAll(t, s, 2, 2)
}
