package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
)

func TestMain(m *testing.M) {
	// Most scripts wait, for a retry or a keyring: more of them than there are
	// processors may do so together. A -parallel on the command line wins.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"chatter": chatter, "mimicsync": func() {
		patience, _ = time.ParseDuration(os.Getenv("PATIENCE"))
		main()
	}})
}

// slow marks a test that takes seconds.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
}

// TestScripts runs the command lines of testdata/script against a look-alike
// over TLS. `env PATIENCE=2s` is for how long a manifest is asked for. The scripts know these commands beside testscript's own:
//
//	physionet open|controlled    starts it; user "marie", password "hunter2"
//	s3 [without PATH]            starts Amazon's copy, open to all
//	gcs [wrong PATH|paid]        starts Google's, which is open to all and may have a file wrong, or who reads pays
//	proxy CODE                   a proxy for other hosts, which answers every CONNECT so
//	fault KIND PATH [TIMES]      makes PhysioNet misbehave
//	requests MAX                 fails if it got more requests since the last call
//	publish FILE VERSION         publishes demo@VERSION with FILE as its manifest
//	password TEXT                changes marie's password
//	deafbus                      gives the following commands a session bus that never answers
//	sign, unsign                 marie has signed the agreement, or has not
//	code N mimicsync ...         runs it and wants the exit code N
//	jsonpass STATE TOTAL FAILED  expects stdout to be the report of one pass
//	jsonkeys KEY...              wants stdout to be one JSON object with just these keys
//	waitowner                    waits until a process owns the mirror
//	waitdaemon                   waits until a daemon answers for it
//	waitpass                     waits until a pass of the daemon fetches
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent") // no keyring: nobody's own
			e.Setenv("MIMICSYNC_MIRROR", "mirror")
			e.Values[siteKey{}] = new(running)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"physionet": startPhysioNet,
			"s3":        startS3,
			"gcs":       startGCS,
			"proxy":     startProxy,
			"fault":     injectFault,
			"requests":  countRequests,
			"publish":   publish,
			"sign":      func(ts *testscript.TestScript, _ bool, _ []string) { server(ts).Sign("marie", "demo", "1.0") },
			"unsign": func(ts *testscript.TestScript, _ bool, _ []string) {
				server(ts).UpdateUser("marie", func(u *lookalike.User) { u.Signed = nil })
			},
			"password":  func(ts *testscript.TestScript, _ bool, args []string) { server(ts).SetPassword("marie", args[0]) },
			"deafbus":   startDeafBus,
			"code":      wantCode,
			"waitowner": waitForOwner,
			"waitdaemon": func(ts *testscript.TestScript, _ bool, _ []string) {
				waitForDaemon(ts, func(daemon.Status) bool { return true })
			},
			"waitpass": func(ts *testscript.TestScript, _ bool, _ []string) {
				waitForDaemon(ts, func(s daemon.Status) bool {
					return slices.ContainsFunc(s.Datasets, func(d daemon.DatasetStatus) bool { return d.Pass != nil && d.Pass.Phase == progress.PhaseTransfer })
				})
			},
			"jsonpass": wantPass,
			"jsonkeys": wantKeys,
		},
	})
}

// siteKey is where a script keeps its look-alike.
type siteKey struct{}

type running struct{ *lookalike.Server }

func server(ts *testscript.TestScript) *lookalike.Server {
	return ts.Value(siteKey{}).(*running).Server
}

var demoContent = []lookalike.GeneratedFile{
	{Path: "hosp/admissions.csv.gz", Size: 40_000},
	{Path: "hosp/labevents.csv.gz", Size: 2_000_000},
	{Path: "icu/chartevents.csv.gz", Size: 300_000},
	{Path: "LICENSE.txt", Size: 2500},
}

func startPhysioNet(ts *testscript.TestScript, _ bool, args []string) {
	policy := lookalike.Open
	if args[0] == "controlled" {
		policy = lookalike.Credentialed
	}
	files := lookalike.Generated(demoContent)
	s := lookalike.New(lookalike.Project{Slug: "demo", Title: "Demo", Policy: policy, Versions: []lookalike.Version{
		{Version: "1.0", Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()},
	}})
	s.AddUser(lookalike.User{Name: "marie", Password: "hunter2", Credentialed: true, Signed: []string{"demo@1.0"}})
	ts.Value(siteKey{}).(*running).Server = s
	ts.Setenv("MIMICSYNC_PHYSIONET_URL", serve(ts, s))
}

// serve runs a look-alike over TLS, which the commands trust.
func serve(ts *testscript.TestScript, s interface {
	http.Handler
	Close()
},
) (url string) {
	h := httptest.NewUnstartedServer(s)
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h.StartTLS()
	ts.Defer(func() {
		s.Close()
		h.Close()
	})
	cert := ts.MkAbs("ca.pem")
	ts.Check(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600))
	ts.Setenv("SSL_CERT_FILE", cert) // all servers of httptest have the same
	return h.URL
}

// copied is what a store has of demo@1.0.
func copied(ts *testscript.TestScript, prefix, without string) lookalike.Objects {
	generated := lookalike.Generated(demoContent)
	files := []lookalike.GeneratedFile{{Path: prefix + manifest.Name, Data: generated.Manifest()}}
	for _, f := range demoContent {
		data, err := fs.ReadFile(generated, f.Path) // what a generated file holds depends on its path
		ts.Check(err)
		if f.Path != without {
			files = append(files, lookalike.GeneratedFile{Path: prefix + f.Path, Data: data})
		}
	}
	return lookalike.Generated(files)
}

func startS3(ts *testscript.TestScript, _ bool, args []string) {
	without := ""
	if len(args) == 2 {
		without = args[1]
	}
	s := lookalike.NewS3()
	s.AddBucket(lookalike.S3Bucket{Name: "physionet-open", Public: true, Objects: copied(ts, "demo/1.0/", without)})
	ts.Setenv("AWS_ENDPOINT_URL_S3", serve(ts, s))
	ts.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func startGCS(ts *testscript.TestScript, _ bool, args []string) {
	b := lookalike.Bucket{Name: "demo-1.0.physionet.org", Objects: copied(ts, "", "")}
	switch {
	case len(args) == 2:
		b.Wrong = func(path string) bool { return path == args[1] }
	case len(args) == 1:
		b.RequesterPays = true
	}
	ts.Setenv("MIMICSYNC_GCS_ENDPOINT", serve(ts, lookalike.NewGCS(b)))
	ts.Setenv("GCE_METADATA_HOST", "127.0.0.1:1") // else this machine is asked whether it is one of Google's
}

func startProxy(ts *testscript.TestScript, _ bool, args []string) {
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
	ts.Defer(h.Close)
	ts.Setenv("HTTPS_PROXY", h.URL)
}

// startDeafBus listens as a session bus does, and says nothing.
func startDeafBus(ts *testscript.TestScript, _ bool, _ []string) {
	dir, err := os.MkdirTemp("", "bus") // the name of a socket must be short
	ts.Check(err)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	ts.Check(err)
	ts.Defer(func() {
		_ = l.Close()
		_ = os.RemoveAll(dir)
	})
	ts.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(dir, "s")) // the kernel connects, nobody reads
}

var kinds = map[string]lookalike.Fault{
	"corrupt":     {Kind: lookalike.Corrupt, After: 100},
	"html":        {Kind: lookalike.HTMLPage},
	"missing":     {Kind: lookalike.Status, Code: 404},
	"busy":        {Kind: lookalike.Status, Code: 503, RetryAfter: "1"},
	"resting":     {Kind: lookalike.Status, Code: 503, RetryAfter: "2"},
	"tired":       {Kind: lookalike.Status, Code: 503, RetryAfter: "5"},
	"late":        {Kind: lookalike.Delay, Duration: unanswered + 200*time.Millisecond},
	"unavailable": {Kind: lookalike.Status, Code: 502},
	"slow":        {Kind: lookalike.Slow, Rate: 200_000},
	"short":       {Kind: lookalike.ShortBody, After: 50},
}

func injectFault(ts *testscript.TestScript, _ bool, args []string) {
	f, ok := kinds[args[0]]
	if !ok {
		ts.Fatalf("no fault %s", args[0])
	}
	f.Path = args[1]
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		f.Times = n
	}
	server(ts).Inject(f)
}

func countRequests(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	if got := server(ts).Counters().Requests; got > limit {
		ts.Fatalf("%d requests, want at most %d", got, limit)
	}
	server(ts).Reset()
}

func publish(ts *testscript.TestScript, _ bool, args []string) {
	files := lookalike.Generated(demoContent)
	server(ts).Publish(lookalike.Project{Slug: "demo", Title: "Demo", Versions: []lookalike.Version{
		{Version: args[1], Files: files, Manifest: []byte(ts.ReadFile(args[0])), Bytes: files.Bytes()},
	}})
}

func wantCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		text := err.Error()
		if got, err = strconv.Atoi(strings.TrimPrefix(text, "exit status ")); err != nil {
			ts.Fatalf("%s", text)
		}
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func waitForOwner(ts *testscript.TestScript, _ bool, _ []string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs("mirror/.mimicsync/owner")); err == nil {
			return
		}
	}
	ts.Fatalf("no process took the mirror")
}

// waitForDaemon waits until the daemon of the mirror is in a state.
func waitForDaemon(ts *testscript.TestScript, until func(daemon.Status) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		client, err := api.Dial(ctx, ts.MkAbs("mirror"))
		if err != nil {
			continue
		}
		status, err := client.Status(ctx)
		client.Close()
		if err == nil && until(status) {
			return
		}
	}
	ts.Fatalf("no daemon came so far")
}

// only decodes stdout, which must be one JSON object and nothing else.
func only(ts *testscript.TestScript) map[string]any {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var object map[string]any
	ts.Check(d.Decode(&object))
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		ts.Fatalf("stdout goes on after the JSON object")
	}
	return object
}

func wantKeys(ts *testscript.TestScript, _ bool, args []string) {
	if got := keys(only(ts)); got != strings.Join(args, " ") {
		ts.Fatalf("keys %s, want %s", got, strings.Join(args, " "))
	}
}

func wantPass(ts *testscript.TestScript, _ bool, args []string) {
	passes, _ := only(ts)["passes"].([]any)
	if len(passes) != 1 {
		ts.Fatalf("%d passes, want 1", len(passes))
	}
	pass, _ := passes[0].(map[string]any)
	files, _ := pass["files"].(map[string]any)
	bytes, _ := pass["bytes"].(map[string]any)
	failures, _ := pass["failures"].([]any)
	if pass["state"] == "failed" {
		delete(pass, "error") // says why
	}
	if pass["state"] != "complete" {
		delete(pass, "left")
		delete(pass, "left_bytes")
	}
	got := fmt.Sprint(keys(pass), "|", keys(files), "|", keys(bytes), "|", fmt.Sprintf("%v %v %v %d", pass["state"], files["total"], files["failed"], len(failures)))
	want := fmt.Sprint("bytes dataset elapsed_s failures files state version|adopted failed fetched linked present total|" +
		"adopted discarded fetched linked present|" + args[0] + " " + args[1] + " " + args[2] + " " + args[2])
	if got != want {
		ts.Fatalf("got  %s\nwant %s", got, want)
	}
	for _, f := range failures {
		if k := keys(f.(map[string]any)); k != "detail path reason source" {
			ts.Fatalf("a failure has the keys %s", k)
		}
	}
}

func keys(m map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }
