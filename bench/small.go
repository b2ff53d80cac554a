//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// smallResult is what `bench small` finds.
type smallResult struct {
	Machine   machine `json:"machine"`
	Corpus    string  `json:"corpus"`
	Runs      int     `json:"runs"`
	Loop      run     `json:"bare_loop"` // medians, column by column
	Mimicsync run     `json:"mimicsync"`
	// Ratio is that of the median times; CPURatio that of the median processor times.
	Ratio    float64 `json:"ratio"`
	CPURatio float64 `json:"cpu_ratio"`
	All      struct {
		Loop      []run `json:"bare_loop"`
		Mimicsync []run `json:"mimicsync"`
	} `json:"all"`
}

// commonFlags declares what measurements have in common.
func commonFlags(flags *flag.FlagSet, o *stageOptions) {
	flags.IntVar(&o.n, "n", o.n, "files")
	flags.IntVar(&o.connections, "connections", 16, "connections of each client")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "a folder on the disk to measure")
	flags.BoolVar(&o.keep, "keep", false, "leave what was written: ext4 is slow for five minutes after a mass deletion")
	flags.BoolVar(&o.library, "library", false, "measure the library in place of the command; "+profileVar+"=DIR then profiles it")
	flags.BoolVar(&o.json, "json", false, "print JSON")
}

func measureSmall(ctx context.Context, args []string) (err error) {
	o := stageOptions{shape: "small", n: 20_000}
	flags := flag.NewFlagSet("small", flag.ContinueOnError)
	commonFlags(flags, &o)
	runs := flags.Int("runs", 3, "runs of each client, after one that does not count")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := openStage(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	result := smallResult{
		Machine: thisMachine(s), Runs: *runs,
		Corpus: fmt.Sprintf("%d files of 2 to 20 KB, %s", s.about.Files, megabytes(s.about.Bytes)),
	}
	for i := range *runs + 1 {
		loop, client, err := s.smallRound(ctx, i, o.connections)
		if err != nil {
			return err
		}
		if i == 0 {
			continue
		}
		result.All.Loop, result.All.Mimicsync = append(result.All.Loop, loop), append(result.All.Mimicsync, client)
	}
	result.Loop, result.Mimicsync = medians(result.All.Loop), medians(result.All.Mimicsync)
	result.Ratio, result.CPURatio = result.Mimicsync.Wall/result.Loop.Wall, result.Mimicsync.CPU/result.Loop.CPU
	if o.json {
		return printJSON(result)
	}
	result.print()
	return nil
}

// smallRound runs both clients, each into a folder that did not exist.
func (s *stage) smallRound(ctx context.Context, i, connections int) (loop, client run, err error) {
	fmt.Fprintf(os.Stderr, "bench: round %d\n", i)
	dir := filepath.Join(s.dir, "loop"+strconv.Itoa(i))
	if loop, err = s.measure(ctx, s.loopCommand(ctx, dir, connections), nil); err != nil {
		return loop, client, err
	}
	if err = s.verify(ctx, dir, &loop); err != nil {
		return loop, client, err
	}
	mirror := filepath.Join(s.dir, "mirror"+strconv.Itoa(i))
	if client, err = s.measure(ctx, s.clientCommand(ctx, mirror, connections, false), nil); err != nil {
		return loop, client, err
	}
	err = s.verify(ctx, filepath.Join(mirror, demo.Dataset, demo.Version), &client)
	return loop, client, err
}

func (r *smallResult) print() {
	r.Machine.print()
	fmt.Printf("%s; medians of %d runs\n\n", r.Corpus, r.Runs)
	t := newTable("client", "wall", "(min-max)", "files/s", "CPU", "of it sys", "server CPU", "peak RSS", "requests", "bytes", "verified", "ratio", "CPU ratio")
	row := func(name string, m run, all []run, ratio, cpu float64) {
		lo, hi := spread(all)
		t.row(name, seconds(m.Wall), fmt.Sprintf("(%.2f-%.2f)", lo, hi), fmt.Sprintf("%.0f", m.perSecond()), seconds(m.CPU), seconds(m.System),
			seconds(m.ServerCPU), megabytes(m.RSS), strconv.FormatInt(m.Requests, 10), megabytes(m.Bytes), strconv.FormatInt(m.Verified, 10),
			fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.2f", cpu))
	}
	row("bare loop", r.Loop, r.All.Loop, 1, 1)
	row("mimicsync", r.Mimicsync, r.All.Mimicsync, r.Ratio, r.CPURatio)
	t.print()
	fmt.Printf("\ngoal: ratio at most 1.50; here %.2f, %s\n", r.Ratio, reached(r.Ratio <= 1.5))
}

// medians takes the median of each column by itself.
func medians(all []run) run {
	m := run{Files: all[0].Files, Verified: all[0].Verified}
	m.Wall = median(all, func(r run) float64 { return r.Wall })
	m.CPU = median(all, func(r run) float64 { return r.CPU })
	m.System = median(all, func(r run) float64 { return r.System })
	m.ServerCPU = median(all, func(r run) float64 { return r.ServerCPU })
	m.RSS = median(all, func(r run) int64 { return r.RSS })
	m.Anonymous = median(all, func(r run) int64 { return r.Anonymous })
	m.Requests = median(all, func(r run) int64 { return r.Requests })
	m.Bytes = median(all, func(r run) int64 { return r.Bytes })
	m.Connections = median(all, func(r run) int64 { return r.Connections })
	return m
}

func median[T cmp.Ordered](all []run, of func(run) T) T {
	values := make([]T, 0, len(all))
	for _, r := range all {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func spread(all []run) (lo, hi float64) {
	byWall := func(a, b run) int { return cmp.Compare(a.Wall, b.Wall) }
	return slices.MinFunc(all, byWall).Wall, slices.MaxFunc(all, byWall).Wall
}
