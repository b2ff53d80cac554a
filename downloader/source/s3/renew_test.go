package s3_test

import (
	"crypto/sha1" // by which the SDK names a file
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// profile writes the AWS configuration of a test.
func profile(t *testing.T, config, credentials string) (credentialsFile string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config": config, "credentials": credentials} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", dir)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	return filepath.Join(dir, "credentials")
}

func key(id string) string {
	return "[default]\naws_access_key_id = " + id + "\naws_secret_access_key = " + marker + "\naws_session_token = " + marker + "\n"
}

// private is a bucket that two keys of the same person may read.
func private(second string) *lookalike.S3 {
	site := store(lookalike.S3Bucket{Objects: objects("mimiciv/3.1/", data), Readers: []string{keyID, second}})
	site.AddKey(lookalike.S3Key{ID: second, Identity: alice})
	return site
}

const renewedID = "ASIAIOSFODNN7RENEWED"

// A tool writes new credentials into ~/.aws/credentials every hour, as many
// hospitals have it. The request that meets the end of the old ones is answered.
func TestCredentialsOfTheFileAreReadAgainWhenTheyEnd(t *testing.T) {
	file := profile(t, "", key(keyID))
	site := private(renewedID)
	src := newSource(t, serve(t, site), s3.Location{URL: "s3://physionet-open/{dataset}/{version}/"})
	const path = "hosp/patients.csv.gz"
	if _, err := fetch(t, src, source.Request{Path: path}); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(){
		"expired": func() { site.AddKey(lookalike.S3Key{ID: keyID, Expires: time.Now().Add(-time.Minute)}) },
		"deleted": func() { site.RemoveKey(keyID) },
	} {
		t.Run(name, func(t *testing.T) {
			site.AddKey(lookalike.S3Key{ID: keyID, Identity: alice})
			mustWrite(t, file, key(keyID))
			src.Renew()
			if _, err := fetch(t, src, source.Request{Path: path}); err != nil {
				t.Fatal(err)
			}
			end()
			mustWrite(t, file, key(renewedID))
			site.Reset()
			if b, err := fetch(t, src, source.Request{Path: path}); err != nil || string(b) != string(data[path]) {
				t.Errorf("Open = %q, %v, want the file by the new credentials", b, err)
			}
			if n := site.Counters().Requests; n != 2 {
				t.Errorf("%d requests, want one that is refused and one that is not", n)
			}
		})
	}
	// Nobody has written new ones: that is said after one request.
	site.DropSessions()
	site.Reset()
	_, err := fetch(t, src, source.Request{Path: path})
	mustRefuse(t, err, source.BadCredentials, source.CauseLoginExpired)
	if n := site.Counters().Requests; n != 1 {
		t.Errorf("%d requests by the same credentials, want one", n)
	}
}

func mustWrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A daemon is told to read the configuration again: the next request is by another
// person's key, though the store has no fault to find with the former one.
func TestRenew(t *testing.T) {
	file := profile(t, "", key(keyID))
	site := private(renewedID)
	src := newSource(t, serve(t, site), s3.Location{URL: "s3://physionet-open/{dataset}/{version}/"})
	if _, err := fetch(t, src, source.Request{Path: manifest.Name}); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, file, key(renewedID))
	site.RemoveKey(renewedID)
	if _, err := fetch(t, src, source.Request{Path: manifest.Name}); err != nil {
		t.Errorf("Open before Renew = %v, want the key that was read", err)
	}
	src.Renew()
	_, err := fetch(t, src, source.Request{Path: manifest.Name})
	mustRefuse(t, err, source.BadCredentials, source.CauseUnknownKey)
	mustWrite(t, file, key(keyID))
	if _, err := fetch(t, src, source.Request{Path: manifest.Name}); err != nil {
		t.Errorf("Open with the key written back = %v", err)
	}
}

// countedProgram is a credential_process that notes each call, and prints the
// credentials of a file.
func countedProgram(t *testing.T, id string) (calls func() int, show func(id string)) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell's")
	}
	dir := t.TempDir()
	log, out := filepath.Join(dir, "log"), filepath.Join(dir, "out")
	show = func(id string) {
		mustWrite(t, out, fmt.Sprintf(`{"Version": 1, "AccessKeyId": %q, "SecretAccessKey": %q, "SessionToken": "x"}`, id, marker))
	}
	show(id)
	profile(t, fmt.Sprintf("[default]\nregion = us-east-1\ncredential_process = sh -c 'echo call >>%s; sleep 0.05; cat %s'\n", log, out), "")
	return func() int {
		text, _ := os.ReadFile(log)
		return strings.Count(string(text), "call")
	}, show
}

// The session ends under forty connections: the provider is asked once more, not by
// each of them, and none of their requests fails.
func TestTheSessionEndsUnderManyConnections(t *testing.T) {
	calls, show := countedProgram(t, keyID)
	site := private(renewedID)
	src := newSource(t, serve(t, site), s3.Location{URL: "s3://physionet-open/{dataset}/{version}/"})
	if _, err := fetch(t, src, source.Request{Path: manifest.Name}); err != nil {
		t.Fatal(err)
	}
	show(renewedID)
	site.AddKey(lookalike.S3Key{ID: keyID, Expires: time.Now().Add(-time.Minute)})
	if failed := inParallel(40, func() error {
		_, err := fetch(t, src, source.Request{Path: "hosp/admissions.csv.gz"})
		return err
	}); failed != nil {
		t.Errorf("Open = %v, want another key for all", failed)
	}
	if n := calls(); n != 2 {
		t.Errorf("the program was started %d times, want twice", n)
	}
}

// A program that fails costs one call or two for all who wait meanwhile, and is
// asked again by those who come later.
func TestManyWaitForAProgramThatFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell's")
	}
	log := filepath.Join(t.TempDir(), "log")
	profile(t, fmt.Sprintf("[default]\nregion = us-east-1\ncredential_process = sh -c 'echo call >>%s; sleep 0.2; exit 1'\n", log), "")
	src := newSource(t, serve(t, private(renewedID)), s3.Location{URL: "s3://physionet-open/{dataset}/{version}/"})
	calls := func() int {
		text, _ := os.ReadFile(log)
		return strings.Count(string(text), "call")
	}
	open := func() error {
		_, err := fetch(t, src, source.Request{Path: manifest.Name})
		return err
	}
	mustRefuse(t, inParallel(30, open), source.BadCredentials, source.CauseBadLogin)
	first := calls()
	if first > 2 {
		t.Errorf("the program was started %d times, want once or twice", first)
	}
	mustRefuse(t, open(), source.BadCredentials, source.CauseBadLogin)
	if n := calls(); n != first+1 {
		t.Errorf("the program was started %d times by who came later, want once", n-first)
	}
}

// The program gives the same credentials again: that is asked for once.
func TestAProviderThatDoesNotHelp(t *testing.T) {
	calls, _ := countedProgram(t, keyID)
	site := private(renewedID)
	src := newSource(t, serve(t, site), s3.Location{URL: "s3://physionet-open/{dataset}/{version}/"})
	site.DropSessions()
	_, err := fetch(t, src, source.Request{Path: manifest.Name})
	mustRefuse(t, err, source.BadCredentials, source.CauseLoginExpired)
	if n := calls(); n != 2 {
		t.Errorf("the program was started %d times, want twice", n)
	}
}

// inParallel returns one of the errors.
func inParallel(n int, do func() error) error {
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	for range n {
		all.Go(func() {
			if err := do(); err != nil {
				failed.Store(&err)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// What the program of a profile says on stderr is captured, and told without what
// may be a secret: in the error, which is what doctor shows.
func TestAProgramThatFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell's")
	}
	stderr := os.Stderr
	t.Cleanup(func() { os.Stderr = stderr })
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = file
	for name, config := range map[string]string{
		"a program":               "[default]\n",
		"a program behind a role": "[default]\nrole_arn = arn:aws:iam::123456789012:role/lab\nsource_profile = base\n[profile base]\n",
	} {
		t.Run(name, func(t *testing.T) {
			profile(t, config+"credential_process = sh -c 'echo first >&2; echo \"vault is sealed, token="+marker+" AKIAIOSFODNN7EXAMPLE\" >&2; exit 7'\n", "")
			src := mustNew(t, s3.Options{Locations: map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-02")}}})
			_, err := fetch(t, src, source.Request{Ref: mimic, Path: manifest.Name})
			access := expectAccess(t, err, source.BadCredentials, source.CauseBadLogin)
			for _, want := range []string{"exit status 7", "vault is sealed"} {
				if !strings.Contains(access.Error(), want) {
					t.Errorf("Open = %q, want it to say %q", access, want)
				}
			}
		})
	}
	if text, err := os.ReadFile(file.Name()); err != nil || len(text) > 0 {
		t.Errorf("our stderr got %q, %v, want nothing", text, err)
	}
}

// AWS_PROFILE names what is not there, or the file is no configuration. The open
// bucket needs neither; of a controlled one, that is what is said.
func TestAProfileThatCannotBeUsed(t *testing.T) {
	for name, tt := range map[string]struct{ config, profile, says string }{
		"no such profile":             {"[default]\nregion = us-east-1\n", "nobody", `"nobody"`},
		"a service that is not there": {"[default]\nservices = " + marker + "\nsso_session = gone\n", "", "AWS configuration"},
		"a role without a base":       {"[profile lab]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = gone\n", "lab", "AWS"},
	} {
		t.Run(name, func(t *testing.T) {
			profile(t, tt.config, "")
			t.Setenv("AWS_PROFILE", tt.profile)
			site := store(lookalike.S3Bucket{Public: true, Objects: objects("mimiciv/3.1/", data)})
			t.Setenv("AWS_ENDPOINT_URL_S3", serve(t, site))
			src := mustNew(t, s3.Options{Locations: map[manifest.Ref]s3.Location{{Dataset: "controlled"}: {URL: "s3://controlled/"}}})
			if _, err := fetch(t, src, source.Request{Path: manifest.Name}); err != nil {
				t.Errorf("Open of the open bucket = %v", err)
			}
			_, err := fetch(t, src, source.Request{Ref: manifest.Ref{Dataset: "controlled", Version: "1.0"}, Path: "x"})
			access := expectAccess(t, err, source.BadCredentials, source.CauseBadLogin)
			if !strings.Contains(access.Error(), tt.says) {
				t.Errorf("Open = %q, want it to say %s", access, tt.says)
			}
		})
	}
}

// Who gives credentials is in trouble, or is not reached: that passes, and no
// login is bad. What it refuses is told from that.
func TestTroubleOfWhoGivesCredentials(t *testing.T) {
	answer := func(code int, kind, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(code)
			_, _ = fmt.Fprint(w, body)
		})
	}
	sts := func(code string) string {
		return "<ErrorResponse><Error><Code>" + code + "</Code><Message>" + marker + "</Message></Error></ErrorResponse>"
	}
	for name, tt := range map[string]struct {
		handler http.Handler
		status  int
		cause   source.Cause // of a refusal
	}{
		"unavailable":      {answer(503, "text/html", "<html>busy "+marker+"</html>"), 503, ""},
		"a bad gateway":    {answer(502, "text/plain", marker), 502, ""},
		"too many":         {answer(429, "application/json", "{}"), 429, ""},
		"throttled by STS": {answer(400, "text/xml", sts("Throttling")), 0, ""},
		"a portal's page":  {answer(200, "text/html", "<html>log in</html>"), 0, ""},
		"expired":          {answer(403, "text/xml", sts("ExpiredToken")), 0, source.CauseLoginExpired},
		"no such role":     {answer(403, "text/xml", sts("AccessDenied")), 0, source.CauseNoRole},
		"nobody there":     {nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			profile(t, "[default]\nregion = us-east-1\nrole_arn = arn:aws:iam::123456789012:role/lab\nsource_profile = base\n", "[base]\naws_access_key_id = "+keyID+"\naws_secret_access_key = "+marker+"\n")
			login := "http://127.0.0.1:1"
			if tt.handler != nil {
				login = serve(t, tt.handler)
			}
			t.Setenv("AWS_ENDPOINT_URL_STS", login)
			src := newSource(t, serve(t, private(renewedID)), s3.Location{URL: "s3://physionet-open/{dataset}/{version}/"})
			_, err := fetch(t, src, source.Request{Path: manifest.Name})
			if tt.cause != "" {
				mustRefuse(t, err, source.BadCredentials, tt.cause)
				return
			}
			wantTrouble(t, err, tt.status)
		})
	}
}

// wantTrouble wants an error that is tried again, with a status if there was one.
func wantTrouble(t *testing.T, err error, status int) {
	t.Helper()
	if access, ok := errors.AsType[*source.AccessError](err); ok || err == nil {
		t.Errorf("Open = %v, want trouble", access)
		return
	}
	tellsNothing(t, err.Error())
	if e, ok := errors.AsType[*source.StatusError](err); status != 0 && (!ok || e.Code != status) {
		t.Errorf("Open = %v, want a StatusError of %d", err, status)
	}
}

// An SSO login that is good and whose role is not given needs another cure than one
// that is over.
func TestSingleSignOn(t *testing.T) {
	for name, tt := range map[string]struct {
		code   int
		body   string
		cause  source.Cause
		status int
	}{
		"not assigned": {403, `{"__type": "ForbiddenException", "message": "No access"}`, source.CauseNoRole, 0},
		"over":         {401, `{"__type": "UnauthorizedException", "message": "Session token not found or invalid"}`, source.CauseLoginExpired, 0},
		"trouble":      {500, `{"message": "Internal"}`, "", 500},
	} {
		t.Run(name, func(t *testing.T) {
			const start = "https://lab.awsapps.com/start"
			profile(t, "[default]\nsso_region = us-east-1\nregion = us-east-1\nsso_account_id = 123456789012\nsso_role_name = reader\nsso_start_url = "+start+"\n", "")
			cache := filepath.Join(os.Getenv("HOME"), ".aws", "sso", "cache")
			if err := os.MkdirAll(cache, 0o700); err != nil {
				t.Fatal(err)
			}
			// Its name is the SHA-1 of the start URL.
			mustWrite(t, filepath.Join(cache, ssoCacheName(start)), fmt.Sprintf(`{"startUrl": %q, "region": "us-east-1", "accessToken": %q, "expiresAt": %q}`,
				start, marker, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
			t.Setenv("AWS_ENDPOINT_URL_SSO", serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.code)
				_, _ = fmt.Fprint(w, tt.body)
			})))
			src := newSource(t, serve(t, private(renewedID)), s3.Location{URL: "s3://physionet-open/{dataset}/{version}/"})
			_, err := fetch(t, src, source.Request{Path: manifest.Name})
			if tt.cause == "" {
				wantTrouble(t, err, tt.status)
				return
			}
			mustRefuse(t, err, source.BadCredentials, tt.cause)
		})
	}
}

func ssoCacheName(start string) string {
	sum := sha1.Sum([]byte(start))
	return hex.EncodeToString(sum[:]) + ".json"
}
