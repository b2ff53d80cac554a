package physionet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/physionet"
	"mimicsync/manifest"
)

var demo = manifest.Ref{Dataset: "demo", Version: "1.0"}

// project is demo@1.0 with n files, data/0.csv and so on.
func project(n int) lookalike.Project {
	files := make([]lookalike.GeneratedFile, n)
	for i := range files {
		files[i] = lookalike.GeneratedFile{Path: fmt.Sprintf("data/%d.csv", i), Size: 1000}
	}
	g := lookalike.Generated(files)
	return lookalike.Project{Slug: "demo", Title: "Demo", Versions: []lookalike.Version{{
		Version: "1.0", Files: g, Manifest: g.Manifest(), Bytes: g.Bytes(),
	}}}
}

// fetch opens an object of demo@1.0 and reads it to the end.
func fetch(ctx context.Context, s downloader.Source, path string) ([]byte, error) {
	o, err := s.Open(ctx, downloader.Request{Ref: demo, Path: path})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(o.Body)
	return b, errors.Join(err, o.Body.Close())
}

func mustFetch(t *testing.T, s downloader.Source, path string) []byte {
	t.Helper()
	b, err := fetch(t.Context(), s, path)
	if err != nil {
		t.Fatalf("Open(%s) = %v, want <nil>", path, err)
	}
	return b
}

// fetchAll fetches data/0.csv to data/n.csv from several goroutines.
func fetchAll(t *testing.T, s downloader.Source, n, goroutines int) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range goroutines {
		wg.Go(func() {
			for i := range next {
				if _, err := fetch(t.Context(), s, fmt.Sprintf("data/%d.csv", i)); err != nil {
					t.Errorf("Open(data/%d.csv) = %v, want <nil>", i, err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

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

func TestConnectionsAreKept(t *testing.T) {
	site, url := serveSite(t, project(50))
	s := newSource(t, physionet.Options{URL: url, Connections: 4})
	mustFetch(t, s, manifest.Name)
	fetchAll(t, s, 50, 4)
	if c := site.Counters(); c.Conns > 4 || c.MaxConns > 4 {
		t.Errorf("%d connections, %d at once, for 4 goroutines, want at most 4", c.Conns, c.MaxConns)
	}
}

// A bandwidth limit is about all traffic, so every connection is dialed by
// whoever counts it.
func TestConnectionsAreDialedAsTold(t *testing.T) {
	site, url := serveSite(t, project(1))
	var dialed atomic.Int64
	s := newSource(t, physionet.Options{URL: url, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}})
	if _, err := s.Published(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Latest(t.Context(), demo.Dataset); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, s, "data/0.csv")
	if got := site.Counters().Conns; got == 0 || got != dialed.Load() {
		t.Errorf("the server saw %d connections, %d were dialed as told", got, dialed.Load())
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

func TestWire(t *testing.T) {
	site, url := serveSite(t, restricted(project(10)))
	addAlice(site, demo.String())
	s := newSource(t, physionet.Options{URL: url, Credentials: account, Connections: 4})
	mustFetch(t, s, manifest.Name)
	fetchAll(t, s, 10, 4)
	c := site.Counters()
	if n := c.Protocols["HTTP/1.1"]; n != c.Requests {
		t.Errorf("protocols = %v, want HTTP/1.1 only", c.Protocols)
	}
	want := map[string]int64{"Wget/1.21 (compatible; mimicsync/test)": c.Requests}
	if diff := cmp.Diff(want, c.UserAgents); diff != "" {
		t.Errorf("user agents (-want +got):\n%s", diff)
	}
	for _, r := range site.Requests() {
		if r.Method != "GET" {
			t.Errorf("%s %s, want GET only", r.Method, r.Path)
		}
	}
	if c.Listings != 0 {
		t.Errorf("%d listings, want none", c.Listings)
	}
}

func TestDenials(t *testing.T) {
	closed := restricted(project(1))
	tests := []struct {
		name        string
		credentials physionet.Credentials
		setup       func(*lookalike.Server)
		want        downloader.AccessError
		page        string
	}{
		{
			name: "nobody", want: downloader.AccessError{Denial: downloader.NoCredentials}, page: "/content/demo/1.0/",
		},
		{
			name: "wrong password", credentials: physionet.Credentials{User: "alice", Password: "wrong-" + marker, From: "the test"},
			want: downloader.AccessError{Denial: downloader.BadCredentials, User: "alice", From: "the test"}, page: "/login/",
		},
		{
			name: "unknown user", credentials: physionet.Credentials{User: "bob", Password: marker, From: "the test"},
			want: downloader.AccessError{Denial: downloader.BadCredentials, User: "bob", From: "the test"}, page: "/login/",
		},
		{
			name: "agreement unsigned", credentials: account,
			want: downloader.AccessError{Denial: downloader.Forbidden, User: "alice", From: "the test"}, page: "/sign-dua/demo/1.0/",
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
				got, ok := errors.AsType[*downloader.AccessError](err)
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

func TestManifestNotFound(t *testing.T) {
	p := project(1)
	p.Versions[0].Manifest = nil
	site, url := serveSite(t, p)
	s := newSource(t, physionet.Options{URL: url})

	_, err := s.Open(t.Context(), downloader.Request{Ref: demo, Path: manifest.Name})
	if _, isAccess := errors.AsType[*downloader.AccessError](err); !errors.Is(err, downloader.ErrNotExist) || isAccess {
		t.Errorf("Open of a missing manifest = %v, want ErrNotExist", err)
	}
	for _, ref := range []manifest.Ref{{Dataset: "demo", Version: "9.9"}, {Dataset: "nothing", Version: "1.0"}} {
		_, err := s.Open(t.Context(), downloader.Request{Ref: ref, Path: manifest.Name})
		access, ok := errors.AsType[*downloader.AccessError](err)
		if !ok || access.Denial != downloader.UnknownVersion || access.Ref != ref {
			t.Errorf("Open of the manifest of %s = %v, want UnknownVersion of it", ref, err)
		}
	}
	// A file that is missing asks no second question.
	before := site.Counters().Requests
	if _, err := fetch(t.Context(), s, "data/x.csv"); !errors.Is(err, downloader.ErrNotExist) {
		t.Errorf("Open(data/x.csv) = %v, want ErrNotExist", err)
	}
	if got := site.Counters().Requests - before; got != 1 {
		t.Errorf("%d requests for a missing file, want 1", got)
	}
}

// Whether a version exists cannot be told while its page cannot be had: that
// is trouble on the way, and not the answer that the manifest is missing.
func TestManifestNotFoundAndPageBroken(t *testing.T) {
	p := project(1)
	p.Versions[0].Manifest = nil
	site, url := serveSite(t, p)
	site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 502, Path: "/content/**"})
	s := newSource(t, physionet.Options{URL: url})
	_, err := fetch(t.Context(), s, manifest.Name)
	if status, ok := errors.AsType[*downloader.StatusError](err); !ok || status.Code != 502 {
		t.Errorf("Open(%s) = %v, want the 502 of the page", manifest.Name, err)
	}
}

func TestLatest(t *testing.T) {
	p := lookalike.Project{Slug: "demo", Title: "Demo", Versions: []lookalike.Version{{Version: "1.0.0"}, {Version: "1.10.0"}, {Version: "1.2.0"}}}
	site, url := serveSite(t, p)
	s := newSource(t, physionet.Options{URL: url})
	got, err := s.Latest(t.Context(), "demo")
	if err != nil || got != "1.10.0" {
		t.Errorf("Latest(demo) = %q, %v, want 1.10.0", got, err)
	}
	if n := site.Counters().Requests; n != 1 {
		t.Errorf("%d requests for the latest version, want 1", n)
	}

	_, err = s.Latest(t.Context(), "nothing")
	if access, ok := errors.AsType[*downloader.AccessError](err); !ok || access.Denial != downloader.UnknownVersion {
		t.Errorf("Latest(nothing) = %v, want UnknownVersion", err)
	}

	site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 503, RetryAfter: "7"})
	_, err = s.Latest(t.Context(), "demo")
	if status, ok := errors.AsType[*downloader.StatusError](err); !ok || status.Code != 503 || status.RetryAfter != 7*time.Second {
		t.Errorf("Latest(demo) = %v, want 503 with 7 s to wait", err)
	}
}

func TestPublishedSize(t *testing.T) {
	p := project(3)
	p.Versions[0].Bytes = 12_345_678_901
	site, url := serveSite(t, p)
	site.APIPerHour = 2
	s := newSource(t, physionet.Options{URL: url})
	got, err := s.PublishedSize(t.Context(), demo)
	if err != nil || got != 12_345_678_901 {
		t.Errorf("PublishedSize(%s) = %d, %v, want 12345678901", demo, got, err)
	}
	_, err = s.PublishedSize(t.Context(), manifest.Ref{Dataset: "demo", Version: "9.9"})
	if status, ok := errors.AsType[*downloader.StatusError](err); !ok || status.Code != 404 {
		t.Errorf("PublishedSize(demo@9.9) = %v, want 404", err)
	}
	_, err = s.PublishedSize(t.Context(), demo)
	status, ok := errors.AsType[*downloader.StatusError](err)
	if !ok || status.Code != 429 {
		t.Fatalf("PublishedSize(%s) = %v, want 429", demo, err)
	}
	if status.RetryAfter < 50*time.Minute || status.RetryAfter > time.Hour {
		t.Errorf("PublishedSize(%s): RetryAfter = %v, want what the server asked for, about an hour", demo, status.RetryAfter)
	}
}

func TestStatuses(t *testing.T) {
	tests := []struct {
		code       int
		retryAfter string
		want       time.Duration
	}{
		{429, "30", 30 * time.Second},
		{503, "", 0},
		{503, "-5", 0},
		{503, "soon", 0},
		{503, "999999999", time.Hour},
		{503, "99999999999999999999", 0},
		{502, "", 0},
		{504, "", 0},
		{500, "", 0},
		{418, "", 0},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.code, test.retryAfter), func(t *testing.T) {
			site, url := serveSite(t, project(1))
			site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: test.code, RetryAfter: test.retryAfter})
			_, err := fetch(t.Context(), newSource(t, physionet.Options{URL: url}), "data/0.csv")
			want := &downloader.StatusError{URL: url + "/files/demo/1.0/data/0.csv", Code: test.code, RetryAfter: test.want}
			got, ok := errors.AsType[*downloader.StatusError](err)
			if !ok {
				t.Fatalf("Open = %v, want %v", err, want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Open (-want +got):\n%s", diff)
			}
			if n := site.Counters().Requests; n != 1 {
				t.Errorf("%d requests, want one attempt", n)
			}
		})
	}
}

func TestWebPageIsNoData(t *testing.T) {
	site, url := serveSite(t, project(1))
	site.Inject(lookalike.Fault{Kind: lookalike.HTMLPage})
	s := newSource(t, physionet.Options{URL: url})
	for _, path := range []string{manifest.Name, "data/0.csv"} {
		if _, err := fetch(t.Context(), s, path); !errors.Is(err, downloader.ErrWebPage) {
			t.Errorf("Open(%s) = %v, want ErrWebPage", path, err)
		}
	}
}

// What the server does instead of sending the range is told by Offset, and the
// bytes are those that Offset says.
func TestOtherRanges(t *testing.T) {
	p := project(1)
	site, url := serveSite(t, p)
	s := newSource(t, physionet.Options{URL: url})
	whole := mustFetch(t, s, "data/0.csv")
	for _, test := range []struct {
		fault lookalike.Fault
		want  int64
	}{
		{lookalike.Fault{Kind: lookalike.IgnoreRange}, 0},
		{lookalike.Fault{Kind: lookalike.WrongRange, After: 300}, 300},
		{lookalike.Fault{Kind: lookalike.NoLength}, 500},
	} {
		site.ClearFaults()
		site.Inject(test.fault)
		o, err := s.Open(t.Context(), downloader.Request{Ref: demo, Path: "data/0.csv", Offset: 500})
		if err != nil {
			t.Errorf("Open with fault %d = %v, want <nil>", test.fault.Kind, err)
			continue
		}
		b, err := io.ReadAll(o.Body)
		_ = o.Body.Close()
		if err != nil || o.Offset != test.want || o.Size != 1000 || string(b) != string(whole[test.want:]) {
			t.Errorf("Open with fault %d = %d bytes from %d of %d, %v, want those from %d", test.fault.Kind, len(b), o.Offset, o.Size, err, test.want)
		}
	}
	site.ClearFaults()
	site.Inject(lookalike.Fault{Kind: lookalike.NoLength})
	o, err := s.Open(t.Context(), downloader.Request{Ref: demo, Path: "data/0.csv"})
	if err != nil {
		t.Fatalf("Open without a length = %v, want <nil>", err)
	}
	defer func() { _ = o.Body.Close() }()
	if o.Size != -1 {
		t.Errorf("Open without a length: Size = %d, want -1", o.Size)
	}
}

func TestNewRefuses(t *testing.T) {
	refused := []string{
		"http://physionet.org", "http://physionet.org:443/", "http://192.0.2.1", "http://localhost.example.com", "http://127.0.0.1.example.com",
		"ftp://physionet.org", "file:///etc/passwd", "physionet.org", "//physionet.org", "https://", "https:///files", "/files", ":", "%zz",
		"https://alice:" + marker + "@physionet.org", "https://alice@physionet.org", "http://alice:" + marker + "@127.0.0.1",
		"alice:" + marker + "@physionet.org", "https://physionet.org:" + marker, "http://physionet.org/?token=" + marker,
		"https://alice:" + marker + "%zz@physionet.org",
	}
	for _, url := range refused {
		t.Run(strings.ReplaceAll(url, "/", "_"), func(t *testing.T) {
			s, err := physionet.New(physionet.Options{URL: url})
			if err == nil {
				t.Fatalf("New(%q) = %v, want an error", url, s.URL())
			}
			noSecret(t, err)
		})
	}
	for _, url := range []string{"", "https://physionet.org", "https://physionet.org/", "https://mirror.example.com:8443/physionet", "http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000"} {
		if _, err := physionet.New(physionet.Options{URL: url}); err != nil {
			t.Errorf("New(%q) = %v, want <nil>", url, err)
		}
	}
}

// A server that closes the connection instead of an answer is told in words, with
// what was asked.
func TestAServerThatHangsUp(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(site.Close)
	s := newSource(t, physionet.Options{URL: site.URL})
	_, latest := s.Latest(t.Context(), "demo")
	_, opened := fetch(t.Context(), s, manifest.Name)
	for path, err := range map[string]error{"/content/demo/": latest, "/" + manifest.Name: opened} {
		if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), path+`": the server hung up without an answer`) {
			t.Errorf("asked for %s: %v, want that the server hung up", path, err)
		}
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
		access, ok := errors.AsType[*downloader.AccessError](err)
		if !ok || access.Denial != downloader.BadCredentials || access.From != file {
			t.Errorf("Open with the former password = %v, want that it is refused, and where it is from", err)
		}
	}
	if got := site.Counters().PasswordChecks; got != 1 {
		t.Errorf("%d password checks of a password that was refused, want 1", got)
	}
	write("changed")
	mustFetch(t, s, manifest.Name)
	fetchAll(t, s, 2, 2)
}
