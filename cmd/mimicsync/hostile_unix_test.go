//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/internal/hostiletest"
	"mimicsync/manifest"
	"mimicsync/store"
)

// ground is a mirror in a folder that a whole lab may write to.
type ground struct {
	t      *testing.T
	mirror string
	home   string
	site   *httptest.Server
}

// groundFiles are what its source has. One has been wrong, and lies in quarantine.
var groundFiles = []lookalike.GeneratedFile{{Path: "hosp/a.csv", Size: 700}, {Path: "hosp/b.csv", Size: 1300}}

func newGround(t *testing.T) *ground {
	t.Helper()
	files := lookalike.Generated(groundFiles)
	g := &ground{t: t, mirror: filepath.Join(t.TempDir(), "mirror"), home: t.TempDir()}
	g.site = httptest.NewServer(lookalike.New(lookalike.Project{
		Slug: "demo", Title: "Demo", Policy: lookalike.Open, Versions: []lookalike.Version{{Version: "1.0", Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()}},
	}))
	t.Cleanup(g.site.Close)
	wrong := filepath.Join(g.mirror, "demo", "1.0", "hosp", "a.csv")
	try(t, os.MkdirAll(filepath.Dir(wrong), 0o700))
	try(t, os.WriteFile(wrong, nil, 0o600))
	if code, said := g.run("pull demo@1.0"); code != 0 {
		t.Fatalf("pull: exit code %d: %s", code, said)
	}
	try(t, os.Chmod(g.mirror, 0o777|os.ModeSetgid))
	return g
}

// run runs a command line as a process does, and returns its exit code and all that it
// says. A daemon is told to end once it serves.
func (g *ground) run(line string) (code int, said string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	exe := cmp.Or(os.Getenv("MIMICSYNC"), "mimicsync") // another binary than this one, to compare
	cmd := exec.CommandContext(ctx, exe, strings.Fields(line)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second // then it is killed
	cmd.Env = append(os.Environ(),
		"HOME="+g.home, "XDG_CONFIG_HOME="+g.home, "XDG_STATE_HOME="+g.home, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent",
		"MIMICSYNC_PHYSIONET_URL="+g.site.URL, "MIMICSYNC_MIRROR="+g.mirror,
	)
	out := &awaiting{text: "daemon started", found: cancel}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		g.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.written.String()
}

// awaiting keeps what is written, and does something when there is a text in it. It has
// no other method of a buffer's, by which a copy would pass Write by.
type awaiting struct {
	written bytes.Buffer
	text    string
	found   func()
}

func (a *awaiting) Write(b []byte) (int, error) {
	n, err := a.written.Write(b)
	if bytes.Contains(a.written.Bytes(), []byte(a.text)) {
		a.found()
	}
	return n, err
}

// own is a path below .mimicsync.
func (g *ground) own(name string) string {
	return filepath.Join(g.mirror, store.Dir, filepath.FromSlash(name))
}

// groundPlaces are what somebody who may write to .mimicsync, or to the mirror's folder,
// can replace.
func groundPlaces(t *testing.T) []string {
	t.Helper()
	files := lookalike.Generated(groundFiles)
	b, err := fs.ReadFile(files, groundFiles[1].Path)
	try(t, err)
	unfinished, kept := manifest.Digest(sha256.Sum256(b)), manifest.Digest(sha256.Sum256(files.Manifest()))
	return []string{
		".", "state.db", "owner", "owner.next", "id", "token", "control.sock", "control.addr",
		"partial", "partial/" + unfinished.String(), "partial/Case", "manifests", "manifests/" + kept.String(),
		"quarantine", "quarantine/demo", "quarantine/demo/1.0",
	}
}

type groundCommand struct {
	line string
	code int
}

// groundCommands are all that open a mirror, with their exit codes where all is well: a
// file is missing, and no daemon runs.
var groundCommands = []groundCommand{
	{"status", 0},
	{"plan demo@1.0", 0},
	{"verify demo@1.0", 3},
	{"pull demo@1.0", 0},
	{"pull demo@1.0 --state STATE", 0},
	{"verify --repair", 0},
	{"verify --rebuild", 0},
	{"prune --yes", 0},
	{"prune --quarantine --yes", 0},
	{"prune --quarantine demo --yes", 0},
	{"doctor demo", 0},
	{"daemon token", 0},
	{"daemon pause", 2},
	{"daemon --listen 127.0.0.1:0", 0},
}

// Each thing that mimicsync keeps in a mirror is replaced in turn by each kind of thing
// that somebody of the lab may put there, before each command. Nothing of anybody else's is
// read, changed or removed, no command hangs, and each does its work or says what stands in
// its way. Then what was put there is removed, and all is well.
//
// Without MIMICSYNC_CAMPAIGN in the environment, only two of the commands meet each thing.
func TestHostileGround(t *testing.T) {
	slow(t)
	commands, n := groundCommands, 0
	for _, place := range groundPlaces(t) {
		for _, kind := range hostiletest.Kinds() {
			some := commands
			if os.Getenv("MIMICSYNC_CAMPAIGN") == "" {
				some = []groundCommand{commands[n%len(commands)], commands[(n+len(commands)/2)%len(commands)]}
			}
			n++
			t.Run(place+" is "+kind, func(t *testing.T) {
				t.Parallel()
				g, outside := newGround(t), hostiletest.NewOutside(t)
				path := g.own(place)
				for _, c := range some {
					_ = os.Remove(filepath.Join(g.mirror, "demo", "1.0", "hosp", "b.csv")) // if it is there: something to do
					try(t, os.MkdirAll(filepath.Dir(path), 0o700))
					outside.Plant(t, kind, path)
					g.wantUnharmed(c, path)
					outside.Untouched(t)
				}
				outside.Remove(t, path)
				if code, said := g.run("pull demo@1.0"); code != 0 {
					t.Errorf("pull afterwards: exit code %d: %s", code, said)
				}
			})
		}
	}
}

// wantUnharmed runs a command with something planted at path.
func (g *ground) wantUnharmed(c groundCommand, path string) {
	g.t.Helper()
	line := strings.Replace(c.line, "STATE", filepath.Join(g.home, "states"), 1)
	began := time.Now()
	code, said := g.run(line)
	if took := time.Since(began); took >= 20*time.Second { // 5 of a machine that has nothing else to do
		g.t.Errorf("%s: it took %v: %s", line, took, said)
	}
	switch name := filepath.Clean(path); {
	case code < 0 || strings.Contains(said, "panic") || strings.Contains(said, "goroutine "):
		g.t.Errorf("%s: it was killed or crashed: %s", line, said)
	case code == c.code, strings.Contains(said, name), strings.Contains(said, strings.TrimPrefix(name, g.mirror+"/")):
	default:
		g.t.Errorf("%s: exit code %d, and it does not say that %s is in its way: %s", line, code, name, said)
	}
}
