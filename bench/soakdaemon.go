//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// soakConfig schedules every dataset as often as cron can, each for its newest version. The scrub reads one dataset after the
// other, slowly.
const soakConfig = `mirror: %s
listen: ["127.0.0.1:0"]
physionet: {url: %q}
idle_timeout: %s
schedule: "* * * * *"
jitter: 0s
scrub: {schedule: "*/5 * * * *", rate: 5M, max_age: 0s}
log: {format: json}
datasets:
`

// soakDaemon is a `mimicsync daemon`, from its start to its end.
type soakDaemon struct {
	cmd   *exec.Cmd
	log   *os.File
	url   string        // of its page
	ended chan struct{} // closed when it has, by err
	err   error
}

// startDaemon starts a daemon that logs into a file, and waits until it listens.
func (s *stage) startDaemon(ctx context.Context, config string, life int) (d *soakDaemon, err error) {
	d = &soakDaemon{cmd: s.command(ctx, s.client, "daemon", "--config", config), ended: make(chan struct{})}
	if d.log, err = os.Create(filepath.Join(s.dir, fmt.Sprintf("daemon-%d.log", life))); err != nil {
		return nil, err
	}
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(err, d.log.Close())
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	const patience = time.Minute
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if d.url = d.address(); d.url != "" {
			return d, nil
		}
		select {
		case <-d.ended:
			return nil, d.died()
		default:
		}
	}
	return nil, errors.Join(fmt.Errorf("the daemon has not said in %s that it listens", patience), d.kill())
}

// address is what the log says of it; empty if it says nothing.
func (d *soakDaemon) address() string {
	f, err := os.Open(d.log.Name())
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // opened for reading only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var record struct {
			Msg       string   `json:"msg"`
			Addresses []string `json:"addresses"`
		}
		if json.Unmarshal(lines.Bytes(), &record) == nil && record.Msg == "daemon started" && len(record.Addresses) > 0 {
			return "http://" + record.Addresses[0]
		}
	}
	return ""
}

// died is the error of a daemon that ended by itself, with its last words.
func (d *soakDaemon) died() error {
	words, _ := os.ReadFile(d.log.Name()) // what can be had of them
	const last = 2000
	return fmt.Errorf("the daemon ended (%s):\n%s", d.cmd.ProcessState, bytes.TrimSpace(words[max(0, len(words)-last):]))
}

// kill ends the daemon as the kernel does that has no memory left.
func (d *soakDaemon) kill() error {
	err := d.cmd.Process.Kill()
	<-d.ended
	return errors.Join(err, d.log.Close())
}

// stop ends the daemon in good order, and returns how long that took.
func (d *soakDaemon) stop() (time.Duration, error) {
	asked := time.Now()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, errors.Join(err, d.died())
	}
	<-d.ended
	if d.err != nil {
		return 0, d.died()
	}
	return time.Since(asked), d.log.Close()
}

// soakFindings is what `mimicsync verify --json` prints.
type soakFindings struct {
	Verified []struct {
		Dataset    string `json:"dataset"`
		Version    string `json:"version"`
		Verified   int64  `json:"verified"`
		Wrong      int64  `json:"wrong"`
		Missing    int64  `json:"missing"`
		Unreadable int64  `json:"unreadable"`
		Absent     int64  `json:"absent"`
		Failures   []struct {
			Path   string `json:"path"`
			Reason string `json:"reason"`
			Detail string `json:"detail"`
		} `json:"failures"`
	} `json:"verified"`
}

// verifyMirror reads the mirror of a daemon that has ended.
func (s *stage) verifyMirror(ctx context.Context, config string) (found soakFindings, err error) {
	out, err := s.command(ctx, s.client, "verify", "--config", config, "--json", "--progress", "none").Output()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited { // its code says that it found something
		return found, err
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return found, fmt.Errorf("verify printed %q: %w", out, err)
	}
	return found, nil
}

// prune removes what newer versions have replaced.
func (s *stage) prune(ctx context.Context, config string) error {
	return s.command(ctx, s.client, "prune", "--config", config, "--yes", "--json").Run()
}
