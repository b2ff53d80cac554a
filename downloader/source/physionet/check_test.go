package physionet_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

func mimicIII() lookalike.Project {
	p := restricted(project(1))
	p.Slug, p.Versions[0].Version = "mimiciii", "1.4"
	return p
}

func iv() lookalike.Project {
	p := project(1)
	p.Slug, p.Versions[0].Version = "mimic-iv-demo", "2.2"
	return p
}

// One request says whether an account is right, whatever it may read and
// whatever the server has.
func TestIdentify(t *testing.T) {
	closed := restricted(iv())
	for _, test := range []struct {
		name    string
		project lookalike.Project
	}{
		{"open", iv()},
		{"agreement unsigned", closed},
		{"no such dataset", project(1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			site, url := serveSite(t, test.project)
			addAlice(site)
			who, err := newSource(t, physionet.Options{URL: url, Credentials: account}).Identify(t.Context(), manifest.Ref{})
			if err != nil || who.User != "alice" || who.From != account.From {
				t.Errorf("Identify of a right password = %+v, %v, want alice", who, err)
			}
			wrong := physionet.Credentials{User: "alice", Password: "wrong-" + marker, From: "the test"}
			_, err = newSource(t, physionet.Options{URL: url, Credentials: wrong}).Identify(t.Context(), manifest.Ref{})
			wantRefused(t, err, url)
			if got := len(site.Requests()); got != 2 {
				t.Errorf("%d requests for two checks, want 2", got)
			}
			if c := site.Counters(); c.PasswordChecks != 2 {
				t.Errorf("%d password checks, want 2", c.PasswordChecks)
			}
		})
	}
}

func wantRefused(t *testing.T, err error, url string) {
	t.Helper()
	access, ok := errors.AsType[*source.AccessError](err)
	if !ok || access.Denial != source.BadCredentials || access.User != "alice" || access.From != "the test" || access.Page != url+"/login/" {
		t.Errorf("Identify of a wrong password = %v, want it refused", err)
	}
	noSecret(t, err)
}

// A server of before 2025 is asked by way of a dataset.
func TestIdentifyWithoutAPI(t *testing.T) {
	site := lookalike.New(mimicIII())
	addAlice(site)
	hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		site.ServeHTTP(w, r)
	}))
	t.Cleanup(site.Close)
	if _, err := newSource(t, physionet.Options{URL: hs.URL, Credentials: account}).Identify(t.Context(), manifest.Ref{}); err != nil {
		t.Errorf("Identify of a right password = %v, want <nil>", err)
	}
	wrong := physionet.Credentials{User: "alice", Password: "wrong-" + marker, From: "the test"}
	_, err := newSource(t, physionet.Options{URL: hs.URL, Credentials: wrong}).Identify(t.Context(), manifest.Ref{})
	wantRefused(t, err, hs.URL)
}

// What does not say whether the password is right is no yes, and no no.
func TestIdentifyThatTellsNothing(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked for, with %q", r.URL, r.Header.Get("Authorization"))
	}))
	t.Cleanup(other.Close)
	for _, test := range []struct {
		name   string
		answer func(http.ResponseWriter)
		want   string
	}{
		{"a page", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>Welcome to the hospital's network")
		}, "doesn't say"},
		{"a page that forbids", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusForbidden)
		}, "doesn't say"},
		{"no such page", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNotFound)
		}, "doesn't say"},
		{"another server", func(w http.ResponseWriter) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(http.StatusMovedPermanently)
		}, "redirects to"},
		{"busy", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, "status 503"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { test.answer(w) }))
			_, err := newSource(t, physionet.Options{URL: hs.URL, Credentials: account}).Identify(t.Context(), manifest.Ref{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Identify = %v, want %q", err, test.want)
			}
			if _, access := errors.AsType[*source.AccessError](err); access {
				t.Errorf("Identify = %v, want no AccessError", err)
			}
			noSecret(t, err)
		})
	}
}

func TestIdentifyWithoutAccount(t *testing.T) {
	site, url := serveSite(t, iv())
	_, err := newSource(t, physionet.Options{URL: url}).Identify(t.Context(), manifest.Ref{})
	if access, ok := errors.AsType[*source.AccessError](err); !ok || access.Denial != source.NoCredentials {
		t.Errorf("Identify = %v, want NoCredentials", err)
	}
	if got := len(site.Requests()); got != 0 {
		t.Errorf("%d requests, want none", got)
	}
}

// Nobody looks for an account, in a keyring that may ask a person to unlock it,
// before the server wants one; and then once.
func TestAccountIsLookedForWhenAsked(t *testing.T) {
	var calls atomic.Int64
	find := func(context.Context) (physionet.Credentials, error) {
		calls.Add(1)
		return account, nil
	}
	_, open := serveSite(t, project(3))
	s := newSource(t, physionet.Options{URL: open, Find: find})
	mustFetch(t, s, manifest.Name)
	fetchAll(t, s, 3, 1)
	if got := calls.Load(); got != 0 {
		t.Errorf("%d looks for an account of an open dataset, want none", got)
	}

	site, closed := serveSite(t, restricted(project(8)))
	addAlice(site, demo.String())
	s = newSource(t, physionet.Options{URL: closed, Find: find, Connections: 8})
	var wg sync.WaitGroup
	for range 8 { // which are all refused at once
		wg.Go(func() { _, _ = fetch(t.Context(), s, manifest.Name) })
	}
	wg.Wait()
	fetchAll(t, s, 8, 4)
	if got := calls.Load(); got != 1 {
		t.Errorf("%d looks for an account, want 1", got)
	}
}

func TestAccountCannotBeLookedFor(t *testing.T) {
	_, url := serveSite(t, restricted(project(1)))
	broken := errors.New("the file can be read by others")
	s := newSource(t, physionet.Options{URL: url, Find: func(context.Context) (physionet.Credentials, error) {
		return physionet.Credentials{}, broken
	}})
	_, err := fetch(t.Context(), s, manifest.Name)
	access, ok := errors.AsType[*source.AccessError](err)
	if !ok || access.Denial != source.NoCredentials || !errors.Is(err, broken) || !strings.Contains(err.Error(), broken.Error()) {
		t.Errorf("Open = %v, want NoCredentials because %v", err, broken)
	}
}

// A version that nobody gets is not one whose agreement is to be signed.
func TestClosedToEverybody(t *testing.T) {
	for want, change := range map[source.Cause]func(*lookalike.Version){
		source.CauseWithdrawn: func(v *lookalike.Version) { v.Deprecated = true },
		source.CauseRegion:    func(v *lookalike.Version) { v.Georestricted = true },

		source.CauseDownloadsOff: func(v *lookalike.Version) { v.DownloadsDisabled = true },
	} {
		for _, who := range []physionet.Credentials{{}, account} {
			p := restricted(project(1))
			change(&p.Versions[0])
			site, url := serveSite(t, p)
			addAlice(site, demo.String())
			_, err := fetch(t.Context(), newSource(t, physionet.Options{URL: url, Credentials: who}), manifest.Name)
			e, ok := errors.AsType[*source.AccessError](err)
			if !ok || e.Cause != want || !e.Sure || e.Denial != source.Forbidden || !strings.HasPrefix(e.Page, url+"/content/demo/") {
				t.Errorf("Open by %q = %+v, want the cause %q", who.User, e, want)
			}
			if n := len(site.Requests()); n > 3 {
				t.Errorf("%d requests, want at most 3", n)
			}
		}
	}
}

func TestReach(t *testing.T) {
	_, url := serveSite(t, project(1))
	at, err := newSource(t, physionet.Options{URL: url}).Reach(t.Context(), manifest.Ref{})
	if ahead, known := at.Ahead(); err != nil || at.Address != url || at.Proxy != "" || !known || ahead.Abs().Minutes() > 1 {
		t.Errorf("Reach = %+v, %v, want %s and its clock", at, err, url)
	}
}
