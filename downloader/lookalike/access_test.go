package lookalike_test

import (
	"net/http"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
)

const closedFile = "/files/closed/2.2/hosp/patients.csv"

// entitled is a user who may read everything of the closed project.
func entitled() lookalike.User {
	return lookalike.User{
		Name: "reader", Email: "Reader@Example.org", Password: "pässword:1",
		Credentialed: true, Signed: []string{"closed@2.2"},
	}
}

func TestOnlyTwoProgramsMayUseBasic(t *testing.T) {
	s := lookalike.New(closedProject(lookalike.Credentialed))
	s.AddUser(entitled())
	w := serve(t, s)
	for ua, want := range map[string]int{
		"Wget/1.21.3": 200, "Wget/": 200, "libwfdb/10.7.0 (x +3XX)": 200, wget: 200,
		"wget/1.21": 403, "mimicsync/1.0 Wget/1.21": 403, "curl/8": 403, "Go-http-client/2.0": 403, "": 403,
	} {
		w.get(closedFile, header("User-Agent", ua), as("reader", "pässword:1")).want(t, want)
	}
	w.get(closedFile, header("User-Agent", "curl/8")).want(t, 403)
}

func TestChallenge(t *testing.T) {
	w := serve(t, lookalike.New(closedProject(lookalike.Credentialed)))
	a := w.get(closedFile)
	a.want(t, 401, "WWW-Authenticate", `Basic realm="PhysioNet", charset="UTF-8"`, "Content-Length", "0",
		"Set-Cookie", "testcookie=1; HttpOnly; Path=/; SameSite=Lax; Secure", "Vary", "Authorization, Origin, Cookie")
	if len(a.body) != 0 {
		t.Errorf("a 401 has %d bytes, want none", len(a.body))
	}
	w.do(http.MethodHead, closedFile).want(t, 401)
	w.get("/files/closed/2.2/none").want(t, 401) // what exists is not revealed
}

func TestNamesAreCaseInsensitiveAndPasswordsAreNot(t *testing.T) {
	s := lookalike.New(closedProject(lookalike.Credentialed))
	s.AddUser(entitled())
	w := serve(t, s)
	w.get(closedFile, as("Reader", "pässword:1")).want(t, 200)
	w.get(closedFile, as("READER@example.ORG", "pässword:1")).want(t, 200)
	w.get(closedFile, as("reader", "PÄSSWORD:1")).want(t, 401)
	w.get(closedFile, as("nobody", "pässword:1")).want(t, 401)
	w.get(closedFile, header("Authorization", "Basic ***")).want(t, 401)
}

func TestWhoMayRead(t *testing.T) {
	now := time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		policy lookalike.Policy
		change func(*lookalike.User)
		want   int
	}{
		{"entitled", lookalike.Credentialed, func(*lookalike.User) {}, 200},
		{"unsigned", lookalike.Credentialed, func(u *lookalike.User) { u.Signed = nil }, 403},
		{"signed another version", lookalike.Credentialed, func(u *lookalike.User) { u.Signed = []string{"closed@2.1"} }, 403},
		{"not credentialed", lookalike.Credentialed, func(u *lookalike.User) { u.Credentialed = false }, 403},
		{"training expired", lookalike.Credentialed, func(u *lookalike.User) { u.TrainingUntil = now }, 403},
		{"training valid", lookalike.Credentialed, func(u *lookalike.User) { u.TrainingUntil = now.Add(1) }, 200},
		{"restricted needs no credential", lookalike.Restricted, func(u *lookalike.User) { u.Credentialed = false }, 200},
		{"restricted needs a signature", lookalike.Restricted, func(u *lookalike.User) { u.Signed = nil }, 403},
		{"request not accepted", lookalike.ContributorReview, func(u *lookalike.User) { u.Signed = nil }, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := lookalike.New(closedProject(tt.policy))
			s.Now = func() time.Time { return now }
			s.AddUser(entitled())
			s.UpdateUser("reader", tt.change)
			serve(t, s).get(closedFile, as("reader", "pässword:1")).want(t, tt.want)
		})
	}
}

func TestSigningOpensTheVersion(t *testing.T) {
	s := lookalike.New(closedProject(lookalike.Credentialed))
	u := entitled()
	u.Signed = nil
	s.AddUser(u)
	w := serve(t, s)
	w.get(closedFile, as("reader", "pässword:1")).want(t, 403)
	s.Sign("reader", "closed", "2.2")
	w.get(closedFile, as("reader", "pässword:1")).want(t, 200)
}

func TestClosedFilesOfOpenProjects(t *testing.T) {
	for name, shut := range map[string]func(*lookalike.Version){
		"deprecated":    func(v *lookalike.Version) { v.Deprecated = true },
		"disabled":      func(v *lookalike.Version) { v.DownloadsDisabled = true },
		"georestricted": func(v *lookalike.Version) { v.Georestricted = true },
	} {
		t.Run(name, func(t *testing.T) {
			p := demo()
			shut(&p.Versions[0])
			s := lookalike.New(p)
			s.AddUser(entitled())
			w := serve(t, s)
			w.get("/files/demo/2.2/LICENSE.txt").want(t, 401) // misleading, and true to the original
			w.get("/files/demo/2.2/LICENSE.txt", as("reader", "pässword:1")).want(t, 403)
			w.get("/files/demo/2.2/LICENSE.txt", header("User-Agent", "curl/8")).want(t, 403)
			w.get("/content/demo/2.2/").want(t, 200)
		})
	}
}

func TestCookiesSpareThePasswordCheck(t *testing.T) {
	s := lookalike.New(closedProject(lookalike.Credentialed))
	s.AddUser(entitled())
	w := serve(t, s)
	checks := func(want int64) {
		t.Helper()
		if got := s.Counters().PasswordChecks; got != want {
			t.Errorf("PasswordChecks = %d, want %d", got, want)
		}
	}
	for range 3 { // without cookies, each request is checked
		w.get(closedFile, as("reader", "pässword:1")).want(t, 200, "Set-Cookie", "")
	}
	checks(3)

	w.keepCookies()
	w.get(closedFile).want(t, 401)
	a := w.get(closedFile, as("reader", "pässword:1"))
	if a.StatusCode != 200 || len(a.Cookies()) != 1 || a.Cookies()[0].Name != "sessionid" || a.Cookies()[0].MaxAge != 43200 {
		t.Errorf("first login: status %d, cookies %v", a.StatusCode, a.Cookies())
	}
	checks(4)
	for range 3 {
		w.get(closedFile, as("reader", "pässword:1")).want(t, 200, "Set-Cookie", "")
	}
	w.get(closedFile, as("reader", "stale")).want(t, 200) // nobody looks at it
	w.get(closedFile).want(t, 401)                        // but it must be there
	checks(4)

	s.DropSessions()
	w.get(closedFile, as("reader", "pässword:1")).want(t, 200)
	checks(5)
	s.SetPassword("reader", "new")
	w.get(closedFile, as("reader", "pässword:1")).want(t, 401)
	w.get(closedFile, as("reader", "new")).want(t, 200)
	checks(7)
}

func TestHashDelay(t *testing.T) {
	s := lookalike.New(closedProject(lookalike.Credentialed))
	s.HashDelay = 50 * time.Millisecond
	s.AddUser(entitled())
	w := serve(t, s)
	start := time.Now()
	w.get(closedFile, as("reader", "pässword:1")).want(t, 200)
	if got := time.Since(start); got < s.HashDelay {
		t.Errorf("a password check took %v, want %v at least", got, s.HashDelay)
	}
}
