package physionet_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

// marker is the secret that must not be seen anywhere.
const marker = "hunter2MARKER"

// noSecret looks for the marker in whatever can be printed of an error.
func noSecret(t *testing.T, err error) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
		if text := fmt.Sprintf(verb, err); strings.Contains(text, marker) {
			t.Errorf("an error shows the secret with %s: %s", verb, text)
		}
	}
}

func TestNothingPrintsThePassword(t *testing.T) {
	_, url := serveSite(t, project(1))
	o := physionet.Options{URL: url, Credentials: account}
	s := newSource(t, o)
	mustFetch(t, s, manifest.Name)
	for name, v := range map[string]any{
		"Credentials": account, "*Credentials": &account, "[]Credentials": []physionet.Credentials{account},
		"Options": o, "*Options": &o, "*Source": s, "struct with *Source": struct{ s *physionet.Source }{s},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, marker) {
				t.Errorf("Sprintf(%q, %s) shows the password: %s", verb, name, text)
			}
		}
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		if strings.Contains(out.String(), marker) {
			t.Errorf("a log of %s shows the password: %s", name, &out)
		}
	}
}

// recorder remembers the headers that a host was sent.
type recorder struct {
	next http.Handler

	mu      sync.Mutex
	headers []http.Header
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	r.headers = append(r.headers, request.Header.Clone())
	r.mu.Unlock()
	r.next.ServeHTTP(w, request)
}

// secrets counts the requests with an Authorization and those with a cookie.
func (r *recorder) secrets() (requests, authorized, cookies int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.headers {
		if h.Get("Authorization") != "" {
			authorized++
		}
		if h.Get("Cookie") != "" {
			cookies++
		}
	}
	return len(r.headers), authorized, cookies
}

// redirecting is a restricted site that sends those it knows for data/0.csv
// somewhere else.
func redirecting(t *testing.T, to string) *physionet.Source {
	t.Helper()
	site := lookalike.New(restricted(project(2)))
	addAlice(site, demo.String())
	hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "data/0.csv") {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		site.ServeHTTP(w, r)
	}))
	s := newSource(t, physionet.Options{URL: hs.URL, Credentials: account})
	mustFetch(t, s, manifest.Name) // from here on, credentials and cookies go with every request
	return s
}

func TestRedirectToAnotherHost(t *testing.T) {
	other := &recorder{next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("bytes")) })}
	target := serve(t, other)
	s := redirecting(t, byName(target.URL)+"/bucket/0.csv")
	if got := mustFetch(t, s, "data/0.csv"); string(got) != "bytes" {
		t.Errorf("the redirect led to %q, want bytes", got)
	}
	mustFetch(t, s, "data/1.csv")
	if n, authorized, cookies := other.secrets(); n != 1 || authorized != 0 || cookies != 0 {
		t.Errorf("the other host got %d requests, %d with Authorization, %d with cookies, want 1, 0, 0", n, authorized, cookies)
	}
}

// Another port is another server.
func TestRedirectToAnotherPort(t *testing.T) {
	other := &recorder{next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("bytes")) })}
	s := redirecting(t, serve(t, other).URL+"/0.csv")
	mustFetch(t, s, "data/0.csv")
	if n, authorized, _ := other.secrets(); n != 1 || authorized != 0 {
		t.Errorf("the other port got %d requests, %d with Authorization, want 1, 0", n, authorized)
	}
}

func TestRedirectWithinTheHost(t *testing.T) {
	s := redirecting(t, "/files/demo/1.0/data/1.csv")
	if got, want := mustFetch(t, s, "data/0.csv"), mustFetch(t, s, "data/1.csv"); !bytes.Equal(got, want) {
		t.Errorf("the redirect led to %d bytes, want the %d of data/1.csv", len(got), len(want))
	}
}

func TestRedirectToPlainHTTP(t *testing.T) {
	t.Run("another host", func(t *testing.T) {
		s := redirecting(t, "http://user:"+marker+"@192.0.2.1/0.csv?token="+marker)
		_, err := fetch(t.Context(), s, "data/0.csv")
		if err == nil || !strings.Contains(err.Error(), "without https") {
			t.Errorf("Open = %v, want an error that says why", err)
		}
		noSecret(t, err)
	})
	t.Run("this machine", func(t *testing.T) {
		other := &recorder{next: http.NotFoundHandler()}
		plain := httptest.NewServer(other)
		defer plain.Close()
		s := redirecting(t, plain.URL+"/0.csv")
		_, err := fetch(t.Context(), s, "data/0.csv")
		if n, _, _ := other.secrets(); n != 0 {
			t.Errorf("Open followed a redirect from https to %s (%v), want it refused", plain.URL, err)
		}
	})
}

func TestRedirectsEnd(t *testing.T) {
	s := redirecting(t, "/files/demo/1.0/data/0.csv")
	if _, err := fetch(t.Context(), s, "data/0.csv"); err == nil || !strings.Contains(err.Error(), "too many redirects") {
		t.Errorf("Open = %v, want too many redirects", err)
	}
}

// A server may redirect to a signed address: its query is as good as a
// password, and belongs into no log.
func TestErrorsHideQueries(t *testing.T) {
	dead := serve(t, http.NotFoundHandler())
	dead.Close()
	for name, to := range map[string]string{
		"unreachable":     dead.URL + "/0.csv?X-Signature=" + marker,
		"not found":       serve(t, http.NotFoundHandler()).URL + "/0.csv?X-Signature=" + marker,
		"password in URL": strings.Replace(dead.URL, "https://", "https://user:"+marker+"@", 1) + "/0.csv",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fetch(t.Context(), redirecting(t, to), "data/0.csv")
			if err == nil {
				t.Fatal("Open = <nil>, want an error")
			}
			noSecret(t, err)
		})
	}
}

func TestErrorsHideThePassword(t *testing.T) {
	site, url := serveSite(t, restricted(project(2)))
	addAlice(site, demo.String())
	s := newSource(t, physionet.Options{URL: url, Credentials: account})
	mustFetch(t, s, manifest.Name)
	for _, f := range []lookalike.Fault{
		{Kind: lookalike.Reset, After: -1},
		{Kind: lookalike.Reset, After: 10},
		{Kind: lookalike.ShortBody, After: 10},
		{Kind: lookalike.Status, Code: 500},
		{Kind: lookalike.Status, Code: 401},
		{Kind: lookalike.Status, Code: 403},
		{Kind: lookalike.Status, Code: 404},
		{Kind: lookalike.Status, Code: 429, RetryAfter: "1"},
		{Kind: lookalike.HTMLPage},
	} {
		site.ClearFaults()
		site.Inject(f)
		_, err := fetch(t.Context(), s, "data/0.csv")
		if err == nil {
			t.Errorf("Open with fault %d = <nil>, want an error", f.Kind)
		}
		noSecret(t, err)
	}
	site.ClearFaults()
	site.Inject(lookalike.Fault{Kind: lookalike.Reset, After: -1})
	_, err := s.Latest(t.Context(), "demo")
	noSecret(t, err)
	if err == nil || !strings.Contains(err.Error(), "/content/demo/") {
		t.Errorf("Latest = %v, want it to name the page", err)
	}
	_, err = s.PublishedSize(t.Context(), demo)
	noSecret(t, err)
}
