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
	Machine machine  `json:"machine"`
	Corpus  string   `json:"corpus"`
	Runs    int      `json:"runs"`
	Clients []series `json:"clients"` // the plain loop, the tight loop, mimicsync
	// Ratio is mimicsync's median time by the plain loop's, TightRatio by the tight loop's.
	Ratio      float64 `json:"ratio"`
	TightRatio float64 `json:"tight_ratio"`
}

// series is all runs of one client.
type series struct {
	Name   string `json:"name"`
	Median run    `json:"median"` // column by column
	All    []run  `json:"all"`
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
	result.Clients = []series{{Name: "plain loop"}, {Name: "tight loop"}, {Name: "mimicsync"}}
	for i := range *runs + 1 {
		fmt.Fprintf(os.Stderr, "bench: round %d\n", i)
		for k := range result.Clients {
			r, err := s.smallRun(ctx, result.Clients[k].Name, i, o.connections)
			if err != nil {
				return err
			}
			if i > 0 { // the first round warms up
				result.Clients[k].All = append(result.Clients[k].All, r)
			}
		}
	}
	for k := range result.Clients {
		result.Clients[k].Median = medians(result.Clients[k].All)
	}
	wall := func(k int) float64 { return result.Clients[k].Median.Wall }
	result.Ratio, result.TightRatio = wall(2)/wall(0), wall(2)/wall(1)
	if o.json {
		return printJSON(result)
	}
	result.print()
	return nil
}

// smallRun runs one client, into a folder that did not exist, and checks the tree.
func (s *stage) smallRun(ctx context.Context, client string, i, connections int) (run, error) {
	dir := filepath.Join(s.dir, client[:5]+strconv.Itoa(i))
	tree, cmd := dir, s.loopCommand(ctx, dir, connections, client == "plain loop")
	if client == "mimicsync" {
		tree, cmd = filepath.Join(dir, demo.Dataset, demo.Version), s.clientCommand(ctx, dir, connections, false)
	}
	r, err := s.measure(ctx, cmd, nil)
	if err != nil {
		return r, err
	}
	return r, s.verify(ctx, tree, &r)
}

func (r *smallResult) print() {
	r.Machine.print()
	fmt.Printf("%s; medians of %d runs\n\n", r.Corpus, r.Runs)
	t := newTable("client", "wall", "(min-max)", "files/s", "CPU", "of it sys", "server CPU", "peak RSS", "requests", "bytes", "verified", "by plain", "by tight")
	for _, c := range r.Clients {
		m := c.Median
		lo, hi := spread(c.All)
		t.row(c.Name, seconds(m.Wall), fmt.Sprintf("(%.2f-%.2f)", lo, hi), fmt.Sprintf("%.0f", m.perSecond()), seconds(m.CPU), seconds(m.System),
			seconds(m.ServerCPU), megabytes(m.RSS), strconv.FormatInt(m.Requests, 10), megabytes(m.Bytes), strconv.FormatInt(m.Verified, 10),
			fmt.Sprintf("%.2f", m.Wall/r.Clients[0].Median.Wall), fmt.Sprintf("%.2f", m.Wall/r.Clients[1].Median.Wall))
	}
	t.print()
	fmt.Printf("\ngoal: at most 1.50 of the plain loop's time; here %.2f, %s\n", r.Ratio, reached(r.Ratio <= 1.5))
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
