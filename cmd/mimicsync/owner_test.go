package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/report"
)

// owned is a mirror that a daemon of this process owns, with a look-alike that has
// demo@1.0.
type owned struct {
	*lookalike.Server
	mirror string
	stop   func() // the daemon, and gives the mirror back
}

func newOwned(t *testing.T, serve bool) *owned {
	t.Helper()
	files := lookalike.Generated(demoContent)
	o := &owned{mirror: filepath.Join(t.TempDir(), "mirror"), Server: lookalike.New(lookalike.Project{
		Slug: "demo", Title: "Demo", Policy: lookalike.Open, Versions: []lookalike.Version{{Version: "1.0", Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()}},
	})}
	site := httptest.NewServer(o.Server)
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
		"MIMICSYNC_PHYSIONET_URL": site.URL, "MIMICSYNC_MIRROR": o.mirror,
	} {
		t.Setenv(name, value)
	}
	a := newApp(io.Discard, io.Discard)
	try(t, a.settle(new(pflag.FlagSet)))
	m, err := a.openMirror(t.Context(), "daemon", true)
	try(t, err)
	d, err := daemon.New(daemon.Options{
		Program: "test", Mirror: o.mirror, Syncer: m.syncer, Bandwidth: a.limits.bandwidth,
		Load: func() (daemon.Settings, []string, error) {
			return daemon.Settings{}, []string{"listen: restart the daemon"}, nil
		},
		Explain: func(err error) (string, string) { return err.Error(), (advice.Adviser{}).Advise(err).Hint },
	})
	try(t, err)
	server := api.New(d, api.Options{Mirror: o.mirror, Advise: (advice.Adviser{}).ForClient})
	if serve {
		try(t, server.Listen(t.Context()))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran, served := make(chan error, 1), make(chan error, 1)
	go func() { ran <- d.Run(ctx) }()
	go func() {
		if serve {
			served <- server.Serve(ctx)
			return
		}
		served <- nil
	}()
	o.stop = func() {
		cancel()
		try(t, errors.Join(<-served, <-ran, m.close()))
		o.stop = func() {}
	}
	t.Cleanup(func() {
		o.stop()
		o.Close()
		site.Close()
	})
	return o
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command runs one and wants its exit code, and each text in what it prints.
func command(t *testing.T, code int, line string, texts ...string) string {
	t.Helper()
	return commandIn(t.Context(), t, code, line, texts...)
}

func commandIn(ctx context.Context, t *testing.T, code int, line string, texts ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(ctx, strings.Fields(line), &stdout, &stderr); got != code {
		t.Errorf("%s: exit code %d, want %d\n%s%s", line, got, code, &stdout, &stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout.String()+stderr.String(), text) {
			t.Errorf("%s: want %q in\n%s%s", line, text, &stdout, &stderr)
		}
	}
	return stdout.String()
}

// Pull, status and verify say the same and end with the same codes, whether they
// do it themselves or ask the daemon.
func TestCommandsGoThroughTheDaemon(t *testing.T) {
	slow(t)
	o := newOwned(t, true)
	const fetched = "demo 1.0 complete: 4 of 4 files verified: 4 fetched (2.3 MB), in "
	command(t, 0, "pull demo", fetched)
	var result struct {
		Passes []report.Report `json:"passes"`
	}
	try(t, json.Unmarshal([]byte(command(t, 0, "pull demo@1.0 --json")), &result))
	if len(result.Passes) != 1 || result.Passes[0].Files.Present != 4 {
		t.Errorf("passes: %+v", result.Passes)
	}
	table := "demo     1.0      4         4   2.3 MB  complete"
	command(t, 0, "status", table, "Its daemon has been running since", "demo: idle")
	command(t, 0, "status demo --json", `"daemon": {`)
	command(t, 2, "status other", "the mirror has nothing of other")
	command(t, 0, "verify", "demo 1.0: 4 files verified (2.3 MB)")

	try(t, os.WriteFile(filepath.Join(o.mirror, "demo/1.0/LICENSE.txt"), []byte("rot"), 0o600))
	command(t, 5, "verify demo", "3 files verified", "1 wrong", "fetch them again with: mimicsync verify demo@1.0 --repair")
	command(t, 0, "verify demo --repair", "complete: 1 of 1 file verified: 1 fetched")

	o.stop()
	if _, err := os.Stat(filepath.Join(o.mirror, ".mimicsync/control.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	command(t, 0, "pull demo", "demo 1.0 complete: 4 of 4 files verified: 4 present (2.3 MB), in ")
	command(t, 0, "status", table)
}

// What goes wrong in the daemon is told as if it had gone wrong here.
func TestFailuresOfTheDaemonAreTold(t *testing.T) {
	slow(t)
	o := newOwned(t, true)
	o.Inject(lookalike.Fault{Kind: lookalike.Corrupt, Path: "hosp/admissions.csv.gz", After: 100})
	command(t, 5, "pull demo", "demo 1.0 incomplete: 3 of 4 files verified", "checksum     hosp/admissions.csv.gz")
	command(t, 4, "pull nothing", "error: physionet has no dataset nothing", "hint: ")
	command(t, 2, "pull demo --connections 3", "--connections: a daemon", "owns this mirror")
	command(t, 2, "pull demo --bwlimit 2M", "mimicsync daemon bwlimit")
	command(t, 2, "pull demo --include a{b")
	command(t, 2, "verify nothing", "the mirror has nothing of nothing")
}

// Each flag of a command that a daemon does is handed to it, or is about what the
// person sees, or is refused by its name: none is ignored.
func TestNoFlagIsLostOnTheWayToTheDaemon(t *testing.T) {
	slow(t)
	newOwned(t, true)
	handed := []string{"include", "exclude", "source", "accept-manifest", "dry-run", "repair", "keep", "quarantine"}
	ours := []string{"mirror", "config", "json", "yes", "progress", "quiet", "verbose", "log-format", "help"}
	const needsTheMirror = "rebuild" // which the lock refuses
	values := map[string]string{"string": "1", "int": "3", "duration": "2m0s", "bool": "true"}
	a := newApp(io.Discard, io.Discard)
	for _, cmd := range a.rootCommand().Commands() {
		line, ok := map[string]string{"pull": "pull demo", "plan": "plan demo", "status": "status", "verify": "verify", "prune": "prune --yes"}[cmd.Name()]
		if !ok {
			continue
		}
		cmd.InheritedFlags() // adds them to those of the command
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if slices.Contains(slices.Concat(handed, ours, []string{needsTheMirror}), f.Name) {
				return
			}
			value := values[f.Value.Type()]
			switch f.Name {
			case "max-duration":
				value = "8h"
			case "durability":
				value = "none"
			}
			command(t, 2, line+" --"+f.Name+"="+value, "--"+f.Name+": a daemon owns this mirror")
		})
	}
	command(t, 0, "prune --quarantine --yes", "Nothing to remove") // it goes past the daemon
	command(t, 7, "verify --rebuild", "the mirror is in use by another process", "stop the daemon first")
	command(t, 2, "pull demo --dry-run --accept-manifest", "--accept-manifest: a dry run accepts nothing")
}

// Ctrl-C leaves the pass to the daemon, which goes on.
func TestInterruptLeavesThePassToTheDaemon(t *testing.T) {
	slow(t)
	o := newOwned(t, true)
	o.Inject(lookalike.Fault{Kind: lookalike.Slow, Path: "hosp/labevents.csv.gz", Rate: 1_000_000})
	ctx, cancel := context.WithCancelCause(t.Context())
	client, err := api.Dial(ctx, o.mirror)
	try(t, err)
	defer client.Close()
	go func() {
		for { // until it runs
			status, err := client.Status(ctx)
			if err != nil || len(status.Datasets) > 0 && status.Datasets[0].Pass != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel(failure.ErrInterrupted)
	}()
	commandIn(ctx, t, 130, "pull demo other", "the daemon continues with demo", "mimicsync daemon cancel demo", "not started: other")
	p, err := client.Pass(t.Context(), 1)
	if err != nil || p.Error != "" {
		t.Errorf("the pass in the daemon: %+v, %v", p, err)
	}
	command(t, 0, "pull demo", "demo 1.0 complete")
}

// Where nobody answers behind the lock, it is as ever.
func TestOwnerThatIsNoDaemon(t *testing.T) {
	slow(t)
	newOwned(t, false)
	for _, line := range []string{"pull demo", "verify", "prune"} {
		command(t, 7, line, "the mirror is in use by another process")
	}
	for _, line := range []string{"plan demo", "status"} { // they look, and change nothing
		command(t, 0, line)
	}
}

// A person steers the daemon from a terminal.
func TestControlCommands(t *testing.T) {
	slow(t)
	o := newOwned(t, true)
	command(t, 0, "pull demo")
	control := func(code int, line string, texts ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		a := newApp(&stdout, &stderr)
		root := &cobra.Command{SilenceErrors: true, SilenceUsage: true, PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.settle(cmd.Flags()) }}
		root.AddCommand(a.controlCommands()...)
		root.SetArgs(strings.Split(line, " "))
		got := 0
		if err := root.ExecuteContext(t.Context()); err != nil {
			got = a.ui.Explain(err)
		}
		for _, text := range texts {
			if got != code || !strings.Contains(stdout.String()+stderr.String(), text) {
				t.Errorf("%s: exit code %d, want %d and %q in\n%s%s", line, got, code, text, &stdout, &stderr)
			}
		}
	}
	control(0, "pause demo", "demo: paused; resume with: mimicsync daemon resume demo")
	command(t, 0, "status", "demo: paused: it is paused")
	control(0, "resume demo", "demo: resumed")
	control(0, "pause", "all datasets: paused")
	command(t, 0, "status", "All datasets are paused; resume with: mimicsync daemon resume", "demo: paused")
	control(0, "resume demo", "demo: resumed", "note: it still waits, because all datasets are paused")
	control(0, "pause demo", "demo: paused")
	control(0, "resume", "all datasets: resumed", "note: demo is still paused by name; resume with: mimicsync daemon resume demo")
	control(0, "resume demo", "demo: resumed")
	command(t, 0, "verify demo")
	command(t, 0, "status", "verify: complete")
	control(2, "pause other", "doesn't know", "hint: ")
	control(2, "cancel demo", "no pass is running", "hint: see what is running with: mimicsync status")
	control(0, "bwlimit 2M", "the limit is 2M")
	command(t, 0, "status", "limited to 2")
	control(2, "bwlimit fast", "fast", "hint: see: mimicsync daemon bwlimit --help")
	control(0, "reload", "listen: restart the daemon", "is reloaded")
	token, err := api.Token(o.mirror, "")
	try(t, err)
	control(0, "token", token)
	o.stop()
	control(2, "reload", "no daemon is running", "start one with: mimicsync daemon")
}

// A manifest that shrank waits for a person, who accepts it by way of the daemon.
func TestShrunkManifestIsAcceptedByWayOfTheDaemon(t *testing.T) {
	slow(t)
	o := newOwned(t, true)
	command(t, 0, "pull demo")
	few := lookalike.Generated(demoContent[:2])
	o.Publish(lookalike.Project{Slug: "demo", Title: "Demo", Policy: lookalike.Open, Versions: []lookalike.Version{
		{Version: "1.0", Files: few, Manifest: few.Manifest(), Bytes: few.Bytes()},
	}})
	command(t, 3, "pull demo", "the manifest can't be used", "mimicsync pull demo@1.0 --accept-manifest")
	command(t, 0, "pull demo@1.0 --accept-manifest", "2 of 2 files verified")
}

// Who waits behind another pass of the dataset is told so; who is next is not.
func TestWaitingIsToldWhereItTakesTime(t *testing.T) {
	slow(t)
	o := newOwned(t, true)
	slow := o.Inject(lookalike.Fault{Kind: lookalike.Slow, Path: "hosp/labevents.csv.gz", Rate: 500_000})
	client, err := api.Dial(t.Context(), o.mirror)
	try(t, err)
	defer client.Close()
	_, err = client.Pull(t.Context(), api.PullRequest{Dataset: "demo"})
	try(t, err)
	const note = "demo: waiting for the pass before it: a pull of demo has been running since "
	command(t, 0, "pull demo --include *.txt", note)
	slow.Remove()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"pull", "demo"}, &stdout, &stderr); code != 0 || strings.Contains(stderr.String(), note) {
		t.Errorf("exit code %d:\n%s%s", code, &stdout, &stderr)
	}
}
