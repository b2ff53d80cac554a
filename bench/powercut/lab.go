//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/internal/faultdisk"
)

// lab is what campaigns work with: a folder, the command under test, a look-alike of
// PhysioNet, and what was found. It is for one goroutine.
type lab struct {
	options

	dir    string // owned
	server []string
	site   *lookalike.Server
	web    *httptest.Server
	random *rand.Rand

	trials   int
	problems []string
	figures  []string
}

// openLab builds the command and starts the look-alike. server is a command that serves
// a disk. Close it.
func openLab(ctx context.Context, o options, server []string) (l *lab, err error) {
	l = &lab{options: o, server: server, random: rand.New(rand.NewPCG(o.seed, 1))} //nolint:gosec // it is to be the same again
	if l.dir, err = os.MkdirTemp(o.dir, "mimicsync-powercut-*"); err != nil {
		return nil, err
	}
	if l.client == "" {
		l.client = l.path("mimicsync")
		build := exec.CommandContext(ctx, "go", "build", "-o", l.client, "mimicsync/cmd/mimicsync") //nolint:gosec // into our own folder
		if out, err := build.CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("build the command: %w: %s", err, out), l.close())
		}
	}
	l.site = lookalike.New()
	l.site.APIPerHour = 1 << 30 // how often it is asked is no concern here
	l.web = httptest.NewUnstartedServer(l.site)
	l.site.Attach(l.web.Config)
	l.web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	l.web.StartTLS()
	trust := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.web.Certificate().Raw})
	if err := errors.Join(os.WriteFile(l.path("trust.pem"), trust, 0o600), os.Mkdir(l.path("home"), 0o700)); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) close() error {
	if l.web != nil {
		l.site.Close()
		l.web.Close()
	}
	return os.RemoveAll(l.dir)
}

// disk starts a disk of the file system that the campaign is about.
func (l *lab) disk(size int64, logged bool) (*faultdisk.Disk, error) {
	dir, err := os.MkdirTemp(l.dir, "disk-*")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(l.server[0], l.server[1:]...) //nolint:gosec // this program
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	return faultdisk.Start(faultdisk.Options{Dir: dir, FileSystem: l.fileSystem, Size: size, Log: logged, Server: cmd})
}

// durabilityOf is that of a trial.
func (l *lab) durabilityOf(trial int) string {
	switch {
	case l.durability != "":
		return l.durability
	case trial%2 == 0:
		return "group"
	}
	return "file"
}

// outcome is how a run of the command ended.
type outcome struct {
	Passes []struct {
		Dataset, Version, State string
		Files                   struct{ Total, Present, Adopted, Linked, Fetched, Failed int }
		Bytes                   struct{ Fetched, Discarded int64 }
	}
	code   int
	stderr string
}

// String is what a problem quotes of it.
func (r *outcome) String() string {
	return fmt.Sprintf("exit %d, %+v: %.600s", r.code, r.Passes, r.stderr)
}

// command is mimicsync over a mirror, which ends with ctx. boot is the run of the kernel
// that it is to see, if not empty.
func (l *lab) command(ctx context.Context, boot, mirror string, args ...string) *exec.Cmd {
	args = append(append([]string{l.client}, args...), "--mirror", mirror, "--json")
	if boot != "" {
		const other = `mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`
		args = append([]string{"unshare", "-m", "sh", "-c", other, boot}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the command under test
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.path("home"), "XDG_STATE_HOME=" + l.path("home"), "SSL_CERT_FILE=" + l.path("trust.pem"), "MIMICSYNC_PHYSIONET_URL=" + l.web.URL,
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// longest is how long a run may take: one that hangs is a problem.
const longest = 3 * time.Minute

// run runs mimicsync to its end.
func (l *lab) run(ctx context.Context, boot, mirror string, args ...string) *outcome {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	cmd := l.command(ctx, boot, mirror, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := &outcome{stderr: stderr.String()}
	if err != nil {
		r.code = max(cmd.ProcessState.ExitCode(), 1)
		r.stderr = err.Error() + ": " + r.stderr
	}
	if err := json.Unmarshal(stdout.Bytes(), r); err != nil && r.code == 0 {
		r.code, r.stderr = 1, "not JSON: "+err.Error()
	}
	return r
}

// pull is `mimicsync pull`.
func (l *lab) pull(ctx context.Context, boot, mirror, durability string, connections int, refs ...string) *outcome {
	args := append([]string{"pull", "--progress", "none", "--durability", durability, "--connections", strconv.Itoa(connections)}, refs...)
	return l.run(ctx, boot, mirror, args...)
}

// slowly has the look-alike send so many bytes a second over each connection, until the
// function is called.
func (l *lab) slowly(rate int64) (end func()) {
	return l.site.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: rate}).Remove
}

// problem notes what should not be.
func (l *lab) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.problems = append(l.problems, text)
	fmt.Fprintln(os.Stderr, "PROBLEM", text)
}

// figure notes what was measured.
func (l *lab) figure(format string, args ...any) {
	l.figures = append(l.figures, fmt.Sprintf(format, args...))
}

// say prints what goes on.
func (l *lab) say(format string, args ...any) {
	if l.verbose {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// report prints what was found and measured.
func (l *lab) report() {
	fmt.Printf("%s on %s, seed %d: %d trials, %d problems\n", l.what, l.fileSystem, l.seed, l.trials, len(l.problems))
	for _, figure := range l.figures {
		fmt.Println("  " + figure)
	}
}

// failed is the error of a campaign that found something.
func (l *lab) failed() error {
	if len(l.problems) > 0 {
		return fmt.Errorf("%d problems, the first: %s", len(l.problems), l.problems[0])
	}
	return nil
}
