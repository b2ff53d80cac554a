package physionet_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

// withAccount matches requests that bring an account.
func withAccount(r *http.Request) bool { return r.Header.Get("Authorization") != "" }

func accessError(t *testing.T, err error) *source.AccessError {
	t.Helper()
	e, ok := errors.AsType[*source.AccessError](err)
	if !ok {
		t.Fatalf("%v, want an AccessError", err)
	}
	return e
}

// A login service that says no once, to an account that it has accepted, is asked
// again at once, and the session goes on.
func TestOneRefusalAmongGoodAnswers(t *testing.T) {
	site, url := serveSite(t, restricted(project(30)))
	addAlice(site, demo.String())
	s := newSource(t, physionet.Options{URL: url, Credentials: account, Connections: 4})
	mustFetch(t, s, manifest.Name)
	before := site.Counters()
	no := site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 401, Match: withAccount, Skip: 7, Times: 1})
	fetchAll(t, s, 30, 4)
	after := site.Counters()
	if no.Struck() != 1 || after.Requests-before.Requests != 31 {
		t.Errorf("%d refusals, %d requests for 30 files, want 1 and 31", no.Struck(), after.Requests-before.Requests)
	}
	if n := after.PasswordChecks - before.PasswordChecks; n > 4 { // one for each connection under way, at most
		t.Errorf("%d password checks for 30 files with one refusal, want at most 4", n)
	}
}

// The same for a dataset that needs no account.
func TestOneRefusalOfAnOpenDataset(t *testing.T) {
	site, url := serveSite(t, project(20))
	s := newSource(t, physionet.Options{URL: url, Find: func(context.Context) (physionet.Credentials, error) {
		t.Error("an account is looked for")
		return physionet.Credentials{}, nil
	}})
	mustFetch(t, s, manifest.Name)
	for range 2 {
		site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 401, Skip: 5, Times: 1})
		fetchAll(t, s, 20, 1)
	}
	always := site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 401, Path: "/files/**"})
	s = newSource(t, physionet.Options{URL: url})
	for i := range 3 {
		_, err := fetch(t.Context(), s, fmt.Sprintf("data/%d.csv", i))
		if e := accessError(t, err); e.Denial != source.NoCredentials || e.Sure {
			t.Errorf("%+v, want that a user is asked for, and nobody is sure", e)
		}
	}
	if always.Struck() != 3 {
		t.Errorf("%d requests for 3 files that were never open to all, want 3", always.Struck())
	}
}

// Where the login service goes on saying no, each request that is refused is asked
// once; a few seconds later the same account is good again.
func TestALoginServiceInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, s := pipedSite(t, restricted(project(8)))
		addAlice(site, demo.String())
		mustFetch(t, s, manifest.Name)
		sick := site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 401, Match: withAccount, Path: "/files/**"})
		for i := range 8 {
			_, err := fetch(t.Context(), s, fmt.Sprintf("data/%d.csv", i))
			if e := accessError(t, err); e.Denial != source.BadCredentials || e.Sure || e.User != "alice" {
				t.Errorf("file %d while the login service is in trouble: %+v, want that nobody is sure", i, e)
			}
		}
		if n := sick.Struck(); n != 2 {
			t.Errorf("the account was sent %d times within no time, want 2", n)
		}
		sick.Remove()
		time.Sleep(1500 * time.Millisecond)
		fetchAll(t, s, 8, 2)
	})
}

// Where the API says so too, it is no hiccup.
func TestARefusalThatTheAPIConfirms(t *testing.T) {
	site, url := serveSite(t, restricted(project(2)))
	addAlice(site, demo.String())
	s := newSource(t, physionet.Options{URL: url, Credentials: account})
	mustFetch(t, s, manifest.Name)
	site.SetPassword("alice", "another one")
	_, err := fetch(t.Context(), s, "data/1.csv")
	if e := accessError(t, err); e.Denial != source.BadCredentials || !e.Sure {
		t.Errorf("after the password was changed: %+v, want that it is sure", e)
	}
}

// A look at a refused version costs one request, and finding out why as many
// however many connections were refused.
func TestARefusalIsLookedIntoOnce(t *testing.T) {
	site, url := serveSite(t, restricted(project(9)))
	addAlice(site)
	s := newSource(t, physionet.Options{URL: url, Credentials: account, Connections: 9})
	_, err := fetch(t.Context(), s, manifest.Name)
	if e := accessError(t, err); e.Denial != source.Forbidden || !e.Sure || e.Cause != "" {
		t.Errorf("an unsigned agreement = %+v, want it to be sure", e)
	}
	if n := len(site.Requests()); n != 4 { // nobody, the account, the page, the API
		t.Errorf("%d requests, want 4", n)
	}
	site.Reset()
	var wg sync.WaitGroup
	for i := range 9 {
		wg.Go(func() {
			_, err := fetch(t.Context(), s, fmt.Sprintf("data/%d.csv", i))
			if e := accessError(t, err); !e.Sure {
				t.Errorf("file %d: %+v, want it to be sure", i, e)
			}
		})
	}
	wg.Wait()
	if n := len(site.Requests()); n != 9 {
		t.Errorf("%d requests for 9 files that are refused, want 9", n)
	}

	// Who signs gets them at once; and where that ends, it is looked into again.
	site.Sign("alice", "demo", "1.0")
	mustFetch(t, s, "data/3.csv")
	site.UpdateUser("alice", func(u *lookalike.User) { u.Signed = nil })
	site.Reset()
	_, err = fetch(t.Context(), s, "data/4.csv")
	if e := accessError(t, err); !e.Sure || len(site.Requests()) != 3 {
		t.Errorf("after the agreement has ended: %+v in %d requests, want it sure in 3", e, len(site.Requests()))
	}
}

// What a refusal is for is asked anew about every hour, and when nothing was found
// after some minutes.
func TestADiagnosisAges(t *testing.T) {
	for _, test := range []struct {
		name       string
		sick       bool // the API and the pages
		fresh, old time.Duration
	}{
		{"sure", false, 55 * time.Minute, 10 * time.Minute},
		{"unknown", true, 4 * time.Minute, 2 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site, s := pipedSite(t, restricted(project(1)))
				addAlice(site)
				if test.sick {
					site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 502, Path: "/content/**"})
					site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 403, Path: "/api/**"}) // a firewall's page
				}
				for _, step := range []struct {
					wait time.Duration
					want int64
				}{{0, 4}, {test.fresh, 1}, {test.old, 3}} {
					time.Sleep(step.wait)
					before := site.Counters().Requests
					_, err := fetch(t.Context(), s, manifest.Name)
					if e := accessError(t, err); e.Sure == test.sick {
						t.Errorf("after %s: %+v, want it sure: %t", step.wait, e, !test.sick)
					}
					if n := site.Counters().Requests - before; n != step.want {
						t.Errorf("after %s: %d requests, want %d", step.wait, n, step.want)
					}
				}
			})
		})
	}
}

// A page and an API that never answer hold nobody up.
func TestADiagnosisThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, s := pipedSite(t, restricted(project(1)))
		addAlice(site)
		site.Inject(lookalike.Fault{Kind: lookalike.Delay, Path: "/content/**"})
		start := time.Now()
		_, err := fetch(t.Context(), s, manifest.Name)
		if e := accessError(t, err); e.Denial != source.Forbidden || e.Sure || time.Since(start) > 15*time.Second {
			t.Errorf("%+v after %s, want a plain refusal within 15 s", e, time.Since(start))
		}
		site.Close() // ends the delay
	})
}

// Access is right and the files are refused all the same, without a word on the
// page: nobody is told to sign.
func TestARefusalThatNobodyExplains(t *testing.T) {
	site, url := serveSite(t, restricted(project(2)))
	addAlice(site, demo.String())
	site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 403, Match: withAccount, Path: "/files/**"})
	_, err := fetch(t.Context(), newSource(t, physionet.Options{URL: url, Credentials: account}), "data/0.csv")
	e := accessError(t, err)
	if e.Cause != source.CauseUnexplained || e.Sure || e.Page != url+"/content/demo/1.0/" || !strings.Contains(e.Error(), "alice") {
		t.Errorf("%+v, want that it is unexplained", e)
	}
}

func TestContributorReview(t *testing.T) {
	p := project(1)
	p.Policy = lookalike.ContributorReview
	site, url := serveSite(t, p)
	addAlice(site)
	_, err := fetch(t.Context(), newSource(t, physionet.Options{URL: url, Credentials: account}), manifest.Name)
	if e := accessError(t, err); e.Cause != source.CauseReview || !e.Sure || e.Page != url+"/request-access-status/demo/1.0/" {
		t.Errorf("%+v, want the page of the request", e)
	}
}

// The newest version's page has other words for what was withdrawn, and an open
// dataset is withdrawn as well.
func TestWithdrawn(t *testing.T) {
	p := project(1)
	old := p.Versions[0]
	old.Version = "0.9"
	p.Versions = append(p.Versions, old)
	for i := range p.Versions {
		p.Versions[i].Deprecated = true
	}
	_, url := serveSite(t, p)
	for _, version := range []string{"1.0", "0.9"} {
		s := newSource(t, physionet.Options{URL: url})
		_, err := s.Open(t.Context(), source.Request{Ref: manifest.Ref{Dataset: "demo", Version: version}, Path: "data/0.csv"})
		if e := accessError(t, err); e.Cause != source.CauseWithdrawn || !e.Sure || e.Denial != source.Forbidden {
			t.Errorf("demo@%s = %+v, want withdrawn", version, e)
		}
	}
}

// Cookies that pile up, by the fault of a balancer, are dropped before a server
// refuses them, and when it does.
func TestCookiesPileUp(t *testing.T) {
	for _, test := range []struct{ size, limit int }{{90, 3000}, {12, 800}, {900, 6000}, {1900, 2500}} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			site, url := serveSite(t, restricted(project(150)))
			site.ExtraCookie, site.CookieLimit = test.size, test.limit
			addAlice(site, demo.String())
			s := newSource(t, physionet.Options{URL: url, Credentials: account, Connections: 4})
			mustFetch(t, s, manifest.Name)
			fetchAll(t, s, 150, 4)
		})
	}
}

// A header that is too large is so at once where a session's cookies are.
func TestHeadersTooLarge(t *testing.T) {
	site, url := serveSite(t, restricted(project(3)))
	addAlice(site, demo.String())
	s := newSource(t, physionet.Options{URL: url, Credentials: account})
	mustFetch(t, s, manifest.Name)
	large := site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 431, Match: func(r *http.Request) bool { return r.Header.Get("Cookie") != "" }, Times: 1})
	fetchAll(t, s, 3, 1)
	if large.Struck() != 1 {
		t.Error("no request with cookies was refused")
	}
	// Without cookies it is about something else, and is not asked again.
	site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 400})
	site.Reset()
	_, err := fetch(t.Context(), s, "data/0.csv")
	if status, ok := errors.AsType[*source.StatusError](err); !ok || status.Code != 400 || len(site.Requests()) != 1 {
		t.Errorf("a bad request: %v in %d requests, want a 400 in one", err, len(site.Requests()))
	}
}
