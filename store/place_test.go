package store_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/store"
)

func TestLockedByAnotherProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("waits a second for the lock")
	}
	t.Parallel()
	dir := t.TempDir()
	p := startHelper(t, "hold", dir)
	if got := p.line(t); got != "ready" {
		t.Fatalf("the helper said %q, want ready", got)
	}
	place := locate(t, dir, "")
	before, owner := read(t, place.File()), read(t, ownerPath(dir))
	_, err := store.Open(place, "test")
	locked, ok := errors.AsType[*store.LockedError](err)
	if !ok || !errors.Is(err, store.ErrLocked) {
		t.Fatalf("Open = %v, want a LockedError", err)
	}
	host, err := os.Hostname()
	must(t, err)
	if locked.Owner.PID != p.Process.Pid || locked.Owner.Command != "hold on" || locked.Owner.Host != host {
		t.Errorf("Open = %+v, want pid %d on %s, hold on", locked.Owner, p.Process.Pid, host)
	}
	if since := time.Since(locked.Owner.Started); since < 0 || since > time.Minute {
		t.Errorf("Open = started %v ago, want just now", since)
	}
	for _, want := range []string{"hold on", host} {
		if !strings.Contains(locked.Error(), want) {
			t.Errorf("Open = %v, want %q in it", locked, want)
		}
	}
	if read(t, place.File()) != before || read(t, ownerPath(dir)) != owner {
		t.Error("Open changed a file of the owner's")
	}
	p.kill(t)
	openMirror(t, place)
}

func TestLockedByThisProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("waits a second for the lock")
	}
	t.Parallel()
	m := newMirror(t)
	_, err := store.Open(m.place, "second")
	locked, ok := errors.AsType[*store.LockedError](err)
	if !ok || locked.Owner.PID != os.Getpid() || locked.Owner.Command != "test" {
		t.Errorf("Open of an open store = %v, want a LockedError of this process", err)
	}
}

func TestLocateTwice(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	a, b := locate(t, dir, state), locate(t, dir, state)
	if a != b || filepath.Dir(a.State) != state || a.Mirror != dir {
		t.Errorf("Locate = %v, then %v, want the same folder of %s", a, b, state)
	}
	if c := locate(t, t.TempDir(), state); c.State == a.State {
		t.Errorf("Locate of another mirror = %v, want another folder", c)
	}
	if own := locate(t, dir, ""); own.State != filepath.Join(dir, store.Dir) {
		t.Errorf("Locate without a folder = %v, want that of the mirror", own)
	}
}

func TestStateOnAnotherFolder(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "not", "yet")
	m := openMirror(t, locate(t, dir, state))
	m.put(demo, "a")
	if _, err := os.Stat(filepath.Join(dir, store.Dir, "state.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(state.db in the mirror) = %v, want none", err)
	}
	if text := read(t, ownerPath(dir)); !strings.Contains(text, m.place.State) {
		t.Errorf("the owner file is %q, want it to name %s", text, m.place.State)
	}
	m.close()
	// The mirror has moved, and its state is found again.
	moved := filepath.Join(t.TempDir(), "moved")
	must(t, os.Rename(dir, moved))
	m.place = locate(t, moved, state)
	m.open()
	if _, ok, err := m.Version(demo); !ok || err != nil {
		t.Errorf("Version after a move = %t, %v, want it", ok, err)
	}
}

// A mirror has one owner, wherever that keeps its state.
func TestTwoStatesOfOneMirror(t *testing.T) {
	m := newMirror(t)
	before := read(t, ownerPath(m.place.Mirror))
	s, err := store.Open(locate(t, m.place.Mirror, t.TempDir()), "second")
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("Open of an open mirror with another state folder = %v, want ErrLocked", err)
	}
	if after, err := os.ReadFile(ownerPath(m.place.Mirror)); err != nil || string(after) != before {
		t.Errorf("the owner file is %q, %v, want that of the first owner", after, err)
	}
}

// elsewhere writes the owner file of another machine, which has been silent
// for some time.
func elsewhere(t *testing.T, dir string, silent time.Duration) store.Owner {
	t.Helper()
	o := store.Owner{Host: "elsewhere.example.com", PID: 42, Command: "daemon", Started: noon, State: "/var/lib/x"}
	b, err := json.Marshal(o)
	must(t, err)
	must(t, os.WriteFile(ownerPath(dir), b, 0o600))
	then := time.Now().Add(-silent)
	must(t, os.Chtimes(ownerPath(dir), then, then))
	return o
}

func TestOwnerOnAnotherMachine(t *testing.T) {
	m := newMirror(t)
	m.put(demo, "a")
	m.close()
	dir := m.place.Mirror

	o := elsewhere(t, dir, time.Minute)
	for _, state := range []string{"", t.TempDir()} {
		_, err := store.Open(locate(t, dir, state), "test")
		locked, ok := errors.AsType[*store.LockedError](err)
		if !ok || locked.Owner.PID != o.PID || locked.Owner.Host != o.Host || locked.Owner.Command != o.Command {
			t.Errorf("Open = %v, want a LockedError of %v", err, o)
		}
	}

	elsewhere(t, dir, 10*time.Minute)
	m.open()
	if text := read(t, ownerPath(dir)); strings.Contains(text, o.Host) {
		t.Errorf("the owner file is %q, want it taken over", text)
	}
	if _, ok, err := m.Version(demo); !ok || err != nil {
		t.Errorf("Version = %t, %v, want it", ok, err)
	}
}

// Whoever has been taken over must not take the new owner's name away.
func TestCloseLeavesTheNextOwner(t *testing.T) {
	m := newMirror(t)
	elsewhere(t, m.place.Mirror, 0)
	m.close()
	if b, err := os.ReadFile(ownerPath(m.place.Mirror)); err != nil || !strings.Contains(string(b), "elsewhere") {
		t.Errorf("the owner file after Close = %q, %v, want that of the next owner", b, err)
	}
}

func TestOwnerFileThatIsNone(t *testing.T) {
	for _, text := range []string{"", "{", "[]", "\x00\x01", `{"PID":"x"}`, `{"Host":"elsewhere"}`} {
		dir := t.TempDir()
		place := locate(t, dir, "")
		must(t, os.WriteFile(ownerPath(dir), []byte(text), 0o600))
		openMirror(t, place)
	}
}

// A crash with an owner file leads to a check of every page.
func TestOpenAfterCrashChecks(t *testing.T) {
	whole := sample(t, 3000)
	place := withFile(t, whole)
	must(t, os.WriteFile(ownerPath(place.Mirror), []byte("{}\n"), 0o600))
	openMirror(t, place)
}

func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write to every folder")
	}
	dir := t.TempDir()
	place := locate(t, dir, "")
	own := filepath.Join(dir, store.Dir)
	must(t, os.Chmod(own, 0o500))
	t.Cleanup(func() { _ = os.Chmod(own, 0o700) })
	if _, err := store.Open(place, "test"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("Open in a read-only folder = %v, want ErrPermission", err)
	}
	_, err := store.Locate(filepath.Join(own, "x"), "")
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("Locate in a read-only folder = %v, want ErrPermission", err)
	}
}

func TestOwnerOf(t *testing.T) {
	mirror := t.TempDir()
	if o, ok := store.OwnerOf(mirror); ok {
		t.Errorf("OwnerOf a mirror that nobody has = %+v, want none", o)
	}
	place, err := store.Locate(mirror, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(place, "pull")
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := store.OwnerOf(mirror); !ok || o.PID != os.Getpid() || o.Command != "pull" {
		t.Errorf("OwnerOf an open mirror = %+v, %t, want this process", o, ok)
	}
	owner := filepath.Join(mirror, store.Dir, "owner")
	left, err := os.ReadFile(owner)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(owner, left, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(owner, old, old); err != nil {
		t.Fatal(err)
	}
	if o, ok := store.OwnerOf(mirror); ok {
		t.Errorf("OwnerOf a mirror whose owner died = %+v, want none", o)
	}
}
