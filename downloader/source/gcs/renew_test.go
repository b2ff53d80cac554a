package gcs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
)

// tokensAsked counts the requests to a look-alike's login.
func tokensAsked(store *lookalike.GCS) (n int) {
	for _, r := range store.Requests() {
		if r.Path == "/token" {
			n++
		}
	}
	return n
}

// together runs a read on many connections at once, and returns the errors.
func together(t *testing.T, s *gcs.Source, n int) error {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { _, errs[i] = read(t, s, source.Request{Path: "a.csv"}) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// All tokens end under thirty connections: one asks for another, and no read fails.
// Where there is none to be had, one asks, too.
func TestTheTokenEndsUnderManyConnections(t *testing.T) {
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile, Readers: []string{robot}})
	store.PutAccount(lookalike.Account{Email: robot})
	logInAsRobot(t, endpoint, "")
	s := newSource(t, gcs.Options{Endpoint: endpoint, Connections: 30})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Fatal(err)
	}
	store.Reset()
	store.DropSessions()
	if err := together(t, s, 30); err != nil {
		t.Errorf("Open = %v, want another token for all", err)
	}
	if n := tokensAsked(store); n != 1 {
		t.Errorf("%d tokens were asked for, want one", n)
	}

	store.Reset()
	store.PutAccount(lookalike.Account{Email: robot, Expired: true})
	slow := store.Inject(lookalike.Fault{Kind: lookalike.Delay, Path: "/token", Duration: 200 * time.Millisecond})
	if err := together(t, s, 30); cause(err) != source.CauseLoginExpired {
		t.Errorf("Open = %v, want an expired login", err)
	}
	slow.Remove()
	if n := tokensAsked(store); n > 2 {
		t.Errorf("%d tokens were asked for in vain, want one or two", n)
	}
}

// A person logs in as somebody else, and has the daemon read its configuration
// again.
func TestRenew(t *testing.T) {
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile, Readers: []string{robot}})
	store.PutAccount(lookalike.Account{Email: robot})
	logInAsRobot(t, endpoint, "")
	s := newSource(t, gcs.Options{Endpoint: endpoint})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Fatal(err)
	}
	logIn(t, map[string]string{
		"type": "service_account", "client_email": "nobody@example.org", "private_key": robotKey(), "private_key_id": "1", "token_uri": endpoint + "/token",
	})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Errorf("Open before Renew = %v, want the login that is known", err)
	}
	s.Renew()
	if e := refused(t, s, "a.csv"); e.Denial != source.BadCredentials {
		t.Errorf("Open after Renew = %v, want the other login", e)
	}
}

// logInFrom makes a login of another provider the default credentials, as those of
// a cluster are.
func logInFrom(t *testing.T, endpoint, tokenFile string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/lab/providers/cluster",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": endpoint + "/sts",
		"service_account_impersonation_url": endpoint + "/v1/projects/-/serviceAccounts/" + robot + ":generateAccessToken",
		"credential_source":                 map[string]string{"file": tokenFile},
	})
	check(err)
	name := filepath.Join(t.TempDir(), "credentials.json")
	check(os.WriteFile(name, text, 0o600))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", name)
}

// Trouble of a service on the way to a token is tried again, whichever it is; what
// it refuses leads to the cure that is right there.
func TestLoginsOfOtherProviders(t *testing.T) {
	const good = `{"access_token": "sts", "issued_token_type": "x", "token_type": "Bearer", "expires_in": 3600}`
	robotToken := fmt.Sprintf(`{"accessToken": "robot", "expireTime": %q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	type answer struct {
		code int
		body string
	}
	for name, tt := range map[string]struct {
		noFile   bool
		sts, iam answer
		status   int          // of trouble, 0 for one without
		cause    source.Cause // of a refusal; empty where it is trouble
		tells    string
	}{
		"all is well":                  {sts: answer{200, good}, iam: answer{200, robotToken}, cause: "none"},
		"STS is unavailable":           {sts: answer{503, marker}, status: 503},
		"STS has too much to do":       {sts: answer{429, "{}"}, status: 429},
		"a page instead of STS":        {sts: answer{200, "<html>" + marker}},
		"iamcredentials is in trouble": {sts: answer{200, good}, iam: answer{500, `{"error": {"status": "INTERNAL"}}`}, status: 500},
		"a gateway before iam":         {sts: answer{200, good}, iam: answer{504, marker}, status: 504},
		"the other token is over": {
			sts: answer{400, `{"error": "invalid_grant", "error_description": "` + marker + `"}`}, cause: source.CauseFederation, tells: "invalid_grant",
		},
		"the other token is missing": {noFile: true, cause: source.CauseFederation, tells: "no-token"},
		"no role": {
			sts: answer{200, good}, iam: answer{403, `{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "` + marker + `"}}`},
			cause: source.CauseNoRole, tells: robot,
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := lookalike.NewGCS(lookalike.Bucket{Name: bucketOf, Objects: oneFile})
			hs, host := unstarted(t)
			start(t, hs, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				said := answer{}
				switch {
				case r.URL.Path == "/sts":
					said = tt.sts
				case strings.HasSuffix(r.URL.Path, ":generateAccessToken"):
					said = tt.iam
				default:
					r.Header.Del("Authorization") // the look-alike has not made that token
					store.ServeHTTP(w, r)
					return
				}
				w.WriteHeader(said.code)
				_, _ = fmt.Fprint(w, said.body)
			}))
			file := filepath.Join(t.TempDir(), "no-token")
			if !tt.noFile {
				check(os.WriteFile(file, []byte(marker), 0o600))
			}
			logInFrom(t, "http://"+host, file)
			_, err := read(t, newSource(t, gcs.Options{Endpoint: "http://" + host}), source.Request{Path: "a.csv"})
			switch {
			case tt.cause == "none":
				if err != nil {
					t.Errorf("Open = %v", err)
				}
				return
			case tt.cause != cause(err), err == nil, strings.Contains(err.Error(), marker), !strings.Contains(err.Error(), tt.tells):
				t.Errorf("Open = %v with the cause %q, want %q, %q and no secret", err, cause(err), tt.cause, tt.tells)
			}
			if _, refused := errors.AsType[*source.AccessError](err); refused != (tt.cause != "") {
				t.Errorf("Open = %v, want trouble to be no refusal", err)
			}
			if e, ok := errors.AsType[*source.StatusError](err); tt.status != 0 && (!ok || e.Code != tt.status) {
				t.Errorf("Open = %v, want status %d", err, tt.status)
			}
		})
	}
}

// A machine of Google's has a service that gives tokens. Its trouble is no missing
// login; that it has no account for us is.
func TestTheServiceOfAMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("the library asks several times, which takes seconds")
	}
	for code, want := range map[int]source.Cause{http.StatusServiceUnavailable: "", http.StatusNotFound: source.CauseNoLogin} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			_, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile, Readers: []string{robot}})
			hs, host := unstarted(t)
			start(t, hs, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Metadata-Flavor", "Google")
				w.WriteHeader(code)
			}))
			t.Setenv("GCE_METADATA_HOST", host)
			_, err := read(t, newSource(t, gcs.Options{Endpoint: endpoint}), source.Request{Path: "a.csv"})
			if e, ok := errors.AsType[*source.StatusError](err); cause(err) != want || want == "" && (!ok || e.Code != code) {
				t.Errorf("Open = %v, want the cause %q, or status %d", err, want, code)
			}
		})
	}
}
