package physionet_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

// After Renew, nothing of the former user is left: neither the account, nor the
// session, by which the server would serve the next one as them, nor what was said
// of their access, also where a request of theirs is still on its way.
func TestRenew(t *testing.T) {
	site, url := serveSite(t, restricted(project(3)))
	addAlice(site, demo.String())
	site.AddUser(lookalike.User{Name: "bob", Password: "pw-of-bob"})
	var bob atomic.Bool
	s := newSource(t, physionet.Options{URL: url, Connections: 2, Find: func(context.Context) (physionet.Credentials, error) {
		if bob.Load() {
			return physionet.Credentials{User: "bob", Password: "pw-of-bob", From: "the test"}, nil
		}
		return account, nil
	}})
	mustFetch(t, s, manifest.Name)

	arrived, answer := make(chan struct{}), make(chan struct{})
	held := site.Inject(lookalike.Fault{Kind: lookalike.DropSession, Path: "data/0.csv", Times: 1, Match: func(*http.Request) bool {
		close(arrived)
		<-answer
		return true
	}})
	late := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), s, "data/0.csv")
		late <- err
	}()
	<-arrived
	bob.Store(true)
	s.Renew()
	close(answer) // it begins another session of alice
	if err := <-late; err != nil || held.Struck() != 1 {
		t.Errorf("the request that was under way: %v, want <nil>", err)
	}
	for _, path := range []string{"data/1.csv", manifest.Name} {
		_, err := fetch(t.Context(), s, path)
		if e := accessError(t, err); e.User != "bob" || e.Denial != source.Forbidden {
			t.Errorf("%s after bob has logged in: %+v, want him refused", path, e)
		}
	}
	bob.Store(false)
	s.Renew()
	fetchAll(t, s, 3, 1)
}

// The names that a manifest may have are sent as they are.
func TestNames(t *testing.T) {
	names := []string{
		" leading", "in between.csv", "trailing ", `back\slash.csv`, "tab\tbed.csv", "100%.csv", "%41.csv", "what?.csv", "a#1.csv", "a&b=c;d+e.csv",
		"ünï/çødé.csv", "a:b.csv", "~x/.hidden", `"quoted"`, "[0]{1}<2>|^`.csv", "new\u00a0space", "..dots", "a..b/..c",
	}
	var files []lookalike.GeneratedFile
	for i, name := range names {
		files = append(files, lookalike.GeneratedFile{Path: name, Size: int64(100 + i)})
	}
	g := lookalike.Generated(files)
	for _, policy := range []lookalike.Policy{lookalike.Open, lookalike.Restricted} {
		site, url := serveSite(t, lookalike.Project{Slug: "demo", Policy: policy, Versions: []lookalike.Version{{Version: "1.0", Files: g, Manifest: g.Manifest()}}})
		addAlice(site, demo.String())
		s := newSource(t, physionet.Options{URL: url + "/", Credentials: account})
		for i, name := range names {
			if b := mustFetch(t, s, name); len(b) != 100+i {
				t.Errorf("%q has %d bytes, want %d", name, len(b), 100+i)
			}
		}
	}
}

// The JSON API tells the access by a word, and did so by a number.
func TestAccessPolicies(t *testing.T) {
	var projects []lookalike.Project
	want := []string{"open", "restricted", "credentialed", "contributor-review"}
	for policy := lookalike.Open; policy <= lookalike.ContributorReview; policy++ {
		projects = append(projects, lookalike.Project{Slug: "p" + want[policy], Policy: policy, Versions: []lookalike.Version{{Version: "1.0"}}})
	}
	for _, numeric := range []bool{false, true} {
		site, url := serveSite(t, projects...)
		site.NumericPolicy = numeric
		got, err := newSource(t, physionet.Options{URL: url}).Published(t.Context())
		if err != nil || len(got) != len(want) {
			t.Fatalf("Published = %+v, %v, want %d", got, err, len(want))
		}
		for _, p := range got {
			if p.Access != strings.TrimPrefix(p.Slug, "p") || !slices.Contains(want, p.Access) {
				t.Errorf("numeric %t: the access to %s is %q", numeric, p.Slug, p.Access)
			}
		}
	}
	// What nobody has seen yet is no reason to list nothing.
	for text, want := range map[string]string{`null`: "", `"By Invitation"`: "by-invitation", `{"a":1}`: "", `7`: "access(7)"} {
		hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`[{"slug":"new","version":"1.0","access_policy":` + text + `}]`))
		}))
		got, err := newSource(t, physionet.Options{URL: hs.URL}).Published(t.Context())
		if err != nil || len(got) != 1 || got[0].Access != want {
			t.Errorf("an access_policy of %s = %+v, %v, want %q", text, got, err, want)
		}
	}
}
