package physionet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
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
func fetch(ctx context.Context, s source.Source, path string) ([]byte, error) {
	o, err := s.Open(ctx, source.Request{Ref: demo, Path: path})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(o.Body)
	return b, errors.Join(err, o.Body.Close())
}

func mustFetch(t *testing.T, s source.Source, path string) []byte {
	t.Helper()
	b, err := fetch(t.Context(), s, path)
	if err != nil {
		t.Fatalf("Open(%s) = %v, want <nil>", path, err)
	}
	return b
}

// fetchAll fetches data/0.csv to data/n.csv from several goroutines.
func fetchAll(t *testing.T, s source.Source, n, goroutines int) {
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
		o, err := s.Open(t.Context(), source.Request{Ref: demo, Path: "data/0.csv", Offset: 500})
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
	o, err := s.Open(t.Context(), source.Request{Ref: demo, Path: "data/0.csv"})
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
