package downloader_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
	"mimicsync/store"
)

const secret = "c0rrect horse"

// ada has an account, and a signature where signed.
func ada(signed ...string) func(*lookalike.Server) {
	return func(l *lookalike.Server) {
		l.AddUser(lookalike.User{Name: "ada", Password: secret, Credentialed: true, Signed: signed})
	}
}

var login = physionet.Credentials{User: "ada", Password: secret, From: "a test"}

func guarded(files ...lookalike.GeneratedFile) lookalike.Project {
	p := project(files...)
	p.Policy = lookalike.Credentialed
	return p
}

func wantDenial(t testing.TB, err error, want source.Denial) {
	t.Helper()
	var access *source.AccessError
	if !errors.As(err, &access) {
		t.Fatalf("error = %v, want an *AccessError", err)
	}
	if access.Denial != want || access.Page == "" {
		t.Errorf("error = %+v, want denial %v and the page of the cure", access, want)
	}
}

// silent fails the test where a text shows what must stay secret.
func silent(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, s := range []string{secret, "wr0ng", base64.StdEncoding.EncodeToString([]byte("ada:" + secret))} {
			if strings.Contains(text, s) {
				t.Errorf("a secret shows in %q", text)
			}
		}
	}
}

// Who has no access learns why after a handful of requests.
func TestDenialsSayWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signed []string
		login  physionet.Credentials
		ref    manifest.Ref
		want   source.Denial
	}{
		{"no credentials", nil, physionet.Credentials{}, demo, source.NoCredentials},
		{"wrong password", []string{"demo@1.0"}, physionet.Credentials{User: "ada", Password: "wr0ng", From: "a test"}, demo, source.BadCredentials},
		{"unknown user", nil, physionet.Credentials{User: "eve", Password: "wr0ng", From: "a test"}, demo, source.BadCredentials},
		{"agreement not signed", nil, login, demo, source.Forbidden},
		{"signed for another version", []string{"demo@0.9"}, login, demo, source.Forbidden},
		{"unknown dataset", nil, login, manifest.Ref{Dataset: "dem", Version: "1.0"}, source.UnknownVersion},
		{"unknown version", []string{"demo@1.0"}, login, manifest.Ref{Dataset: "demo", Version: "9.9"}, source.UnknownVersion},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ada(tt.signed...), guarded(file("a", 1000), file("b", 1000)))
			r := newRig(t, rigOptions{site: s, user: tt.login})

			report, err := r.run(t.Context(), tt.ref, new(progress.Progress))
			wantDenial(t, err, tt.want)
			if report.State != store.Failed || report.Err == nil {
				t.Errorf("report = %+v, want failed, with the error", report)
			}
			silent(t, err.Error(), fmt.Sprintf("%+v %#v", tt.login, tt.login))
			c := s.Counters()
			if c.Requests > 6 || c.PasswordChecks > 2 {
				t.Errorf("%d requests and %d password checks, want at most 6 and 2", c.Requests, c.PasswordChecks)
			}
			r.lacks("a", "b")
		})
	}
}

func TestAnUnknownDatasetHasNoNewestVersion(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 10)))
	r := newRig(t, rigOptions{site: s})
	_, err := r.syncer.Resolve(t.Context(), manifest.Ref{Dataset: "dem"}, nil)
	wantDenial(t, err, source.UnknownVersion)
	ref, err := r.syncer.Resolve(t.Context(), manifest.Ref{Dataset: "demo"}, nil)
	if err != nil || ref != demo {
		t.Errorf("Resolve(demo) = %v, %v, want %v", ref, err, demo)
	}
}

// A signed user gets the files, and the server hashes the password once or twice.
func TestAGuardedDatasetIsFetched(t *testing.T) {
	t.Parallel()
	files := manyFiles(30, 2000)
	s := newSite(t, ada("demo@1.0"), guarded(files...))
	r := newRig(t, rigOptions{site: s, user: login})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 30, Fetched: 30})
	if c := s.Counters(); c.PasswordChecks > 2 {
		t.Errorf("%d password checks, want at most 2", c.PasswordChecks)
	}
}

func manyFiles(n int, size int64) []lookalike.GeneratedFile {
	var files []lookalike.GeneratedFile
	for i := range n {
		files = append(files, file(fmt.Sprintf("files/%04d.csv", i), size))
	}
	return files
}

// The server forgets its sessions at any time: the pass does not notice.
func TestADroppedSessionIsRenewed(t *testing.T) {
	t.Parallel()
	files := manyFiles(20, 2000)
	s := newSite(t, ada("demo@1.0"), guarded(files...))
	s.Inject(lookalike.Fault{Kind: lookalike.DropSession, Path: "0007.csv", Times: 1})
	r := newRig(t, rigOptions{site: s, user: login, connections: 1})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 20, Fetched: 20})
	if c := s.Counters(); c.PasswordChecks > 3 {
		t.Errorf("%d password checks, want at most 3", c.PasswordChecks)
	}
}

// A training that expires in the middle of 300 files ends the pass at once: the
// server, asked why, says that it is this account's.
func TestATrainingThatExpiresEndsThePass(t *testing.T) {
	slow(t)
	s := newSite(t, ada("demo@1.0"), guarded(manyFiles(300, 500)...))
	r := newRig(t, rigOptions{site: s, user: login, connections: 2})
	report, err := r.pullAnd(s, 40, func() {
		s.UpdateUser("ada", func(u *lookalike.User) { u.Credentialed = false })
	})
	wantDenial(t, err, source.Forbidden)
	silent(t, err.Error())
	kept := report.Files.Fetched
	if report.State != store.Failed || kept < 38 {
		t.Errorf("report = %+v, want failed with 40 fetched", report)
	}
	if n := s.Counters().ByStatus[http.StatusForbidden]; n > 12 {
		t.Errorf("%d refused requests, want about 5", n)
	}
	// The training is renewed.
	s.UpdateUser("ada", func(u *lookalike.User) { u.Credentialed = true })
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 300, Present: kept, Fetched: 300 - kept})
}

func TestAPasswordChangedInMidPassEndsIt(t *testing.T) {
	slow(t)
	s := newSite(t, ada("demo@1.0"), guarded(manyFiles(200, 500)...))
	r := newRig(t, rigOptions{site: s, user: login, connections: 2})
	report, err := r.pullAnd(s, 30, func() { s.SetPassword("ada", "another one") })
	wantDenial(t, err, source.BadCredentials)
	silent(t, err.Error())
	if report.Files.Fetched < 28 {
		t.Errorf("%d files were kept, want the 30 that came", report.Files.Fetched)
	}
	if got := s.Counters().ByStatus[http.StatusUnauthorized]; got > 6 {
		t.Errorf("%d requests were refused, want at most 6", got)
	}
}

// pullAnd runs a pass, and does something when files have come.
func (r *rig) pullAnd(s *site, files int64, do func()) (*report.Report, error) {
	r.t.Helper()
	s.Inject(lookalike.Fault{Kind: lookalike.Delay, Duration: 10 * time.Millisecond, Path: "*.csv"})
	progress, done := new(progress.Progress), make(chan struct{})
	go func() {
		defer close(done)
		for progress.Fetched.Load() < files*500 && r.t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		do()
	}()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	report, err := r.syncer.Pull(ctx, demo, manifest.Selection{}, progress)
	<-done
	return report, err
}

// One refused file is that file's own trouble.
func TestOneRefusedFileIsReported(t *testing.T) {
	t.Parallel()
	s := newSite(t, ada("demo@1.0"), guarded(manyFiles(20, 500)...))
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden, Path: "0003.csv"})
	r := newRig(t, rigOptions{site: s, user: login})
	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 20, Fetched: 19, Failed: 1})
	if got := reasonOf(report, "files/0003.csv"); got != string(failure.ReasonDenied) {
		t.Errorf("reason = %q, want denied", got)
	}
	// A firewall may have said it; if nothing else came meanwhile, something that came
	// before is asked for in between.
	if n := len(s.gets("files/0003.csv")); n < 3 || n > 4 {
		t.Errorf("%d requests for the refused file, want 3 or 4", n)
	}
}

// Refused files among many that come are not a refusal of the dataset, however
// many there are.
func TestRefusedFilesHereAndThereEndNothing(t *testing.T) {
	slow(t)
	s := newSite(t, ada("demo@1.0"), guarded(manyFiles(60, 500)...))
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden, Path: "*[05].csv"})
	r := newRig(t, rigOptions{site: s, user: login, connections: 2})
	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 60, Fetched: 48, Failed: 12})
}

// A folder that is closed costs the person that folder, not the rest.
func TestAClosedFolderEndsNothing(t *testing.T) {
	t.Parallel()
	files := append(manyFiles(30, 500), file("aa/first.csv", 500))
	s := newSite(t, ada("demo@1.0"), guarded(files...))
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden, Path: "/files/demo/1.0/files/**"})
	r := newRig(t, rigOptions{site: s, user: login, connections: 2})
	wantFiles(t, r.pull(), store.Incomplete, store.Files{Total: 31, Fetched: 1, Failed: 30})
}

// Nothing goes to a server that is not asked by https.
func TestNoSecretOverPlainHTTP(t *testing.T) {
	t.Parallel()
	if _, err := physionet.New(physionet.Options{URL: "http://physionet.example", Credentials: login}); err == nil {
		t.Error("New(http://physionet.example) = nil, want an error")
	} else {
		silent(t, err.Error())
	}
	_, err := physionet.New(physionet.Options{URL: "https://ada:" + strings.ReplaceAll(secret, " ", "") + "@physionet.example"})
	if err == nil || strings.Contains(err.Error(), "c0rrect") {
		t.Errorf("New(URL with a password) = %v, want an error without it", err)
	}
}
