//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// run is what one process of a client has cost.
type run struct {
	Wall        float64 `json:"wall_s"`
	CPU         float64 `json:"cpu_s"`         // user and system time of the client alone
	System      float64 `json:"system_s"`      // of it, system time
	RSS         int64   `json:"peak_rss"`      // bytes
	Anonymous   int64   `json:"peak_anon_rss"` // bytes, sampled: the rest is the mapped state file and the program
	Requests    int64   `json:"requests"`
	Bytes       int64   `json:"bytes"`       // of bodies, as sent
	Connections int64   `json:"connections"` // opened
	ServerCPU   float64 `json:"server_cpu_s"`
	Files       int64   `json:"files"`    // asked for
	Verified    int64   `json:"verified"` // of the tree afterwards, by a reading of its own; not of a plan
	stdout      []byte
}

// perSecond is how many files were fetched in a second.
func (r *run) perSecond() float64 { return float64(r.Files) / max(r.Wall, 1e-9) }

// measure runs a client to its end. each, if not nil, is called with the server's tally some ten times a second.
func (s *stage) measure(ctx context.Context, cmd *exec.Cmd, each func(time.Duration, tally)) (run, error) {
	var r run
	var out bytes.Buffer
	cmd.Stdout = &out
	s.settle()
	before, err := s.tally()
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	stop, watched := make(chan struct{}), make(chan int64)
	go func() { watched <- s.watch(cmd.Process.Pid, start, before, each, stop) }()
	err = cmd.Wait()
	r.Wall = time.Since(start).Seconds()
	close(stop)
	r.Anonymous = <-watched
	after, terr := s.tally()
	if err = errors.Join(err, terr); err != nil {
		return r, errors.Join(fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err), context.Cause(ctx))
	}
	r.stdout = out.Bytes()
	state := cmd.ProcessState
	r.System = state.SystemTime().Seconds()
	r.CPU = state.UserTime().Seconds() + r.System
	if used, ok := state.SysUsage().(*syscall.Rusage); ok {
		r.RSS = used.Maxrss << 10
	}
	r.Requests, r.Files, r.Bytes = after.Requests-before.Requests, after.Files-before.Files, after.Bytes-before.Bytes
	r.Connections, r.ServerCPU = after.Connections-before.Connections, after.CPU-before.CPU
	return r, nil
}

// watch samples a client until stop is closed, and returns the most anonymous memory that it had.
func (s *stage) watch(pid int, start time.Time, before tally, each func(time.Duration, tally), stop <-chan struct{}) int64 {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var peak int64
	for {
		select {
		case <-stop:
			return peak
		case <-tick.C:
		}
		peak = max(peak, anonymous(pid))
		if each == nil {
			continue
		}
		if now, err := s.tally(); err == nil {
			now.Files -= before.Files
			each(time.Since(start), now)
		}
	}
}

// anonymous is a process's memory that is no file's, in bytes; 0 if it is gone.
func anonymous(pid int) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("RssAnon:"))
	fields := bytes.Fields(rest[:min(len(rest), 40)])
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// verify fills in how many files of a tree are right, and fails if it is not all of them.
func (s *stage) verify(ctx context.Context, dir string, r *run) error {
	cmd := s.checkCommand(ctx, dir)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("check %s: %w", dir, err)
	}
	var found outcome
	if err := json.Unmarshal(out, &found); err != nil {
		return err
	}
	r.Verified = found.Files
	if found.Files != s.about.Files {
		return fmt.Errorf("%s has %d right files, want %d", dir, found.Files, s.about.Files)
	}
	return nil
}
