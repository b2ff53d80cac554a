//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/daemon/api"
	"mimicsync/downloader/lookalike"
)

func TestADaemonServesAMirrorUntilItIsStopped(t *testing.T) {
	s := newBench(t)
	d := s.start()
	d.reachable("daemon started")
	d.wantGet("/healthz", http.StatusOK, "alive")
	d.wantGet("/readyz", http.StatusOK, "ready")
	d.wantGet("/metrics", http.StatusOK, "mimicsync_")
	d.wantGet("/", http.StatusOK, "<html")

	client, err := api.Dial(t.Context(), s.mirror)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.pullBy(client)

	// A file with a mistake leaves everything as it is.
	s.configure("conections: 3\n")
	d.hangup()
	d.loggedWith("configuration not reloaded", "conections")
	d.wantGet("/readyz", http.StatusOK, "ready")

	// A right one is taken over, but for what counts from the start on.
	s.configure("datasets: [demo]\nbwlimit: 10M\nlisten: [127.0.0.1:1]\n")
	d.hangup()
	d.logged("configuration reloaded")
	d.loggedWith("configuration change needs a restart", "listen has changed")
	if status, err := client.Status(t.Context()); err != nil || status.BWLimit != "10M" || len(status.Datasets) != 1 || !status.Datasets[0].Scheduled {
		t.Errorf("status %+v (%v), want the new configuration's", status, err)
	}
	s.configure("datasets: [{name: demo, sources: [s3]}]\n")
	d.hangup()
	d.loggedWith("configuration not reloaded", "the source s3 is opened only at startup")
	d.stop()
	for _, name := range []string{"control*", "owner*"} {
		if left, _ := filepath.Glob(filepath.Join(s.mirror, ".mimicsync", name)); len(left) > 0 {
			t.Errorf("it leaves %q", left)
		}
	}
}

func TestADaemonEndsInTimeInTheMiddleOfAPass(t *testing.T) {
	slow(t)
	s := newBench(t)
	s.server.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: 10_000, Path: "hosp/labevents.csv.gz"}) // 200 s
	d := s.start()
	d.reachable("daemon started")
	client, err := api.Dial(t.Context(), s.mirror)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	id, err := client.Pull(t.Context(), api.PullRequest{Dataset: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	for pass, err := range client.Follow(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		if pass.Done == 3 { // all but the slow one
			break
		}
	}
	waiting := exec.CommandContext(t.Context(), "mimicsync", "pull", "demo", "--progress", "bar")
	waiting.Env = s.env
	stderr, err := waiting.StderrPipe()
	if err := errors.Join(err, waiting.Start()); err != nil {
		t.Fatal(err)
	}
	sight := make([]byte, 1)
	if _, err := io.ReadFull(stderr, sight); err != nil { // it shows the pass
		t.Fatal(err)
	}
	d.stop()
	text, _ := io.ReadAll(stderr)
	_ = waiting.Wait() // its exit code is looked at
	if code := waiting.ProcessState.ExitCode(); code != advice.ExitInterrupted || !strings.Contains(string(text), "everything fetched so far is saved") {
		t.Errorf("who followed the pass got exit code %d, want %d, and\n%s", code, advice.ExitInterrupted, text)
	}
}

func TestTwoDaemonsCannotHaveTheSameMirrorOrAddress(t *testing.T) {
	slow(t)
	s := newBench(t)
	first := s.start()
	first.reachable("daemon started")
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, advice.ExitOwned, "hint: it is already running; see: mimicsync status --mirror "},
		{[]string{"--mirror", filepath.Join(s.dir, "other"), "--listen", first.address}, advice.ExitUsage, "hint: another program is listening there"},
		{[]string{"--mirror", filepath.Join(s.dir, "other"), "--listen", "8765"}, advice.ExitUsage, `"8765" is not an address like 127.0.0.1:8765`},
		{[]string{"--mirror", filepath.Join(s.dir, "other"), "--listen", "192.0.2.1:8765"}, advice.ExitUsage, "hint: this machine does not have that address"},
	} {
		second := s.start(test.args...)
		<-second.ended
		if code := second.cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(second.log.String(), test.want) {
			t.Errorf("daemon %q: exit code %d, want %d with %q:\n%s", test.args, code, test.code, test.want, second.log.String())
		}
	}
	first.stop()
}

func TestADaemonWaitsForAMirrorWhoseDiskIsNotMounted(t *testing.T) {
	s := newBench(t)
	told := make(chan string, 1)
	chat := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- string(body)
	}))
	t.Cleanup(chat.Close)
	s.configure(fmt.Sprintf("hooks: {on_failure: [sleep, 1h]}\nwebhooks: [{url: %q}]\n", chat.URL))
	d := s.start()
	d.reachable("daemon started")
	d.stop()

	// The disk is unmounted: its mount point is there, and bare.
	disk := s.mirror + ".disk"
	if err := errors.Join(os.Rename(s.mirror, disk), os.Mkdir(s.mirror, 0o700)); err != nil {
		t.Fatal(err)
	}
	d = s.start()
	d.reachable("mirror away")
	d.wantGet("/healthz", http.StatusOK, "alive")
	d.wantGet("/readyz", http.StatusServiceUnavailable, "not be mounted")
	d.wantGet("/", http.StatusServiceUnavailable, "not be mounted")
	d.wantGet("/", http.StatusServiceUnavailable, "The daemon has been waiting for its mirror since 20")
	d.wantGetAs("evil.example", "/metrics", http.StatusForbidden, "doesn't answer for the host")
	select { // the hook that runs keeps no chat waiting
	case text := <-told:
		if !strings.Contains(text, `"event":"mirror"`) || !strings.Contains(text, "not be mounted") {
			t.Errorf("the chat was told %s", text)
		}
	case <-time.After(20 * time.Second):
		t.Error("the chat was told nothing")
	}
	d.loggedWith("mirror away", `"cure":"mount it, `)
	// No other command makes a mirror there, or says that one may be made.
	for _, line := range []string{"pull demo", "plan demo", "status", "verify", "prune", "daemon token", "daemon pause", "daemon reload", "doctor --source physionet"} {
		command := exec.CommandContext(t.Context(), "mimicsync", strings.Fields(line)...)
		command.Env = s.env
		text, _ := command.CombinedOutput() // its exit code is looked at
		if code := command.ProcessState.ExitCode(); !strings.HasPrefix(line, "doctor") && code != advice.ExitIncomplete ||
			!strings.Contains(string(text), "its disk may not be mounted") || !strings.Contains(string(text), "mount it") {
			t.Errorf("%s: exit code %d, want %d and that the disk may not be mounted:\n%s", line, code, advice.ExitIncomplete, text)
		}
	}
	d.stop()
	if log := d.log.String(); strings.Contains(log, "hint:") {
		t.Errorf("not all of the log is JSON:\n%s", log)
	}
	if entries, err := os.ReadDir(s.mirror); err != nil || len(entries) > 0 {
		t.Errorf("the mount point has %v (%v), want nothing", entries, err)
	}
}

// serving is a daemon in this process, and its log.
func (s *bench) serving(hangups <-chan struct{}) (*serving, *daemonProcess) {
	s.t.Helper()
	for _, v := range s.env[len(os.Environ()):] {
		name, value, _ := strings.Cut(v, "=")
		s.t.Setenv(name, value)
	}
	log := &daemonProcess{t: s.t, ended: make(chan struct{})}
	a := newApp(io.Discard, log)
	if err := a.settle(a.daemonCommand().Flags()); err != nil {
		s.t.Fatal(err)
	}
	serving, err := a.newServing([]string{"127.0.0.1:0"}, hangups)
	if err != nil {
		s.t.Fatal(err)
	}
	return serving, log
}

func TestADaemonWaitsForADiskThatIsUnmountedWhileItStarts(t *testing.T) {
	s := newBench(t)
	serving, log := s.serving(nil)
	if err := errors.Join(serving.served.remember(), os.Mkdir(s.mirror, 0o700)); err != nil {
		t.Fatal(err)
	}
	serving.served.file = "" // when it looked, the mirror was there
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serving.run(ctx) }()
	log.logged("mirror away")
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestADaemonGoesOnWhenItsMirrorIsBack runs it in this process, to look for the
// mirror more often.
func TestADaemonGoesOnWhenItsMirrorIsBack(t *testing.T) {
	s := newBench(t)
	hangups := make(chan struct{})
	serving, log := s.serving(hangups)
	serving.poll = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serving.run(ctx) }()
	log.logged("daemon started")

	disk := s.mirror + ".disk"
	if err := errors.Join(os.Rename(s.mirror, disk), os.Mkdir(s.mirror, 0o700)); err != nil {
		t.Fatal(err)
	}
	if d := serving.daemon.Load(); d != nil {
		_ = d.Pause("") // makes it look at its mirror
	}
	log.logged("mirror away")
	if entries, err := os.ReadDir(s.mirror); err != nil || len(entries) > 0 {
		t.Errorf("the mount point has %v (%v), want nothing", entries, err)
	}
	// Meanwhile the configuration changes, first for the worse.
	s.configure("conections: 3\n")
	hangups <- struct{}{}
	log.loggedWith("configuration not reloaded", "conections")
	s.configure("datasets: [{name: demo, schedule: off}]\nlisten: [127.0.0.1:1]\n")
	hangups <- struct{}{}
	log.logged("configuration reloaded")
	log.loggedWith("configuration change needs a restart", "listen has changed")
	if err := errors.Join(os.Remove(s.mirror), os.Rename(disk, s.mirror)); err != nil {
		t.Fatal(err)
	}
	log.logged("mirror back")
	client, err := api.Dial(t.Context(), s.mirror)
	for ; err != nil && t.Context().Err() == nil; client, err = api.Dial(t.Context(), s.mirror) {
		time.Sleep(5 * time.Millisecond) // until it listens
	}
	status, err := client.Status(t.Context())
	if err != nil || len(status.Datasets) != 1 || status.Datasets[0].Dataset != "demo" {
		t.Errorf("status %+v (%v), want the dataset of the new configuration", status, err)
	}
	client.Close()
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestADaemonTalksToTheServiceManager(t *testing.T) {
	t.Chdir(t.TempDir())
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "n", Net: "unixgram"}) // the whole path may be too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	s := newBench(t)
	s.env = append(s.env, "NOTIFY_SOCKET="+socket.LocalAddr().String(), "WATCHDOG_USEC=400000")
	d := s.start()
	hear := func(lines ...string) {
		t.Helper()
		buf := make([]byte, 4096)
		_ = socket.SetReadDeadline(time.Now().Add(20 * time.Second))
		for {
			n, err := socket.Read(buf)
			if err != nil {
				t.Fatalf("no %q: %v", lines, err)
			}
			missing := false
			for _, line := range lines {
				missing = missing || !strings.Contains("\n"+string(buf[:n]), "\n"+line)
			}
			if !missing {
				return
			}
		}
	}
	hear("READY=1", "STATUS=0 datasets")
	hear("WATCHDOG=1")
	hear("WATCHDOG=1")
	d.hangup()
	hear("RELOADING=1", "MONOTONIC_USEC=")
	hear("READY=1")
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
	<-d.ended
}

// The configuration is gone for a moment, or empty, as when an editor or a full disk
// is at work on it: the daemon goes on with what it has. Only a file that says that
// there are no datasets ends them.
func TestAConfigurationThatVanishesChangesNothing(t *testing.T) {
	s := newBench(t)
	s.configure("datasets: [{name: demo, schedule: off}]\n")
	serving, _ := s.serving(nil)
	path, _ := serving.app.configPath()
	for what, spoil := range map[string]func() error{
		"it is gone":            func() error { return os.Remove(path) },
		"it is empty":           func() error { return os.WriteFile(path, nil, 0o600) },
		"it has only a comment": func() error { return os.WriteFile(path, []byte("# to be written\n"), 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if settings, _, err := serving.load(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("load where %s = %+v, %v, want an error that names the file", what, settings, err)
		}
		if now := serving.settings.Load(); len(now.Datasets) != 1 {
			t.Errorf("where %s, the daemon has %+v", what, now.Datasets)
		}
	}
	s.configure("datasets: []\n")
	if settings, _, err := serving.load(); err != nil || len(settings.Datasets) > 0 {
		t.Errorf("load of no datasets = %+v, %v, want none", settings, err)
	}
}

// Whoever starts a pull by nohup logs out.
func TestAnIgnoredHangupStaysIgnored(t *testing.T) {
	if os.Getenv("MIMICSYNC_TEST_HANGUP") == "" {
		cmd := exec.Command("sh", "-c", `trap "" HUP; exec "$0" -test.run '^TestAnIgnoredHangupStaysIgnored$'`, os.Args[0])
		cmd.Env = append(os.Environ(), "MIMICSYNC_TEST_HANGUP=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	ctx, stop := interruptible(context.Background())
	defer stop()
	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangUp()
	asked := hangups(ctx)
	hangUp()
	<-asked // so that it has been seen, and the first would have been, too
	if ctx.Err() != nil {
		t.Errorf("a hangup that was ignored ended the command: %v", context.Cause(ctx))
	}
}
