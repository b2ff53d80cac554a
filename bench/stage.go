//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// stage is what one measurement works with: a folder, a running server, and the client under test. Its process stays
// small: the peak memory that the system reports of a child begins with its parent's.
type stage struct {
	dir     string // for everything that is written; owned
	keep    bool
	self    string // this program
	client  string // the mimicsync command; empty: libraryPass stands for it
	about   announcement
	server  *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
	mu      sync.Mutex // held while the server is asked
}

// stageOptions are the flags that measurements have in common.
type stageOptions struct {
	shape       string
	n           int
	connections int
	dir         string
	keep        bool
	library     bool
	json        bool
}

// openStage starts the server. The stage must be closed, also after an error of the measurement.
func openStage(ctx context.Context, o stageOptions) (s *stage, err error) {
	s = &stage{keep: o.keep}
	if s.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp(o.dir, "mimicsync-bench-*"); err != nil {
		return nil, err
	}
	fate := "it is removed at the end"
	if o.keep {
		fate = "it stays there"
	}
	fmt.Fprintf(os.Stderr, "bench: writes to %s; %s\n", s.dir, fate)
	if !o.library {
		s.build(ctx)
	}
	if err := s.startServer(ctx, o); err != nil {
		return nil, errors.Join(err, s.close())
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

func (s *stage) startServer(ctx context.Context, o stageOptions) (err error) {
	args := []string{"serve", "-shape", o.shape, "-n", strconv.Itoa(o.n), "-dir", s.dir}
	s.server = exec.CommandContext(ctx, s.self, args...) //nolint:gosec // this program
	s.server.Stderr = os.Stderr
	if s.ask, err = s.server.StdinPipe(); err != nil {
		return err
	}
	out, err := s.server.StdoutPipe()
	if err != nil {
		return err
	}
	s.answers = bufio.NewReader(out)
	if err := s.server.Start(); err != nil {
		return err
	}
	return s.read(&s.about)
}

func (s *stage) read(v any) error {
	line, err := s.answers.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the server has died: %w", err)
	}
	return json.Unmarshal(line, v)
}

// tally asks the server what it has served so far.
func (s *stage) tally() (t tally, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.ask.Write([]byte("\n")); err != nil {
		return t, err
	}
	err = s.read(&t)
	return t, err
}

// settle writes everything to the disk, so that no client pays for what another one left behind.
func (s *stage) settle() { unix.Sync() }

// close ends the server and removes what was written, now that nothing is measured any more.
func (s *stage) close() error {
	if s.server != nil && s.server.Process != nil {
		_ = s.ask.Close()
		_ = s.server.Wait() // its work is done, whatever it says
	}
	if s.keep {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// clientCommand is mimicsync's pass over the demo dataset, as a process to start.
func (s *stage) clientCommand(ctx context.Context, mirror string, connections int, dry bool) *exec.Cmd {
	var args []string
	program := s.client
	if program == "" {
		program = s.self
		args = []string{"pass", "-url", s.about.URL, "-dir", mirror, "-connections", strconv.Itoa(connections)}
	} else {
		args = []string{"pull", demo.String(), "--mirror", mirror, "--connections", strconv.Itoa(connections), "-q", "--json"}
	}
	if dry {
		args = append(args, "--dry-run")
	}
	return s.command(ctx, program, args...)
}

// loopCommand is a bare loop, the plain or the tight one, as a process to start.
func (s *stage) loopCommand(ctx context.Context, dir string, connections int, plain bool) *exec.Cmd {
	return s.command(ctx, s.self, "loop", "-url", s.about.URL, "-dir", dir, "-connections", strconv.Itoa(connections), "-plain="+strconv.FormatBool(plain))
}

// checkCommand is the check of a tree of the demo dataset.
func (s *stage) checkCommand(ctx context.Context, dir string) *exec.Cmd {
	return s.command(ctx, s.self, "check", "-manifest", s.about.Manifest, "-dir", dir)
}

// command starts from a clean environment: no password, proxy or setting of the person at the keyboard counts.
func (s *stage) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // this program, or the one built from this tree
	cmd.Stderr = os.Stderr
	cmd.Env = []string{
		"SSL_CERT_FILE=" + s.about.Certificate, "MIMICSYNC_PHYSIONET_URL=" + s.about.URL,
		"HOME=" + s.dir, "NETRC=/dev/null", "NO_COLOR=1", "PATH=" + os.Getenv("PATH"),
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
