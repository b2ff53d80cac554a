package gcs_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/manifest"
)

// What is wrong in the cloud, and what a person is told about it. Reads and
// listings, XML and JSON, lead to the same cure.
func TestAccess(t *testing.T) {
	payer := lookalike.Bucket{Name: bucketOf, Objects: oneFile, RequesterPays: true}
	person := map[string]string{"type": "authorized_user", "client_id": "1", "client_secret": marker, "refresh_token": "alice's"}
	for _, c := range []struct {
		name    string
		bucket  lookalike.Bucket
		at      string // where the source looks for the version, if not in the usual bucket
		billing string
		login   func(t *testing.T, endpoint string)
		denial  source.Denial
		cause   source.Cause
		tells   []string // words of the message
	}{
		{
			name: "nobody pays", bucket: payer,
			denial: source.NoCredentials, cause: source.CauseNoBillingProject,
			tells: []string{bucketOf, "gcs.billing_project", "--billing-project"},
		},
		{
			name: "a stranger pays", bucket: payer, billing: "the-lab",
			denial: source.NoCredentials, cause: source.CauseStranger,
			tells: []string{"gcs.anonymous", "gcloud auth application-default login"},
		},
		{
			name: "another's project", bucket: payer, billing: "not-mine", login: asRobot,
			denial: source.BadCredentials, cause: source.CauseBadBillingProject,
			tells: []string{`"not-mine"`, "Service Usage Consumer", "serviceusage.services.use"},
		},
		{
			name: "billing is closed", bucket: payer, billing: "closed", login: asRobot,
			denial: source.BadCredentials, cause: source.CauseBadBillingProject,
			tells: []string{`"closed"`, "closed billing account"},
		},
		{
			name: "a stranger", bucket: lookalike.Bucket{Name: bucketOf, Objects: oneFile, Readers: []string{"somebody"}},
			denial: source.NoCredentials, cause: source.CauseStranger,
			tells: []string{"gcs.anonymous", "gcloud auth application-default login"},
		},
		{
			name: "a robot", bucket: lookalike.Bucket{Name: bucketOf, Objects: oneFile, Readers: []string{"somebody"}}, login: asRobot,
			denial: source.Forbidden, cause: source.CauseNotGranted,
			tells: []string{"service account " + robot, "grants access to people"},
		},
		{
			name: "a person without a grant", bucket: lookalike.Bucket{Name: bucketOf, Objects: oneFile, Readers: []string{"somebody"}},
			login:  func(t *testing.T, _ string) { t.Helper(); logIn(t, person) },
			denial: source.Forbidden, cause: source.CauseNotGranted,
			tells: []string{"alice@example.org", "https://physionet.org/settings/cloud/", "request access", "https://physionet.org/content/demo/1.0/"},
		},
		{
			name: "a person at a lab's own bucket", bucket: lookalike.Bucket{Name: "the-lab-copy", Objects: oneFile, Readers: []string{"somebody"}}, at: "the-lab-copy",
			login:  func(t *testing.T, _ string) { t.Helper(); logIn(t, person) },
			denial: source.Forbidden, cause: source.CauseOwner,
			tells: []string{"alice@example.org", "the-lab-copy", "its owner must grant it the role Storage Object Viewer"},
		},
		{
			name: "no bucket", bucket: lookalike.Bucket{Name: "another", Objects: oneFile},
			denial: source.UnknownVersion, cause: source.CauseNoBucket,
			tells: []string{"no bucket " + bucketOf},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, endpoint := serveStore(t, c.bucket)
			store.PutAccount(lookalike.Account{Email: robot, Projects: []string{"the-lab", "closed"}})
			store.PutAccount(lookalike.Account{Email: "alice@example.org", RefreshToken: "alice's"})
			store.CloseBilling("closed")
			if c.login != nil {
				c.login(t, endpoint)
			}
			o := gcs.Options{
				Endpoint: endpoint, BillingProject: c.billing, Anonymous: c.login == nil, DialContext: serveLogin(t, store),
			}
			if c.at != "" {
				o.Bucket = func(manifest.Ref) string { return c.at }
			}
			s := newSource(t, o)
			for _, e := range []*source.AccessError{refused(t, s, "a.csv"), refusedListing(t, s)} {
				if e.Denial != c.denial || e.Cause != c.cause || e.Source != gcs.Name || e.Ref != sourcetest.Ref {
					t.Errorf("the error is %+v, want denial %d, cause %s", e, c.denial, c.cause)
				}
				if e.Page == "" && e.Command == "" {
					t.Errorf("the error %q leads to no cure", e)
				}
				for _, words := range c.tells {
					if !strings.Contains(e.Error(), words) {
						t.Errorf("the error %q does not tell %q", e, words)
					}
				}
				if strings.Contains(e.Error(), marker) || strings.Contains(e.Error(), "ya29") {
					t.Errorf("the error %q tells a secret", e)
				}
			}
		})
	}
}

// A key of KMS that is gone is no matter of who asks.
func TestAKeyThatCannotBeUsed(t *testing.T) {
	for _, body := range []string{
		"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access denied.</Message><Details>Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account has been authorized to use this key.</Details></Error>",
		"<?xml version='1.0'?><Error><Code>InvalidArgument</Code><Message>The CryptoKey projects/p/locations/l/keyRings/r/cryptoKeys/k is disabled.</Message></Error>",
	} {
		hs, host := unstarted(t)
		start(t, hs, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, body)
		}))
		e := refused(t, newSource(t, gcs.Options{Endpoint: "http://" + host, Anonymous: true}), "a.csv")
		if e.Denial != source.Forbidden || e.Cause != source.CauseEncrypted {
			t.Errorf("Open = %+v, want the cause %s", e, source.CauseEncrypted)
		}
	}
}

func asRobot(t *testing.T, endpoint string) {
	t.Helper()
	logInAsRobot(t, endpoint, "")
}

func refusedListing(t *testing.T, s *gcs.Source) *source.AccessError {
	t.Helper()
	for listed, err := range s.List(t.Context(), sourcetest.Ref) {
		e, ok := errors.AsType[*source.AccessError](err)
		if !ok {
			t.Fatalf("List gave %+v, %v, want an AccessError", listed, err)
		}
		return e
	}
	t.Fatal("List gave nothing, want an AccessError")
	return nil
}

// One object may be forbidden among those that may be read.
func TestOneObjectIsDenied(t *testing.T) {
	_, endpoint := serveStore(t, lookalike.Bucket{
		Name: bucketOf, Objects: oneFile, Denied: func(path string) bool { return path == "b.csv" },
	})
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Errorf("Open(a.csv) = %v, want <nil>", err)
	}
	if e := refused(t, s, "b.csv"); e.Ref != sourcetest.Ref {
		t.Errorf("the error is %+v, want it to be about %s", e, sourcetest.Ref)
	}
}

func TestBusy(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile})
		store.Inject(lookalike.Fault{Kind: lookalike.Status, Code: code, RetryAfter: "7"})
		s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
		_, err := read(t, s, source.Request{Path: "a.csv"})
		e, ok := errors.AsType[*source.StatusError](err)
		if !ok || e.Code != code || e.RetryAfter != 7*time.Second {
			t.Errorf("Open = %v, want status %d and 7 s to wait", err, code)
		}
		if n := store.Counters().Requests; n != 1 {
			t.Errorf("there were %d requests, want one: to try again is not for a source", n)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for _, endpoint := range []string{
		"http://storage.example.org", "storage.googleapis.com", "https://user:" + marker + "@example.org", "https://example.org/storage", "ftp://127.0.0.1",
	} {
		s, err := gcs.New(gcs.Options{Endpoint: endpoint})
		if err == nil {
			t.Errorf("New(%s) = %v, want an error", endpoint, s)
		} else if strings.Contains(err.Error(), marker) {
			t.Errorf("New(%s) = %v, which tells a secret", endpoint, err)
		}
	}
	if _, err := gcs.New(gcs.Options{}); err != nil {
		t.Errorf("New of the default endpoint = %v, want <nil>", err)
	}
}
