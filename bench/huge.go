//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mimicsync/internal/durable"
)

// The goals of `bench huge`.
const (
	passMemory = 200_000_000
	planMemory = 150_000_000
	lastTenth  = 0.8 // of the first one's speed
)

// hugeResult is what `bench huge` finds.
type hugeResult struct {
	Machine   machine     `json:"machine"`
	Corpus    string      `json:"corpus"`
	Pass      run         `json:"pass"`
	PlanEmpty run         `json:"plan_of_an_empty_mirror"`
	PlanFull  run         `json:"plan_of_the_full_mirror"`
	Second    run         `json:"second_pass"`
	Tenths    [10]float64 `json:"tenths"`     // files per second in each tenth of the first pass
	Lasting   float64     `json:"lasting"`    // the last tenth's speed by the first one's
	StateFile int64       `json:"state_file"` // bytes, after the passes
}

func measureHuge(flags *flag.FlagSet) func(context.Context, *stage) (result, error) {
	n := flags.Int("n", 600_000, "files")
	connections := flags.Int("connections", 16, "of mimicsync")
	return func(ctx context.Context, s *stage) (result, error) {
		if err := checkRoom(s.dir, int64(*n)*8<<10, 2*int64(*n)); err != nil { // a tiny file takes a block, and so do most folders
			return nil, err
		}
		server, err := startGenerated(ctx, s, "-n", strconv.Itoa(*n))
		if err != nil {
			return nil, err
		}
		defer server.close()
		r := &hugeResult{
			Machine: thisMachine(s),
			Corpus:  fmt.Sprintf("%d files of 32 to 96 bytes in the layout of MIMIC-CXR, %s", server.about.Files, megabytes(server.about.Bytes)),
		}
		return r, s.hugePasses(ctx, server, *connections, r)
	}
}

// checkRoom refuses to fill the disk.
func checkRoom(dir string, bytes, inodes int64) error {
	space, err := durable.Free(dir)
	if err != nil {
		return err
	}
	if space.Bytes < 2*bytes || space.Inodes >= 0 && space.Inodes < 2*inodes {
		return fmt.Errorf("%s has too little room: some %s and %d inodes are written, and as much should stay free; name another folder with -dir, or measure less", dir, megabytes(bytes), inodes)
	}
	return nil
}

func (s *stage) hugePasses(ctx context.Context, server *generatedServer, connections int, result *hugeResult) (err error) {
	mirror, empty := filepath.Join(s.dir, "mirror"), filepath.Join(s.dir, "empty")
	steps := []struct {
		name   string
		mirror string
		dry    bool
		run    *run
	}{
		{"first pass", mirror, false, &result.Pass},
		{"plan of an empty mirror", empty, true, &result.PlanEmpty},
		{"plan of the full mirror", mirror, true, &result.PlanFull},
		{"second pass", mirror, false, &result.Second},
	}
	for i, step := range steps {
		fmt.Fprintf(os.Stderr, "bench: %s\n", step.name)
		var speed speedometer
		var more []string
		if step.dry {
			more = []string{"--dry-run"}
		}
		cmd := s.clientCommand(ctx, server.about.URL, demo, step.mirror, connections, more...)
		if *step.run, err = measure(ctx, server.site(), cmd, speed.note); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		result.Tenths = speed.tenths(server.about.Files)
		result.Lasting = result.Tenths[9] / result.Tenths[0]
	}
	if fi, err := os.Stat(filepath.Join(mirror, ".mimicsync", "state.db")); err == nil {
		result.StateFile = fi.Size()
	}
	tree := filepath.Join(mirror, demo.Dataset, demo.Version)
	if err := s.verify(ctx, server.about.Manifest, tree, server.about.Files, false, &result.Second); err != nil {
		return err
	}
	result.Pass.Verified = result.Second.Verified // nothing was fetched between the two
	return secondIsIdle(&result.Second)
}

// secondIsIdle fails if a pass over a complete mirror has fetched something.
func secondIsIdle(r *run) error {
	var said struct {
		Passes []struct {
			Files struct{ Present, Fetched int64 } `json:"files"`
		} `json:"passes"`
	}
	if err := json.Unmarshal(r.stdout, &said); err != nil {
		return fmt.Errorf("the second pass printed no report: %w", err)
	}
	if len(said.Passes) != 1 || said.Passes[0].Files.Fetched != 0 || said.Passes[0].Files.Present != r.Verified {
		return fmt.Errorf("the second pass should have found all present: %s", r.stdout)
	}
	return nil
}

// speedometer notes when how many files had been asked for.
type speedometer struct {
	at    []time.Duration
	files []int64
}

func (m *speedometer) note(at time.Duration, t tally) {
	m.at, m.files = append(m.at, at), append(m.files, t.Files)
}

// tenths returns the files per second of each tenth of n files. The first begins with the first file.
func (m *speedometer) tenths(n int64) (speeds [10]float64) {
	last := m.reached(1)
	for i := range speeds {
		now := m.reached(n * int64(i+1) / 10)
		speeds[i] = float64(n/10) / max((now-last).Seconds(), 1e-9)
		last = now
	}
	return speeds
}

// reached is when there were n files, between two notes in proportion.
func (m *speedometer) reached(n int64) time.Duration {
	for i, files := range m.files {
		if files < n {
			continue
		}
		if i == 0 || m.files[i-1] >= files {
			return m.at[i]
		}
		part := float64(n-m.files[i-1]) / float64(files-m.files[i-1])
		return m.at[i-1] + time.Duration(part*float64(m.at[i]-m.at[i-1]))
	}
	if len(m.at) == 0 {
		return 0
	}
	return m.at[len(m.at)-1]
}

func (r *hugeResult) print() {
	r.Machine.print()
	fmt.Printf("%s; state file %s\n\n", r.Corpus, megabytes(r.StateFile))
	t := newTable("what", "wall", "files/s", "CPU", "of it sys", "server CPU", "peak RSS", "of it anonymous", "goal", "requests", "bytes", "verified")
	row := func(name string, m run, goal int64) {
		speed, verified := "", ""
		if m.Files > 0 {
			speed = fmt.Sprintf("%.0f", m.perSecond())
		}
		if m.Verified > 0 {
			verified = strconv.FormatInt(m.Verified, 10)
		}
		t.row(name, seconds(m.Wall), speed, seconds(m.CPU), seconds(m.System), seconds(m.ServerCPU), megabytes(m.RSS), megabytes(m.Anonymous),
			fmt.Sprintf("< %d MB, %s", goal/1e6, reached(m.RSS < goal)), strconv.FormatInt(m.Requests, 10), megabytes(m.Bytes), verified)
	}
	row("first pass", r.Pass, passMemory)
	row("plan of an empty mirror", r.PlanEmpty, planMemory)
	row("plan of the full mirror", r.PlanFull, planMemory)
	row("second pass", r.Second, passMemory)
	t.print()
	speeds := make([]string, 0, len(r.Tenths))
	for _, v := range r.Tenths {
		speeds = append(speeds, fmt.Sprintf("%.0f", v))
	}
	fmt.Printf("\nfiles/s in each tenth of the first pass: %s\nlast tenth by first: %.2f, goal at least %.2f, %s\n",
		strings.Join(speeds, " "), r.Lasting, lastTenth, reached(r.Lasting >= lastTenth))
}
