//go:build linux

package main

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mimicsync/downloader/lookalike"
)

// What a pull may take, whatever its server sends.
const (
	floodMemory = 150_000_000 // bytes
	floodLog    = 10_000_000  // with all that it logs
	floodState  = 16_000_000
	floodDisk   = 600_000_000 // a file that is 64 MB too long on each of eight connections
)

// floodRound is a pull from a server that sends one kind of flood.
type floodRound struct {
	Kind    string  `json:"kind"`
	Seconds float64 `json:"seconds"` // until it ended, or was stopped
	Code    int     `json:"code"`    // of its end
	Struck  int64   `json:"struck"`  // answers
	Memory  int64   `json:"memory"`  // bytes, at its peak
	Log     int64   `json:"log"`
	State   int64   `json:"state"`
	Disk    int64   `json:"disk"` // what is left of all in the mirror
	Told    bool    `json:"told"` // that a row of patients or the account is in the log or in the state
}

func (r *floodRound) good() bool {
	return r.Struck > 0 && r.Memory < floodMemory && r.Log < floodLog && r.State < floodState && r.Disk < floodDisk && !r.Told
}

// floodResult is what `bench flood` finds.
type floodResult struct {
	Machine machine      `json:"machine"`
	Rounds  []floodRound `json:"rounds"`
}

func floodNames() []string { return slices.Sorted(maps.Keys(floods)) }

// measureFlood pulls from a server that sends without end, or what it should not send at all.
func measureFlood(flags *flag.FlagSet) func(context.Context, *stage) (result, error) {
	kinds := flags.String("kinds", strings.Join(floodNames(), ","), "kinds of floods")
	lasts := flags.Duration("for", 30*time.Second, "after which a pull is stopped that has not ended")
	return func(ctx context.Context, s *stage) (result, error) {
		if err := s.needsCommand(); err != nil {
			return nil, err
		}
		r := &floodResult{Machine: thisMachine(s)}
		for i, kind := range strings.Split(*kinds, ",") {
			if floods[kind].to == nil {
				return nil, fmt.Errorf("there is no flood %q; there are %s", kind, strings.Join(floodNames(), ", "))
			}
			round, err := s.floodPull(ctx, kind, strconv.Itoa(i), *lasts)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
			r.Rounds = append(r.Rounds, round)
		}
		return r, nil
	}
}

// floodPull is one round, in a folder of its own.
func (s *stage) floodPull(ctx context.Context, kind, name string, lasts time.Duration) (r floodRound, err error) {
	dir := filepath.Join(s.dir, "flood"+name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, err
	}
	files := lookalike.Generated(tiny(40))
	well := lookalike.New(lookalike.Project{Slug: demo.Dataset, Policy: lookalike.Credentialed, Versions: []lookalike.Version{
		{Version: demo.Version, Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()},
	}})
	well.AddUser(lookalike.User{Name: account, Password: password, Credentialed: true, Signed: []string{demo.String()}})
	site := &floodSite{well: well, flood: floods[kind]}
	url, shut, err := s.serveSite(site, &well.Host)
	if err != nil {
		return r, err
	}
	defer func() {
		well.Close()
		err = errors.Join(err, shut())
	}()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	mirror := filepath.Join(dir, "mirror")
	cmd := s.command(ctx, s.client, "pull", demo.String(), "--mirror", mirror, "--connections", "8", "-v", "--json", "--progress", "none")
	cmd.Env = append(cmd.Env, "MIMICSYNC_PHYSIONET_URL="+url)
	cmd.Stdout, cmd.Stderr = log, log
	r.Kind = kind
	if err := r.follow(cmd, lasts); err != nil {
		return r, err
	}
	r.Struck = site.struck.Load()
	if err := r.weigh(log.Name(), mirror); err != nil || s.keep {
		return r, err
	}
	return r, os.RemoveAll(dir)
}

// follow runs the pull to its end, or stops it, and notes its memory.
func (r *floodRound) follow(cmd *exec.Cmd, lasts time.Duration) error {
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	stop := time.After(lasts)
	for {
		select {
		case <-look.C:
			r.Memory = max(r.Memory, memoryOf(cmd.Process.Pid, "VmHWM"))
		case <-stop:
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return err
			}
		case err := <-ended:
			if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
				return err
			}
			r.Seconds, r.Code = time.Since(start).Seconds(), cmd.ProcessState.ExitCode()
			return nil
		}
	}
}

// weigh looks at what the pull has left.
func (r *floodRound) weigh(log, mirror string) error {
	secret := base64.StdEncoding.EncodeToString([]byte(account + ":" + password))
	for _, file := range []struct {
		name string
		size *int64
	}{{log, &r.Log}, {filepath.Join(mirror, ".mimicsync", "state.db"), &r.State}} {
		text, err := os.ReadFile(file.name)
		if err != nil {
			return err
		}
		*file.size = int64(len(text))
		r.Told = r.Told || told(text, secret) || told(text, password)
	}
	return filepath.WalkDir(mirror, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			r.Disk += fi.Size()
		}
		return err
	})
}

// packedZeros is a megabyte of zeros as gzip has it, which may follow itself.
func packedZeros() string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, 1<<20)) // into memory
	_ = z.Close()
	return b.String()
}

func (r *floodResult) print() {
	r.Machine.print()
	fmt.Printf("| flood | answers | ended after | with code | memory | below %d MB | log | below %d MB | state | mirror | below %d MB | nothing told |\n",
		floodMemory/1_000_000, floodLog/1_000_000, floodDisk/1_000_000)
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, f := range r.Rounds {
		fmt.Printf("| %s | %d | %.1f s | %d | %s | %s | %.3f MB | %s | %s | %s | %s | %s |\n", f.Kind, f.Struck, f.Seconds, f.Code,
			megabytes(f.Memory), reached(f.Memory < floodMemory), float64(f.Log)/1e6, reached(f.Log < floodLog), megabytes(f.State), megabytes(f.Disk), reached(f.Disk < floodDisk), reached(!f.Told))
	}
	bad := slices.DeleteFunc(slices.Clone(r.Rounds), func(f floodRound) bool { return f.good() })
	fmt.Printf("%d kinds, of which %d did not come at all, or were too much for one of the bounds\n", len(r.Rounds), len(bad))
}
