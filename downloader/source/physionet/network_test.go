package physionet_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

// PhysioNet under another name is said in one request, and the account is never
// blamed.
func TestAnotherAddress(t *testing.T) {
	site, right := serveSite(t, restricted(project(1)))
	addAlice(site, demo.String())
	www, url := serveSite(t)
	www.Canonical = byName(right)
	s := newSource(t, physionet.Options{URL: url, Credentials: account})
	_, latest := s.Latest(t.Context(), "demo")
	_, opened := fetch(t.Context(), s, manifest.Name)
	_, identified := s.Identify(t.Context(), demo)
	_, listed := s.Published(t.Context())
	for what, err := range map[string]error{"Latest": latest, "Open": opened, "Identify": identified, "Published": listed} {
		if e := accessError(t, err); e.Denial != source.Moved || e.Page != byName(right) || !strings.Contains(err.Error(), "redirects to "+byName(right)) {
			t.Errorf("%s = %v, want the address %s", what, err, byName(right))
		}
		noSecret(t, err)
	}
	if n := len(www.Requests()); n != 4 {
		t.Errorf("%d requests, want one for each question", n)
	}
	if n := len(site.Requests()); n != 0 {
		t.Errorf("%d requests to the other address, want none", n)
	}
}

// A network's login page in between is named, wherever it shows.
func TestPortal(t *testing.T) {
	portal := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Welcome, guest")
	}))
	away := serve(t, http.NotFoundHandler())
	for name, to := range map[string]string{
		"without TLS": "http://portal.example/login?from=physionet.org", "a page": byName(portal.URL) + "/login", "nothing there": byName(away.URL) + "/x",
	} {
		t.Run(name, func(t *testing.T) {
			hs := serve(t, http.RedirectHandler(to, http.StatusFound))
			s := newSource(t, physionet.Options{URL: hs.URL, Credentials: account})
			_, opened := fetch(t.Context(), s, "data/0.csv")
			_, latest := s.Latest(t.Context(), "demo")
			for what, err := range map[string]error{"Open": opened, "Latest": latest} {
				e, ok := errors.AsType[*source.PortalError](err)
				if !ok || !strings.Contains(to, "//"+e.Host+"/") || !strings.Contains(err.Error(), e.Host) {
					t.Errorf("%s = %v, want that %s stands in between", what, err, to)
				}
			}
		})
	}
}

func TestLatestIsRedirectedFurther(t *testing.T) {
	for hops, want := range map[int]string{0: "3.2", 1: "3.2", 4: "3.2", 9: ""} {
		hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n := strings.Count(r.URL.Path, "/en"); n < hops {
				http.Redirect(w, r, "/en"+r.URL.Path, http.StatusMovedPermanently)
				return
			}
			http.Redirect(w, r, "/content/demo/3.2/", http.StatusFound)
		}))
		got, err := newSource(t, physionet.Options{URL: hs.URL}).Latest(t.Context(), "demo")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Latest over %d redirects = %q, %v, want %q", hops, got, err, want)
		}
	}
}

// A proxy that refuses to connect is named, with its status.
func TestProxyRefuses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts this test again, with a proxy in the environment")
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) }))
	t.Cleanup(proxy.Close)
	out := again(t, "TestBehindProxy", "HTTPS_PROXY="+strings.Replace(proxy.URL, "://", "://me:"+marker+"@", 1))
	if host := strings.TrimPrefix(proxy.URL, "http://"); !strings.Contains(out, host) || !strings.Contains(out, "504") || strings.Contains(out, marker) {
		t.Errorf("behind a proxy that answers 504: %s, want that it is named", out)
	}
}

// TestBehindProxy is for TestProxyRefuses.
func TestBehindProxy(t *testing.T) {
	if os.Getenv(startedAgain) == "" {
		t.Skip("it needs a proxy in the environment")
	}
	s := newSource(t, physionet.Options{URL: "https://physionet.example"})
	_, opened := fetch(t.Context(), s, manifest.Name)
	_, latest := s.Latest(t.Context(), "demo")
	for what, err := range map[string]error{"Open": opened, "Latest": latest} {
		if e, ok := errors.AsType[*source.ProxyError](err); !ok || e.Host != "physionet.example:443" {
			t.Errorf("%s = %v, want a ProxyError", what, err)
		}
		t.Log(err)
	}
}

// The connection of a refusal serves the next request, also where its body has no
// length; one that does not end costs its connection, and little time.
func TestRefusalsKeepTheConnection(t *testing.T) {
	for _, code := range []int{401, 403, 404, 429, 503} {
		var conns sync.Map // by the client's port
		hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conns.Store(r.RemoteAddr, nil)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, strings.Repeat("x", 3000))
			_ = http.NewResponseController(w).Flush() // in chunks
			_, _ = io.WriteString(w, "the end")
		}))
		s := newSource(t, physionet.Options{URL: hs.URL})
		for range 5 {
			_, _ = fetch(t.Context(), s, "data/0.csv")
			_, _ = s.Latest(t.Context(), "demo")
			_, _ = s.Identify(t.Context(), demo)
		}
		n := 0
		for range conns.Range {
			n++
		}
		if n != 1 {
			t.Errorf("%d connections for requests that are refused with %d, want 1", n, code)
		}
	}
}

func TestARefusalWithoutEnd(t *testing.T) {
	hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := fetch(ctx, newSource(t, physionet.Options{URL: hs.URL}), "data/0.csv")
	if status, ok := errors.AsType[*source.StatusError](err); !ok || status.Code != 502 || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %s, want a 502 soon", err, time.Since(start))
	}
}
