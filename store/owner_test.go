package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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
// for some time by the clock of the file system.
func elsewhere(t *testing.T, dir string, silent time.Duration) store.Owner {
	t.Helper()
	o := store.Owner{Host: "elsewhere.example.com", PID: 42, Command: "daemon", Started: noon, State: "/var/lib/x"}
	b, err := json.Marshal(o)
	must(t, err)
	must(t, os.WriteFile(ownerPath(dir), b, 0o600))
	age(t, ownerPath(dir), silent)
	return o
}

// age makes a file older, by the clock of its file system: time.Now is another one
// where a test has a clock of its own.
func age(t *testing.T, path string, by time.Duration) {
	t.Helper()
	then := fileTime(t).Add(-by)
	must(t, os.Chtimes(path, then, then))
}

func fileTime(t *testing.T) time.Time {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	defer func() { must(t, f.Close()) }()
	return modTime(t, f.Name())
}

func modTime(t *testing.T, path string) time.Time {
	t.Helper()
	fi, err := os.Stat(path)
	must(t, err)
	return fi.ModTime()
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
		if !json.Valid([]byte(text)) { // where there are no hard links, it may be just written
			if s, err := store.Open(place, "test"); !errors.Is(err, store.ErrLocked) {
				t.Errorf("Open beside the owner file %q = %v, %v, want ErrLocked", text, s, err)
			}
		}
		age(t, ownerPath(dir), 3*time.Minute)
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

// contend has several processes' worth of stores opened at once, each with a state
// of its own, and returns how many had the mirror.
func contend(dir string, states []string) (owners int, err error) {
	opened, errs := make([]*store.Store, len(states)), make([]error, len(states))
	var wg sync.WaitGroup
	for i, state := range states {
		place, err := store.Locate(dir, state)
		if err != nil {
			return 0, err
		}
		wg.Go(func() { opened[i], errs[i] = store.Open(place, "test") })
	}
	wg.Wait()
	for i, s := range opened {
		if s != nil {
			owners++
			err = errors.Join(err, s.Close())
		} else if !errors.Is(errs[i], store.ErrLocked) {
			err = errors.Join(err, errs[i])
		}
	}
	return owners, err
}

// Of several that start at once, as on hosts that share a file server, one gets the
// mirror: where nobody had it, where its owner died, and where one died in the middle
// of taking it over from a dead one.
func TestOneOfSeveralOwnsAMirror(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, dir string){
		"nobody": func(*testing.T, string) {},
		"dead":   func(t *testing.T, dir string) { elsewhere(t, dir, 3*time.Minute) },
		"dead heir": func(t *testing.T, dir string) {
			elsewhere(t, dir, 3*time.Minute)
			must(t, os.Rename(ownerPath(dir), ownerPath(dir)+".next"))
			elsewhere(t, dir, 10*time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				dir := t.TempDir()
				locate(t, dir, "")
				prepare(t, dir)
				n, err := contend(dir, []string{t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()})
				if n != 1 || err != nil {
					t.Fatalf("%d of 4 have the mirror, %v, want 1", n, err)
				}
				left, err := filepath.Glob(filepath.Join(dir, store.Dir, "*owner*"))
				if err != nil || len(left) > 0 {
					t.Errorf("Close left %v, %v, want nothing of an owner", left, err)
				}
			}
		})
	}
}

// While one takes over from a dead owner, others are told who it is.
func TestALivingSuccessor(t *testing.T) {
	dir := t.TempDir()
	place := locate(t, dir, "")
	elsewhere(t, dir, 0)
	must(t, os.Rename(ownerPath(dir), ownerPath(dir)+".next"))
	elsewhere(t, dir, 10*time.Minute)
	_, err := store.Open(place, "test")
	if locked, ok := errors.AsType[*store.LockedError](err); !ok || locked.Owner.PID != 42 {
		t.Errorf("Open = %v, want a LockedError of the heir", err)
	}
}

// The clock of this machine says nothing about an owner: that of a test is a quarter
// of a century behind the file system's. Neither does an owner that died while the
// clock of the file system was wrong keep the mirror for ever.
func TestOwnersAreJudgedByTheFileSystemsClock(t *testing.T) {
	dir := t.TempDir()
	locate(t, dir, "")
	synctest.Test(t, func(t *testing.T) {
		for _, silent := range []time.Duration{0, 110 * time.Second, -110 * time.Second} {
			elsewhere(t, dir, silent)
			if s, err := store.Open(locate(t, dir, ""), "test"); !errors.Is(err, store.ErrLocked) {
				t.Errorf("Open beside an owner that was silent for %v = %v, %v, want ErrLocked", silent, s, err)
			}
			if o, ok := store.OwnerOf(dir); !ok || o.PID != 42 {
				t.Errorf("OwnerOf = %v, %t after %v, want it", o, ok, silent)
			}
		}
		for _, silent := range []time.Duration{130 * time.Second, -130 * time.Second, -10 * 365 * 24 * time.Hour} {
			elsewhere(t, dir, silent)
			m := openMirror(t, locate(t, dir, ""))
			if o, ok := store.OwnerOf(dir); !ok || o.PID != os.Getpid() {
				t.Errorf("OwnerOf = %v, %t after %v, want this process", o, ok, silent)
			}
			m.close()
		}
	})
}

// An owner shows that it lives, for as long as it does; and if a person removes its
// file, it makes it again.
func TestOwnersBeat(t *testing.T) {
	dir := t.TempDir()
	place := locate(t, dir, "")
	synctest.Test(t, func(t *testing.T) {
		m := openMirror(t, place)
		text := read(t, ownerPath(dir))
		for range 3 {
			age(t, ownerPath(dir), time.Minute)
			time.Sleep(31 * time.Second)
			if old := fileTime(t).Sub(modTime(t, ownerPath(dir))); old > 30*time.Second {
				t.Errorf("the owner file is %v old, want a beat since", old)
			}
		}
		must(t, os.Remove(ownerPath(dir)))
		time.Sleep(31 * time.Second)
		if again := read(t, ownerPath(dir)); again != text {
			t.Errorf("the owner file is %q, want %q", again, text)
		}
		m.close()
	})
}

// A machine sleeps, and meanwhile another one takes the mirror. Within a beat of its
// waking, the former owner knows, writes nothing more, and leaves the file of the
// other alone.
func TestAnOwnerThatSlept(t *testing.T) {
	dir := t.TempDir()
	places := []store.Place{locate(t, dir, ""), locate(t, dir, t.TempDir())}
	synctest.Test(t, func(t *testing.T) {
		slept := openMirror(t, places[0])
		age(t, ownerPath(dir), time.Hour)
		other, err := store.Open(places[1], "other")
		must(t, err)
		text := read(t, ownerPath(dir))

		start := time.Now()
		err = slept.AwaitLoss(t.Context())
		locked, ok := errors.AsType[*store.LockedError](err)
		if !ok || locked.Owner.Command != "other" || time.Since(start) > 30*time.Second {
			t.Errorf("AwaitLoss = %v after %v, want a LockedError of the other within a beat", err, time.Since(start))
		}
		err = slept.PutReceived(map[string]int64{"2026-11-22": 1})
		if _, ok := errors.AsType[*store.Error](err); !ok || !errors.Is(err, store.ErrLocked) {
			t.Errorf("PutReceived = %v, want an Error of the state that is ErrLocked", err)
		}
		if _, err := slept.Versions(); err != nil {
			t.Errorf("Versions = %v, want what is known", err)
		}
		time.Sleep(time.Hour)
		slept.close()
		if now := read(t, ownerPath(dir)); now != text {
			t.Errorf("the owner file is %q, want that of the other, %q", now, text)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := other.AwaitLoss(ctx); err != nil {
			t.Errorf("AwaitLoss of the other = %v, want <nil>", err)
		}
		must(t, other.Close())
	})
}

// A machine is cut off from the file server, and meanwhile another one takes the mirror
// and gives it back. Nobody owns it, and the former owner knows yet that its time is over:
// if the mirror was away for no more than two minutes, nobody can have had it.
func TestAnOwnerWhoseSuccessorCameAndWent(t *testing.T) {
	for away, lost := range map[time.Duration]bool{time.Minute: false, 3 * time.Minute: true} {
		dir := t.TempDir()
		places := []store.Place{locate(t, dir, t.TempDir()), locate(t, dir, t.TempDir())}
		synctest.Test(t, func(t *testing.T) {
			former := openMirror(t, places[0])
			must(t, os.Rename(dir, dir+".away"))
			time.Sleep(away + time.Second) // between two beats
			must(t, os.Rename(dir+".away", dir))
			age(t, ownerPath(dir), 3*time.Minute)
			other, err := store.Open(places[1], "other")
			must(t, err)
			must(t, other.Close())

			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := former.AwaitLoss(ctx); errors.Is(err, store.ErrLocked) != lost {
				t.Errorf("AwaitLoss after %v = %v, want a loss: %t", away, err, lost)
			}
			former.close()
			if left, err := filepath.Glob(filepath.Join(dir, store.Dir, "*owner*")); err != nil || len(left) > 0 {
				t.Errorf("Close left %v, %v, want nothing of an owner", left, err)
			}
		})
	}
}

// A symlink that leads nowhere stands where a file of the mirror's should be made. Who
// opens the mirror is told, and neither waits for ever nor writes to where it leads.
func TestDanglingSymlinksAreNamed(t *testing.T) {
	for _, name := range []string{"owner", "owner.next", "id"} {
		dir := t.TempDir()
		link := filepath.Join(dir, store.Dir, name)
		must(t, os.Mkdir(filepath.Dir(link), 0o700))
		must(t, os.Symlink("nowhere", link))
		if name == "owner.next" {
			elsewhere(t, dir, time.Hour)
		}
		place, err := store.Locate(dir, t.TempDir())
		if err == nil {
			_, err = store.Open(place, "test")
		}
		if failed, ok := errors.AsType[*os.PathError](err); !ok || failed.Path != link || !strings.Contains(err.Error(), "symlink") {
			t.Errorf("opening with a dangling %s = %v, want an error that names it", name, err)
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(link), "nowhere")); err == nil {
			t.Errorf("a file was made where %s leads", name)
		}
	}
}

// Two containers have one host name and one path for their states, each on a disk of
// its own, and processes that the other one does not see: the second one is refused as
// long as the first one shows that it lives.
func TestATwinInAnotherContainer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	place := locate(t, dir, t.TempDir())
	openMirror(t, place).close()
	host, err := os.Hostname()
	must(t, err)
	twin := store.Owner{
		Host: host, PID: 1 << 29, Command: "pull", Started: noon, State: place.State, StateID: "0123456789abcdef", Processes: "a container",
	}
	write := func(silent time.Duration) {
		b, err := json.Marshal(twin)
		must(t, err)
		must(t, os.WriteFile(ownerPath(dir), b, 0o600))
		age(t, ownerPath(dir), silent)
	}
	write(time.Minute)
	if s, err := store.Open(place, "test"); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Open beside a twin = %v, %v, want ErrLocked", s, err)
	}
	if twin.Here() {
		t.Error("a process of another container is said to be here")
	}
	write(3 * time.Minute)
	openMirror(t, place).close()

	// Of what was killed here nobody waits for the end of the silence.
	own := twin
	own.StateID, own.Processes = strings.TrimSpace(read(t, filepath.Join(place.State, "id"))), ""
	twin = own
	write(0)
	openMirror(t, place).close()
	twin.State = t.TempDir() // the state was elsewhere then; there is no such process
	write(0)
	openMirror(t, place).close()
}

// Whoever takes the mirror of a silent owner is told that it may wake up; of one that
// is dead, it is not.
func TestInherited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	place := locate(t, dir, "")
	m := openMirror(t, place)
	if m.Inherited() {
		t.Error("Inherited in a new mirror = true, want false")
	}
	m.close()
	elsewhere(t, dir, time.Hour)
	m.open()
	if !m.Inherited() {
		t.Error("Inherited from a silent owner elsewhere = false, want true")
	}
	m.close()
	host, err := os.Hostname()
	must(t, err)
	b, err := json.Marshal(store.Owner{Host: host, PID: 1 << 29, Command: "pull", State: place.State})
	must(t, err)
	must(t, os.WriteFile(ownerPath(dir), b, 0o600))
	m.open()
	if m.Inherited() {
		t.Error("Inherited from a dead owner = true, want false")
	}
}

// A process that was stopped for minutes, while another had the mirror, writes nothing
// when it goes on, also before its next sign of life is due.
func TestAStoppedOwnerWritesNothing(t *testing.T) {
	t.Parallel()
	m := newMirror(t)
	id := m.put(demo, "a").ID
	m.Sleep(10 * time.Minute)
	elsewhere(t, m.place.Mirror, 0)
	if err := m.Commit(store.Batch{ID: id, Put: verifiedRange(0, 3)}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Commit after a sleep = %v, want ErrLocked", err)
	}
	if got := m.offsets(id); len(got) > 0 {
		t.Errorf("Records = %v, want none", got)
	}
	m.close()
}
