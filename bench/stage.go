//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"mimicsync/manifest"
)

// account and password are what nginx asks for.
const (
	account  = "bench"
	password = "correcthorse" // of generated files on loopback
)

// stage is what measurements work with: a folder, a certificate, and the client under test. Its process stays small: the peak
// memory that the system reports of a child begins with its parent's.
type stage struct {
	dir         string // for everything that is written; owned
	keep        bool
	self        string // this program
	client      string // the mimicsync command; empty: libraryPass stands for it
	certificate certificate
}

// stageOptions are the flags that measurements have in common.
type stageOptions struct {
	dir     string
	keep    bool
	library bool
	json    bool
}

func (o *stageOptions) flags(flags *flag.FlagSet) {
	flags.StringVar(&o.dir, "dir", os.TempDir(), "a folder on the disk to measure")
	flags.BoolVar(&o.keep, "keep", false, "leave what was written: ext4 is slow for five minutes after a mass deletion")
	flags.BoolVar(&o.library, "library", false, "measure the library in place of the command; "+profileVar+"=DIR then profiles it")
	flags.BoolVar(&o.json, "json", false, "print JSON")
}

// site is a server that clients are measured against.
type site struct {
	url   string
	start func(*exec.Cmd) error // starts a client where it can reach the server
	tally func() (tally, error) // what was served so far; safe for concurrent use
}

// openStage makes the folder and builds the client. The stage must be closed, also after an error of the measurement.
func openStage(ctx context.Context, o stageOptions) (s *stage, err error) {
	s = &stage{keep: o.keep}
	if s.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp(o.dir, "mimicsync-bench-*"); err != nil {
		return nil, err
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return nil, err
	}
	fate := "it is removed at the end"
	if o.keep {
		fate = "it stays there"
	}
	fmt.Fprintf(os.Stderr, "bench: writes to %s; %s\n", s.dir, fate)
	if s.certificate, err = newCertificate(s.dir); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if !o.library {
		s.build(ctx)
	}
	return s, nil
}

// build makes the command. Without it the library is measured, which is the same work.
func (s *stage) build(ctx context.Context) {
	binary := filepath.Join(s.dir, "mimicsync")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "mimicsync/cmd/mimicsync") //nolint:gosec // into our own folder
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: the command cannot be built, the library is measured instead: %s\n", firstLine(out))
		return
	}
	s.client = binary
}

// close removes what was written, now that nothing is measured any more.
func (s *stage) close() error {
	if s.keep {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// clientCommand is mimicsync's pass over a dataset, as a process to start.
func (s *stage) clientCommand(ctx context.Context, url string, ref manifest.Ref, mirror string, connections int, more ...string) *exec.Cmd {
	program, args := s.client, []string{"pull", ref.String(), "--mirror", mirror, "--connections", strconv.Itoa(connections), "-q", "--json"}
	if program == "" {
		program = s.self
		args = []string{"pass", "-dataset", ref.String(), "-dir", mirror, "-connections", strconv.Itoa(connections)}
	}
	cmd := s.command(ctx, program, append(args, more...)...)
	cmd.Env = append(cmd.Env, "MIMICSYNC_PHYSIONET_URL="+url)
	return cmd
}

// command starts from a clean environment: no password, proxy or setting of the person at the keyboard counts. Its
// processes are a group that ends together, also when this program is killed.
func (s *stage) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // this program, the one built from this tree, or a peer
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = []string{
		"SSL_CERT_FILE=" + s.certificate.file, "PHYSIONET_USERNAME=" + account, "PHYSIONET_PASSWORD=" + password,
		"HOME=" + s.dir, "NETRC=/dev/null", "RCLONE_CONFIG=/dev/null", "NO_COLOR=1", "PATH=" + os.Getenv("PATH"),
	}
	if dir := os.Getenv(profileVar); dir != "" {
		cmd.Env = append(cmd.Env, profileVar+"="+dir)
	}
	return cmd
}

// firstLine returns the first line of a compiler's words that is not the package's name.
func firstLine(b []byte) string {
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "#") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
