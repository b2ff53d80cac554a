package gcs_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
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
	"mimicsync/downloader/source/sourcetest"
)

// robot is a service account, marker a secret that must show nowhere.
const (
	robot  = "robot@the-lab.iam.gserviceaccount.com"
	marker = "s3cr3t-marker"
)

var robotKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

// logInAsRobot makes a service account's key file the default credentials of
// the test. Its token_uri is a look-alike's.
func logInAsRobot(t *testing.T, endpoint, quotaProject string) {
	t.Helper()
	logIn(t, map[string]string{
		"type": "service_account", "client_email": robot, "private_key": robotKey(), "private_key_id": "1",
		"token_uri": endpoint + "/token", "quota_project_id": quotaProject,
	})
}

func logIn(t *testing.T, file map[string]string) {
	t.Helper()
	text, err := json.Marshal(file)
	check(err)
	name := filepath.Join(t.TempDir(), "credentials.json")
	check(os.WriteFile(name, text, 0o600))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", name)
}

var oneFile = objectsOf(map[string][]byte{"a.csv": []byte("a\n1\n"), "b.csv": []byte("b\n2\n")})

// The login's own project must not pay: gcloud writes one into every login.
func TestTheBillingProjectPaysAndNoOther(t *testing.T) {
	for _, billing := range []string{"", "the-lab"} {
		store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile})
		store.PutAccount(lookalike.Account{Email: robot, Projects: []string{"the-lab", "the-quota-project"}})
		logInAsRobot(t, endpoint, "the-quota-project")
		t.Setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "another-quota-project")
		s := newSource(t, gcs.Options{Endpoint: endpoint, BillingProject: billing})
		if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
			t.Fatalf("Open = %v, want <nil>", err)
		}
		for _, err := range s.List(t.Context(), sourcetest.Ref) {
			if err != nil {
				t.Fatalf("List = %v, want <nil>", err)
			}
		}
		for _, r := range store.Requests() {
			want := billing
			if r.Path == "/token" {
				want = ""
			} else if !r.Authorization {
				t.Errorf("%s went without a token", r.Path)
			}
			if r.UserProject != want {
				t.Errorf("%s is billed to %q, want %q", r.Path, r.UserProject, want)
			}
		}
	}
}

func TestALoginIsNotLookedForWhenAnonymous(t *testing.T) {
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile})
	logInAsRobot(t, endpoint, "")
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Fatalf("Open = %v, want <nil>", err)
	}
	if log := store.Requests(); len(log) != 1 || log[0].Authorization {
		t.Errorf("the requests are %+v, want one without a token", log)
	}
}

// The environment of Google's libraries must not lead elsewhere.
func TestEmulatorVariableIsForTheCommand(t *testing.T) {
	_, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile})
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Errorf("Open = %v, want <nil>", err)
	}
}

func TestWithoutLoginOpenBucketsAreRead(t *testing.T) {
	if testing.Short() {
		t.Skip("asks for a login that is not there, which takes seconds")
	}
	_, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile})
	s := newSource(t, gcs.Options{Endpoint: endpoint})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Errorf("Open = %v, want <nil>", err)
	}
}

// A person's login ends in the middle of a pass. The source says so, and takes
// the next login when there is one.
func TestLoginExpiresInMidPass(t *testing.T) {
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile, Readers: []string{robot}})
	store.PutAccount(lookalike.Account{Email: robot})
	logInAsRobot(t, endpoint, "")
	s := newSource(t, gcs.Options{Endpoint: endpoint})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Fatalf("Open = %v, want <nil>", err)
	}

	store.DropSessions() // a token may end before its time
	if _, err := read(t, s, source.Request{Path: "b.csv"}); err != nil {
		t.Fatalf("Open with a token that is over = %v, want another token", err)
	}

	store.PutAccount(lookalike.Account{Email: robot, Expired: true})
	e := refused(t, s, "b.csv")
	if e.Denial != source.BadCredentials || e.Cause != source.CauseLoginExpired || !strings.Contains(e.Error(), "gcloud auth application-default login") {
		t.Errorf("Open = %+v, want an expired login and its cure", e)
	}

	store.PutAccount(lookalike.Account{Email: robot})
	if _, err := read(t, s, source.Request{Path: "b.csv"}); err != nil {
		t.Errorf("Open after the next login = %v, want <nil>", err)
	}
}

func TestCredentialsThatCannotBeUsed(t *testing.T) {
	_, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile})
	for _, file := range []map[string]string{
		{"type": "unheard_of", "private_key": marker},
		{"type": "service_account", "client_email": robot, "private_key": marker, "token_uri": endpoint + "/token"},
		{"type": "service_account", "client_email": "nobody@example.org", "private_key": robotKey(), "token_uri": endpoint + "/token"},
	} {
		logIn(t, file)
		s := newSource(t, gcs.Options{Endpoint: endpoint})
		e := refused(t, s, "a.csv")
		if e.Denial != source.BadCredentials || e.Command == "" {
			t.Errorf("Open with %s = %+v, want bad credentials and a command", file["type"], e)
		}
		if strings.Contains(e.Error(), marker) || strings.Contains(e.Error(), "PRIVATE KEY") {
			t.Errorf("the error %q tells a secret", e)
		}
	}
}

// What gcloud writes for a person is asked for at an address of Google's own.
func TestAPersonsLogin(t *testing.T) {
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile, Readers: []string{"alice@example.org"}})
	alice := lookalike.Account{Email: "alice@example.org", RefreshToken: marker}
	store.PutAccount(alice)
	logIn(t, map[string]string{"type": "authorized_user", "client_id": "1", "client_secret": "2", "refresh_token": marker})
	s := newSource(t, gcs.Options{Endpoint: endpoint, DialContext: serveLogin(t, store)})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Fatalf("Open = %v, want <nil>", err)
	}

	alice.Expired = true
	store.PutAccount(alice)
	if e := refused(t, s, "a.csv"); e.Cause != source.CauseLoginExpired || strings.Contains(e.Error(), marker) {
		t.Errorf("Open = %v, want an expired login and no secret", e)
	}

	alice.Expired = false
	store.PutAccount(alice)
	store.Inject(lookalike.Fault{Kind: lookalike.Status, Path: "/token", Code: http.StatusServiceUnavailable, RetryAfter: "3"})
	_, err := read(t, s, source.Request{Path: "a.csv"})
	if e, ok := errors.AsType[*source.StatusError](err); !ok || e.Code != http.StatusServiceUnavailable || e.RetryAfter != 3*time.Second {
		t.Errorf("Open while the login is busy = %v, want status 503 and 3 s to wait", err)
	}
	store.ClearFaults()
	store.Inject(lookalike.Fault{Kind: lookalike.Reset, Path: "/token", After: -1})
	_, err = read(t, s, source.Request{Path: "a.csv"})
	if _, ok := errors.AsType[*source.AccessError](err); err == nil || ok || strings.Contains(err.Error(), marker) {
		t.Errorf("Open while the login breaks = %v, want trouble on the way", err)
	}
}

func TestIdentify(t *testing.T) {
	if testing.Short() {
		t.Skip("asks for a login that is not there, which takes seconds")
	}
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile})
	nobody := newSource(t, gcs.Options{Endpoint: endpoint})
	if who, err := nobody.Identify(t.Context(), sourcetest.Ref); cause(err) != source.CauseNoLogin {
		t.Errorf("Identify without a login = %+v, %v, want %s", who, err, source.CauseNoLogin)
	}
	anonymous := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	if who, err := anonymous.Identify(t.Context(), sourcetest.Ref); err != nil || !who.Anonymous {
		t.Errorf("Identify of who wants to be nobody = %+v, %v, want nobody", who, err)
	}
	if n := store.Counters().Requests; n != 0 {
		t.Errorf("%d requests, want none", n)
	}

	store.PutAccount(lookalike.Account{Email: robot})
	logInAsRobot(t, endpoint, "")
	s := newSource(t, gcs.Options{Endpoint: endpoint, BillingProject: "the-lab"})
	if who, err := s.Identify(t.Context(), sourcetest.Ref); err != nil || who.User != robot || who.From == "" || who.Payer != "the-lab" {
		t.Errorf("Identify = %+v, %v, want %s and the-lab", who, err, robot)
	}
	store.PutAccount(lookalike.Account{Email: robot, Expired: true})
	s = newSource(t, gcs.Options{Endpoint: endpoint})
	if who, err := s.Identify(t.Context(), sourcetest.Ref); cause(err) != source.CauseLoginExpired {
		t.Errorf("Identify after the login = %+v, %v, want %s", who, err, source.CauseLoginExpired)
	}
	if at, err := s.Reach(t.Context(), sourcetest.Ref); err != nil || at.Address != endpoint || at.Date.IsZero() {
		t.Errorf("Reach = %+v, %v, want %s and its clock", at, err, endpoint)
	}
}

func cause(err error) source.Cause {
	if e, ok := errors.AsType[*source.AccessError](err); ok {
		return e.Cause
	}
	return ""
}
