package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/tree"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// demo is the version that all patients want, and marker what none may tell.
var demo = manifest.Ref{Dataset: "demo", Version: "1.0"}

const marker = "s3cr3t-marker"

// patient is somebody who does not get to the data: a source, and the server
// that it asks.
type patient struct {
	Candidate

	server interface{ Counters() lookalike.Counters }
}

// ailment is why, and what doctor has to say about it.
type ailment struct {
	name    string
	patient func(t *testing.T) patient
	check   string       // which finds it
	cause   source.Cause // if it has one
	says    string       // of the finding
	cures   []string     // pages, commands and words of the steps, in their order
	fetches bool         // the dataset can be fetched all the same
}

// TestDoctorNamesTheCure has for each of the failures a look-alike that shows it.
func TestDoctorNamesTheCure(t *testing.T) {
	skipIfShort(t)
	all := append(physionetAilments(), closedAilments()...)
	all = append(all, networkAilments()...)
	all = append(all, gcsAilments()...)
	all = append(all, s3Ailments()...)
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) {
			isolate(t)
			p := a.patient(t)
			d := &Doctor{Check: func() error { return nil }, IsAway: func(error) bool { return false }, Ref: demo, Wanted: true, Mirror: t.TempDir(), Candidates: []Candidate{p.Candidate}, Limit: 5 * time.Second}
			if a.name == "silence" {
				d.Limit = 100 * time.Millisecond
			}
			result := d.Examine(t.Context())
			wantFinding(t, result, p.Name, a)
			if result.OK != a.fetches {
				t.Errorf("the dataset can be fetched: %t, want %t", result.OK, a.fetches)
			}
			wantNoSecret(t, result)
			if p.server == nil {
				return
			}
			if n := p.server.Counters().Requests; n > 7 {
				t.Errorf("%d requests, want at most 7", n)
			}
		})
	}
}

func wantFinding(t *testing.T, d Diagnosis, name string, a ailment) {
	t.Helper()
	for _, g := range d.Groups {
		for _, f := range g.Checks {
			if g.Name != name || f.Check != a.check {
				continue
			}
			if f.State != hasFailed && f.State != isNote || f.Cause != string(a.cause) || !strings.Contains(f.Says, a.says) {
				t.Errorf("%s: %s %s (cause %q), want the cause %q and %q", f.Check, f.State, f.Says, f.Cause, a.cause, a.says)
			}
			rest := fmt.Sprint(f.Cure)
			for _, want := range a.cures {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Errorf("%s: the cure is %q, want it to name %q", f.Check, f.Cure, want)
				}
				rest = after
			}
			return
		}
	}
	t.Errorf("there is no check %s of %s in %+v", a.check, name, d.Groups)
}

func wantNoSecret(t *testing.T, d Diagnosis) {
	t.Helper()
	var out bytes.Buffer
	u := &terminal.UI{Stdout: &out, Stderr: &out}
	d.Print(u)
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, s := range []string{marker, "PRIVATE KEY", "ya29", "hunter2"} {
		if strings.Contains(out.String(), s) {
			t.Errorf("the secret %s is told:\n%s", s, &out)
		}
	}
}

// isolate keeps the accounts of whoever runs the tests out of them.
func isolate(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "GOOGLE_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			t.Setenv(name, "")
			_ = os.Unsetenv(name) // which Setenv takes back in the end
		}
	}
	for name, value := range map[string]string{
		"HOME": t.TempDir(), "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"GCE_METADATA_HOST": "127.0.0.1:1",
	} {
		t.Setenv(name, value)
	}
}

var marie = physionet.Credentials{User: "marie", Password: "hunter2", From: "the test"}

// site is a PhysioNet with the closed version demo@1.0, which marie may read.
func site(v lookalike.Version) *lookalike.Server {
	files := lookalike.Generated(siteFiles)
	v.Version, v.Files, v.Manifest = "1.0", files, files.Manifest()
	s := lookalike.New(lookalike.Project{Slug: "demo", Title: "Demo", Policy: lookalike.Credentialed, Versions: []lookalike.Version{v}})
	s.PlainBasic = true
	s.AddUser(lookalike.User{Name: "marie", Password: "hunter2", Credentialed: true, Signed: []string{"demo@1.0"}})
	return s
}

// visit asks a handler as PhysioNet.
func visit(t *testing.T, h http.Handler, c physionet.Credentials) Candidate {
	t.Helper()
	hs := httptest.NewServer(h)
	t.Cleanup(hs.Close)
	source, err := physionet.New(physionet.Options{URL: hs.URL, Credentials: c, Version: "test"})
	return Candidate{Name: "physionet", Source: source, Err: err}
}

// with is a patient with an account, who asks for a version of the site.
func with(c physionet.Credentials, v lookalike.Version, change func(*lookalike.Server)) func(*testing.T) patient {
	return func(t *testing.T) patient {
		t.Helper()
		s := site(v)
		t.Cleanup(s.Close)
		if change != nil {
			change(s)
		}
		return patient{visit(t, s, c), s}
	}
}

var nobody physionet.Credentials

// closedAilments are those of versions that nobody gets, or not so.
func closedAilments() []ailment {
	return []ailment{
		{
			name: "withdrawn version", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				s.Publish(lookalike.Project{Slug: "demo", Versions: []lookalike.Version{{Version: "1.0", Deprecated: true}, {Version: "1.1"}}})
			}),
			check: "access", cause: source.CauseWithdrawn, says: "no longer offers", cures: []string{"use the newest version", "/content/demo/"},
		},
		{
			name: "closed region", patient: with(nobody, lookalike.Version{Georestricted: true}, nil),
			check: "access", cause: source.CauseRegion, says: "in your region", cures: []string{"/content/demo/1.0/"},
		},
		{
			name: "withdrawn altogether", patient: with(nobody, lookalike.Version{Deprecated: true}, nil),
			check: "access", cause: source.CauseWithdrawn, says: "no newer version", cures: []string{"/content/demo/1.0/"},
		},
		{
			name: "downloads switched off", patient: with(nobody, lookalike.Version{DownloadsDisabled: true}, nil),
			check: "access", cause: source.CauseDownloadsOff, says: "research environment", cures: []string{"/content/demo/1.0/"},
		},
		{
			name: "downloads switched off for a user with access", patient: with(marie, lookalike.Version{DownloadsDisabled: true}, nil),
			check: "access", cause: source.CauseDownloadsOff, says: "research environment", cures: []string{"/content/demo/1.0/"},
		},
		{
			name: "downloads switched off, and its page does not say so", patient: with(marie, lookalike.Version{DownloadsDisabled: true}, func(s *lookalike.Server) {
				s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 502, Path: "/content/**"})
			}),
			check: "access", cause: source.CauseUnexplained, says: "denies access to the files", cures: []string{"/content/demo/1.0/", "try again later"},
		},
		{
			name: "contributors to ask", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				files := lookalike.Generated(siteFiles)
				s.Publish(lookalike.Project{Slug: "demo", Policy: lookalike.ContributorReview, Versions: []lookalike.Version{{Version: "1.0", Files: files, Manifest: files.Manifest()}}})
				s.UpdateUser("marie", func(u *lookalike.User) { u.Signed = nil })
			}),
			check: "access", cause: source.CauseReview, says: `denies the user "marie" access`, cures: []string{"/request-access-status/demo/1.0/", "/settings/training/"},
		},
		{
			name: "not published yet", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				s.Publish(lookalike.Project{Slug: "demo", Versions: []lookalike.Version{{Version: "1.0"}}})
			}),
			check: "access", says: "not published yet", cures: []string{"in a few minutes", "/content/demo/1.0/"},
		},
		{
			name: "another address", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) { s.Move("https://physionet.example") }),
			check: "access", says: "redirects to https://physionet.example", cures: []string{"MIMICSYNC_PHYSIONET_URL=https://physionet.example"},
		},
	}
}

func physionetAilments() []ailment {
	wrong := physionet.Credentials{User: "marie", Password: marker, From: "the test"}
	return []ailment{
		{
			name: "no account", patient: with(nobody, lookalike.Version{}, nil),
			check: "access", says: "none was found", cures: []string{"mimicsync login", "PHYSIONET_USERNAME", "/content/demo/1.0/"},
		},
		{
			name: "wrong password", patient: with(wrong, lookalike.Version{}, nil),
			check: "account", says: `rejects the user "marie"`, cures: []string{"/login/", "correct them in the test"},
		},
		{
			name: "wrong password for an open dataset", patient: with(wrong, lookalike.Version{}, func(s *lookalike.Server) {
				files := lookalike.Generated(siteFiles)
				s.Publish(lookalike.Project{Slug: "demo", Versions: []lookalike.Version{{Version: "1.0", Files: files, Manifest: files.Manifest()}}})
			}),
			check: "account", says: `rejects the user "marie"`, cures: []string{"/login/"}, fetches: true,
		},
		{
			name: "agreement unsigned", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				s.UpdateUser("marie", func(u *lookalike.User) { u.Signed = nil })
			}),
			check: "access", says: `denies the user "marie" access`, cures: []string{"/sign-dua/demo/1.0/", "/settings/training/", "/content/demo/1.0/"},
		},
		{
			name: "training expired", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				s.UpdateUser("marie", func(u *lookalike.User) { u.TrainingUntil = time.Now().Add(-time.Hour) })
			}),
			check: "access", says: `denies the user "marie" access`, cures: []string{"/settings/training/"},
		},
		{
			name: "not credentialed", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				s.UpdateUser("marie", func(u *lookalike.User) { u.Credentialed = false })
			}),
			check: "access", says: `denies the user "marie" access`, cures: []string{"/settings/credentialing/"},
		},
		{
			name: "unknown version", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				s.Publish(lookalike.Project{Slug: "demo"})
			}),
			check: "access", says: "no dataset demo@1.0", cures: []string{"mimicsync datasets", "/content/demo/"},
		},
		{
			name: "web page", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				s.Inject(lookalike.Fault{Kind: lookalike.HTMLPage, Path: manifest.Name})
			}),
			check: "access", says: "web page", cures: []string{"login page"},
		},
		{
			name: "trouble at the server", patient: with(marie, lookalike.Version{}, func(s *lookalike.Server) {
				s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 503})
			}),
			check: "access", says: "503", cures: []string{"try again later"},
		},
	}
}

func networkAilments() []ailment {
	return []ailment{
		{
			name: "nobody listens", check: "network", says: "connection refused", cures: []string{"HTTPS_PROXY"},
			patient: func(t *testing.T) patient {
				t.Helper()
				source, err := physionet.New(physionet.Options{URL: "https://127.0.0.1:1"})
				return patient{Candidate{Name: "physionet", Source: source, Err: err}, nil}
			},
		},
		{
			name: "silence", check: "network", says: "no data arrived for 100ms", cures: []string{"HTTPS_PROXY"},
			patient: func(t *testing.T) patient {
				t.Helper()
				s := site(lookalike.Version{})
				s.Inject(lookalike.Fault{Kind: lookalike.Delay})
				c := visit(t, s, marie)
				t.Cleanup(s.Close)
				return patient{c, s}
			},
		},
		{
			name: "no such host", check: "network", says: "no such host", cures: []string{"name servers"},
			patient: func(t *testing.T) patient {
				t.Helper()
				source, err := physionet.New(physionet.Options{DialContext: func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.DNSError{Err: "no such host", Name: "physionet.org", IsNotFound: true} // no resolver of this machine is asked
				}})
				return patient{Candidate{Name: "physionet", Source: source, Err: err}, nil}
			},
		},
		{
			name: "unknown certificate", check: "network", says: "certificate", cures: []string{"SSL_CERT_FILE"},
			patient: func(t *testing.T) patient {
				t.Helper()
				hs := httptest.NewUnstartedServer(site(lookalike.Version{}))
				hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
				hs.StartTLS()
				t.Cleanup(hs.Close)
				source, err := physionet.New(physionet.Options{URL: hs.URL})
				return patient{Candidate{Name: "physionet", Source: source, Err: err}, nil}
			},
		},
		{
			name: "clock", check: "clock", cause: source.CauseClock, says: "behind the server's", cures: []string{"timedatectl"}, fetches: true,
			patient: func(t *testing.T) patient {
				t.Helper()
				s := site(lookalike.Version{})
				t.Cleanup(s.Close)
				return patient{visit(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
					s.ServeHTTP(w, r)
				}), marie), s}
			},
		},
		{
			name: "bad configuration", check: "configuration", says: "must begin with https://",
			patient: func(t *testing.T) patient {
				t.Helper()
				source, err := physionet.New(physionet.Options{URL: "http://physionet.example"})
				return patient{Candidate{Name: "physionet", Source: source, Err: err}, nil}
			},
		},
	}
}

// A mirror that somebody else has, and a disk that is too small, are told; they
// keep nobody from asking the sources.
func TestDoctorLooksAtTheMirror(t *testing.T) {
	mirror := t.TempDir()
	place, err := store.Locate(mirror, "")
	if err != nil {
		t.Fatal(err)
	}
	d := &Doctor{Check: func() error { return nil }, IsAway: func(error) bool { return false }, Mirror: mirror, Limit: 5 * time.Second}
	for _, test := range []struct {
		command string
		cures   []string
	}{{"pull", []string{fmt.Sprintf("kill %d", os.Getpid())}}, {"daemon", nil}} { // a daemon is asked, and in nobody's way
		s, err := store.Open(place, test.command)
		if err != nil {
			t.Fatal(err)
		}
		found := Diagnosis{Groups: []Group{d.examineMirror(t.Context())}}
		wantFinding(t, found, "mirror", ailment{check: "owner", says: "in use by another process", cures: test.cures})
		if checks := found.Groups[0].Checks; len(checks[len(checks)-1].Cure) != len(test.cures) {
			t.Errorf("the cure of %s is %q, want %q", test.command, checks[len(checks)-1].Cure, test.cures)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}

	big := manifest.Ref{Dataset: "mimiciv", Version: "3.1"}
	for _, test := range []struct {
		finding finding
		want    ailment
	}{
		{(&Doctor{}).spaceFinding(tree.Ground{Free: durable.Space{Bytes: 1e9, Inodes: -1}}, big), ailment{says: "1.0 GB free; all of mimiciv@3.1 is", cures: []string{"mimicsync plan mimiciv@3.1", "--mirror"}}},
		{(&Doctor{}).spaceFinding(tree.Ground{Free: durable.Space{Bytes: 1e12}}, big), ailment{says: "no free inode left", cures: []string{"--mirror"}}},
		{linksFinding(tree.Ground{}), ailment{says: "copied"}},
		{fileSystemFinding(tree.Ground{FileSystem: "NFS", Network: true}), ailment{says: "NFS, on a file server"}},
	} {
		test.want.check = test.finding.Check
		wantFinding(t, Diagnosis{Groups: []Group{{Name: "mirror", Checks: []finding{test.finding}}}}, "mirror", test.want)
	}
}

func TestWrapKeepsCommandsWhole(t *testing.T) {
	s := advice.Step{Do: "log in to Google as the account that is linked", Command: "gcloud auth application-default login"}
	if got, want := words.Wrap(s.Words(), 50, "    "), "log in to Google as the account that is\n    linked: gcloud auth application-default login"; got != want {
		t.Errorf("wrap = %q, want %q", got, want)
	}
	if got := words.Wrap(s.Words(), 0, "    "); got != s.String() {
		t.Errorf("wrap without a width = %q, want %q", got, s)
	}
}

// A share of SMB that lends out files by their names is told by doctor.
func TestNamesThatCannotBeRead(t *testing.T) {
	f := linksFinding(tree.Ground{HardLinks: true, Unreadable: syscall.EACCES})
	if f.State != hasFailed || len(f.Cure) == 0 || !strings.Contains(f.Cure[0].Do, "nolease") {
		t.Errorf("linksFinding = %+v, want the mount option", f)
	}
	if f := linksFinding(tree.Ground{HardLinks: true}); f.State != isOK {
		t.Errorf("linksFinding of good links = %+v, want ok", f)
	}
}

var siteFiles = []lookalike.GeneratedFile{
	{Path: "hosp/admissions.csv.gz", Size: 40_000},
	{Path: "LICENSE.txt", Size: 2500},
}

func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
}
