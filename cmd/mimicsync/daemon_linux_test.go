package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// mount mounts a file system of its own, or fails as a machine does where that is
// not allowed. It is unmounted when the test ends.
func mount(t *testing.T, source, dir, kind string, flags uintptr, options string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a disk")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(source, dir, kind, flags, options); err != nil {
		t.Skipf("cannot mount a disk here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // the test may have
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 20 s: %s", what)
		}
	}
}

func (s *bench) dial() *api.Client {
	s.t.Helper()
	client, err := api.Dial(s.t.Context(), s.mirror)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return client
}

// status returns that of demo, once it is as wanted.
func (s *bench) status(client *api.Client, what string, so func(daemon.DatasetStatus) bool) (d daemon.DatasetStatus) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the dataset: %+v", d)
		}
	}()
	eventually(s.t, what, func() bool {
		status, err := client.Status(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, d = range status.Datasets {
			if d.Dataset == "demo" && so(d) {
				return true
			}
		}
		return false
	})
	return d
}

// connections is how many are open to the look-alike.
func (s *bench) connections() int64 {
	s.server.Reset()
	return s.server.Counters().MaxConns
}

// asked returns the requests since the last call, as in "GET /path 200".
func (s *bench) asked() []string {
	var asked []string
	for _, r := range s.server.Requests() {
		asked = append(asked, fmt.Sprintf("%s %s %d", r.Method, r.Path, r.Status))
	}
	s.server.Reset()
	return asked
}

// age makes the daemon that starts next believe that its last refresh of demo
// began two days ago.
func (s *bench) age() {
	s.t.Helper()
	place, err := store.Locate(s.mirror, "")
	if err != nil {
		s.t.Fatal(err)
	}
	state, err := store.Open(place, "test")
	if err != nil {
		s.t.Fatal(err)
	}
	agendas, err := state.Agendas()
	a := agendas["demo"]
	a.Refreshed = a.Refreshed.Add(-48 * time.Hour)
	if err := errors.Join(err, state.PutAgendas(map[string]store.Agenda{"demo": a}), state.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// A refresh that was missed while the daemon was away runs once, and where nothing
// has changed it is one conditional request; the newest version takes one more.
func TestARefreshWithoutAChangeIsOneRequest(t *testing.T) {
	for _, test := range []struct {
		name, version string
		size          bool // whether the site tells the size of the version
		want          []string
	}{
		{"a version", "1.0", true, []string{"GET /files/demo/1.0/SHA256SUMS.txt 304"}},
		{"a version of unknown size", "1.0", false, []string{"GET /files/demo/1.0/SHA256SUMS.txt 304"}},
		{"the newest", "latest", true, []string{"GET /content/demo/ 302", "GET /files/demo/1.0/SHA256SUMS.txt 304"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newBench(t)
			if !test.size {
				files := lookalike.Generated(demoContent)
				s.server.Publish(lookalike.Project{Slug: "demo", Title: "Demo", Policy: lookalike.Open, Versions: []lookalike.Version{
					{Version: "1.0", Files: files, Manifest: files.Manifest()},
				}})
			}
			s.server.Record = true
			s.configure(fmt.Sprintf("datasets: [{name: demo, version: %q, schedule: '@daily', jitter: 0s}]\n", test.version))
			complete := func(d daemon.DatasetStatus) bool { return d.Condition == daemon.Idle && d.Last != nil && d.Files == 4 }
			d := s.start()
			d.reachable("daemon started")
			first := s.status(s.dial(), "the first refresh is complete", complete)
			d.stop()
			s.age()
			s.asked()

			d = s.start()
			d.reachable("daemon started")
			d.logged("pass ends")
			last := s.status(s.dial(), "the second refresh is complete", complete)
			d.stop()
			if got := s.asked(); strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("the refresh of %s asked\n%s\nwant\n%s", last.Version, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if last.Last.Start.Equal(first.Last.Start) || last.Last.Kind != daemon.RefreshPass {
				t.Errorf("the pass: %+v", last.Last)
			}
		})
	}
}

// When the run window closes, or a person pauses, the connections to PhysioNet end,
// those that were in the middle of a file, too.
func TestAPauseClosesTheConnections(t *testing.T) {
	slow(t)
	s := newBench(t)
	s.server.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: 20_000, Path: "hosp/labevents.csv.gz"}) // 100 s
	const datasets = "datasets: [{name: demo, version: '1.0', schedule: '@daily'}]\n"
	s.configure(datasets)
	d := s.start()
	d.reachable("daemon started")
	client := s.dial()
	running := func(d daemon.DatasetStatus) bool { return d.Pass != nil && d.Pass.Done == 3 }
	closed := func() bool { return s.connections() == 0 }
	s.status(client, "all but the slow file is here", running)
	if n := s.connections(); n == 0 {
		t.Fatal("there is no connection while a file comes")
	}

	later := time.Now().UTC().Add(6 * time.Hour)
	s.configure(datasets + fmt.Sprintf("timezone: UTC\nwindows: ['%02d:00-%02d:30']\n", later.Hour(), later.Hour()))
	d.hangup()
	s.status(client, "the window is closed", func(d daemon.DatasetStatus) bool { return d.Condition == daemon.Closed })
	eventually(t, "no connection is open while the window is closed", closed)

	s.configure(datasets)
	d.hangup()
	s.status(client, "it goes on when the window opens", running)
	if err := client.Pause(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	s.status(client, "it is paused", func(d daemon.DatasetStatus) bool { return d.Condition == daemon.Paused })
	eventually(t, "no connection is open in a pause", closed)
	d.stop()
}

// The disk fills up to its last byte, the state file's too: the passes wait, people
// hear of it once, and when there is room the daemon goes on by itself.
func TestADiskThatFillsUp(t *testing.T) {
	s := newBench(t)
	mount(t, "mimicsync-test", s.mirror, "tmpfs", 0, "size=4m")
	var content []lookalike.GeneratedFile
	for i := range 600 {
		content = append(content, lookalike.GeneratedFile{Path: fmt.Sprintf("%03d.csv", i), Size: 20_000})
	}
	files := lookalike.Generated(content)
	s.server.Publish(lookalike.Project{Slug: "demo", Title: "Demo", Policy: lookalike.Open, Versions: []lookalike.Version{
		{Version: "1.0", Files: files, Manifest: files.Manifest()},
	}})
	told := filepath.Join(s.dir, "told")
	s.configure("datasets: [{name: demo, schedule: '@daily'}]\n" +
		"hooks: {on_failure: [/bin/sh, -c, 'echo $MIMICSYNC_EVENT >> " + told + "']}\n")
	d := s.start()
	d.reachable("daemon started")
	client := s.dial()
	full := func(d daemon.DatasetStatus) bool { return d.Condition == daemon.NoSpace }
	s.status(client, "the disk is full", full)
	fillDisk(t, s.mirror)
	for range 3 { // each makes the daemon write what it has decided
		if err := errors.Join(client.Pause(t.Context(), "demo"), client.Resume(t.Context(), "demo")); err != nil {
			t.Fatal(err)
		}
		s.status(client, "the disk is still full", full)
	}
	d.wantGet("/healthz", 200, "alive")
	d.wantGet("/readyz", 503, "")

	if err := syscall.Mount("mimicsync-test", s.mirror, "tmpfs", syscall.MS_REMOUNT, "size=200m"); err != nil {
		t.Fatal(err)
	}
	if err := client.Resume(t.Context(), ""); err != nil { // makes it look at once, and not within a minute
		t.Fatal(err)
	}
	s.status(client, "all is here", func(d daemon.DatasetStatus) bool { return d.Condition == daemon.Idle && d.Files == 600 })
	if n := s.server.Counters().Files; n > 600+64 { // what was on its way when the disk was full came twice
		t.Errorf("%d files were sent for 600", n)
	}
	d.stop()
	if text, err := os.ReadFile(told); err != nil || string(text) != "no_space\n" {
		t.Errorf("people were told %q (%v), want once that there is no space", text, err)
	}
}

// The machine starts while the disk is full to its last byte: the daemon waits as
// one does that met it, says what is missing, and goes on when there is room.
func TestADaemonStartsOnAFullDisk(t *testing.T) {
	s := newBench(t)
	mount(t, "mimicsync-test", s.mirror, "tmpfs", 0, "size=4m")
	d := s.start()
	d.reachable("daemon started")
	d.stop()
	fillDisk(t, s.mirror)

	s.configure("datasets: [{name: demo, schedule: '@daily'}]\n")
	d = s.start()
	d.reachable("daemon started")
	client := s.dial()
	s.status(client, "it waits for room", func(d daemon.DatasetStatus) bool { return d.Condition == daemon.NoSpace })
	d.wantGet("/readyz", 503, "no space left")

	if err := syscall.Mount("mimicsync-test", s.mirror, "tmpfs", syscall.MS_REMOUNT, "size=200m"); err != nil {
		t.Fatal(err)
	}
	if err := client.Resume(t.Context(), ""); err != nil { // makes it look at once, and not within a minute
		t.Fatal(err)
	}
	s.status(client, "all is here", func(d daemon.DatasetStatus) bool { return d.Condition == daemon.Idle && d.Files == 4 })
	d.stop()
}

// fillDisk takes what is left of a disk.
func fillDisk(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		return // no inode or page for it
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// The disk is unmounted in the middle of a pass: nothing is written into the bare
// mount point, and when it is mounted again the daemon goes on.
func TestADiskThatIsUnmounted(t *testing.T) {
	slow(t)
	s := newBench(t)
	disk := filepath.Join(s.dir, "disk")
	mount(t, "mimicsync-test", disk, "tmpfs", 0, "size=64m")
	mount(t, disk, s.mirror, "", syscall.MS_BIND, "")
	slow := s.server.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: 20_000, Path: "hosp/labevents.csv.gz"}) // 100 s
	s.configure("datasets: [{name: demo, schedule: '@daily'}]\n")
	d := s.start()
	d.reachable("daemon started")
	s.status(s.dial(), "all but the slow file is here", func(d daemon.DatasetStatus) bool { return d.Pass != nil && d.Pass.Done == 3 })

	if err := syscall.Unmount(s.mirror, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	d.logged("mirror away")
	if entries, err := os.ReadDir(s.mirror); err != nil || len(entries) > 0 {
		t.Errorf("the mount point has %v (%v), want nothing", entries, err)
	}
	slow.Remove()
	d.stop()
	if err := syscall.Mount(disk, s.mirror, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	d = s.start()
	d.reachable("daemon started")
	s.status(s.dial(), "all is here", func(d daemon.DatasetStatus) bool { return d.Condition == daemon.Idle && d.Files == 4 })
	d.stop()
}
