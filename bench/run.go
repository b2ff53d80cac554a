//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tally is what a server has served.
type tally struct {
	Requests    int64   `json:"requests"`
	Files       int64   `json:"files"`    // GETs of files; of a generated server only
	Rejected    int64   `json:"rejected"` // answers 429 and 503
	Bytes       int64   `json:"bytes"`    // of bodies
	Connections int64   `json:"connections"`
	CPU         float64 `json:"cpu"` // seconds of the server's processes
}

// run is what one process of a client has cost.
type run struct {
	Wall        float64 `json:"wall_s"`
	Check       float64 `json:"check_s"`       // of the tree afterwards, if the client does not verify
	FastCheck   float64 `json:"fast_check_s"`  // the same by the fastest checker known, not counted
	CPU         float64 `json:"cpu_s"`         // user and system time of the client, and of the check
	System      float64 `json:"system_s"`      // of it, system time
	RSS         int64   `json:"peak_rss"`      // bytes
	Anonymous   int64   `json:"peak_anon_rss"` // bytes, sampled: the rest is the mapped state file and the program
	Requests    int64   `json:"requests"`
	Rejected    int64   `json:"rejected"`    // requests that were answered 429 or 503
	Bytes       int64   `json:"bytes"`       // of bodies, as sent
	Connections int64   `json:"connections"` // opened
	ServerCPU   float64 `json:"server_cpu_s"`
	Files       int64   `json:"files"`             // asked for; of a generated server only
	Verified    int64   `json:"verified"`          // of the tree afterwards, by a reading of its own; not of a plan
	Failure     string  `json:"failure,omitempty"` // why it does not count
	stdout      []byte
}

// total is the time until the files are there and verified.
func (r *run) total() float64 { return r.Wall + r.Check }

// perSecond is how many files were fetched in a second.
func (r *run) perSecond() float64 { return float64(r.Files) / max(r.Wall, 1e-9) }

// measure runs a client to its end. each, if not nil, is called with the server's tally some ten times a second.
func measure(ctx context.Context, at site, cmd *exec.Cmd, each func(time.Duration, tally)) (run, error) {
	var r run
	var out bytes.Buffer
	cmd.Stdout = &out
	unix.Sync() // nobody pays for what another one left behind
	before, err := at.tally()
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := at.start(cmd); err != nil {
		return r, err
	}
	stop, watched := make(chan struct{}), make(chan memory)
	go func() { watched <- watch(cmd, at, start, before, each, stop) }()
	err = cmd.Wait()
	r.Wall = time.Since(start).Seconds()
	close(stop)
	peak := <-watched
	after, terr := at.tally()
	r.stdout = out.Bytes()
	state := cmd.ProcessState
	r.System = state.SystemTime().Seconds()
	r.CPU = state.UserTime().Seconds() + r.System
	r.RSS, r.Anonymous = peak.group, peak.anonymous
	if used, ok := state.SysUsage().(*syscall.Rusage); ok {
		r.RSS = max(r.RSS, used.Maxrss<<10)
	}
	r.Requests, r.Rejected, r.Files, r.Bytes = after.Requests-before.Requests, after.Rejected-before.Rejected, after.Files-before.Files, after.Bytes-before.Bytes
	r.Connections, r.ServerCPU = after.Connections-before.Connections, after.CPU-before.CPU
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return r, errors.Join(err, terr, context.Cause(ctx))
}

// memory is the most that was seen of a client.
type memory struct {
	anonymous int64 // of its first process
	group     int64 // of all its processes; 0 if it has but one
}

// watch samples a client until stop is closed.
func watch(cmd *exec.Cmd, at site, start time.Time, before tally, each func(time.Duration, tally), stop <-chan struct{}) (peak memory) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return peak
		case <-tick.C:
		}
		peak.anonymous = max(peak.anonymous, memoryOf(cmd.Process.Pid, "RssAnon"))
		if strings.HasSuffix(cmd.Path, "/xargs") { // looking at all processes costs time
			peak.group = max(peak.group, groupRSS(cmd.Process.Pid))
		}
		if each == nil {
			continue
		}
		if now, err := at.tally(); err == nil {
			now.Files -= before.Files
			each(time.Since(start), now)
		}
	}
}

// verify fills in how many files of a tree are right. What it costs is a part of the run if the client has not verified.
func (s *stage) verify(ctx context.Context, sums, dir string, want int64, part bool, r *run) error {
	cmd := s.command(ctx, s.self, "check", "-manifest", sums, "-dir", dir)
	start := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("check %s: %w", dir, err)
	}
	r.FastCheck = time.Since(start).Seconds()
	var found outcome
	if err := json.Unmarshal(out, &found); err != nil {
		return err
	}
	r.Verified = found.Files
	if found.Files != want {
		return fmt.Errorf("%s has %d right files, want %d", dir, found.Files, want)
	}
	if part {
		return s.checksum(ctx, sums, dir, r)
	}
	return nil
}

// checksum does what a person does with a tree that nobody has verified, and counts it.
func (s *stage) checksum(ctx context.Context, sums, dir string, r *run) error {
	cmd := s.command(ctx, "sha256sum", "--check", "--quiet", sums)
	cmd.Dir = dir
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sha256sum --check in %s: %w", dir, err)
	}
	r.Check = time.Since(start).Seconds()
	r.System += cmd.ProcessState.SystemTime().Seconds()
	r.CPU += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return nil
}
