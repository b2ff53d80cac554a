//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// starvedGoal is how long the slowest of the pulls may take.
const starvedGoal = 60 * time.Second

// starvedResult is what `bench starved` finds.
type starvedResult struct {
	Machine     machine   `json:"machine"`
	Pulls       int       `json:"pulls"`
	Files       int64     `json:"files"`       // of each
	Connections int       `json:"connections"` // that each may open
	Served      int       `json:"served"`      // of all of theirs, at a time
	Seconds     []float64 `json:"seconds"`     // that each took
	Opened      int64     `json:"opened"`      // connections, by all
	Requests    int64     `json:"requests"`
}

// measureStarved lets several processes pull at once from a server that accepts every connection and serves only some at
// a time, those first that came first. Which of the others are closed, and when, makes the difference.
func measureStarved(flags *flag.FlagSet) func(context.Context, *stage) (result, error) {
	r := &starvedResult{}
	flags.IntVar(&r.Pulls, "pulls", 8, "processes")
	flags.IntVar(&r.Connections, "connections", 32, "of each")
	flags.IntVar(&r.Served, "served", 12, "connections that the server serves at a time")
	linger := flags.Duration("linger", 2*time.Second, "for how long the server counts a connection that was closed")
	n := flags.Int("n", 300, "files")
	return func(ctx context.Context, s *stage) (result, error) {
		server, err := startGenerated(ctx, s, "-n", strconv.Itoa(*n), "-served", strconv.Itoa(r.Served), "-linger", linger.String(),
			"-workers", "100", "-work", "20ms") // none of the pulls is over before the others have begun
		if err != nil {
			return nil, err
		}
		defer server.close()
		r.Machine, r.Files, r.Seconds = thisMachine(s), server.about.Files, make([]float64, r.Pulls)
		return r, s.starvedPulls(ctx, server, r)
	}
}

func (s *stage) starvedPulls(ctx context.Context, server *generatedServer, r *starvedResult) error {
	before, err := server.tally()
	if err != nil {
		return err
	}
	var pulls errgroup.Group
	for i := range r.Pulls {
		pulls.Go(func() error {
			mirror := filepath.Join(s.dir, fmt.Sprintf("starved%d", i))
			start := time.Now()
			if err := s.clientCommand(ctx, server.about.URL, demo, mirror, r.Connections).Run(); err != nil {
				return fmt.Errorf("pull %d: %w", i, err)
			}
			r.Seconds[i] = time.Since(start).Seconds()
			return nil
		})
	}
	if err := pulls.Wait(); err != nil {
		return err
	}
	after, err := server.tally()
	r.Opened, r.Requests = after.Connections-before.Connections, after.Requests-before.Requests
	for i := range r.Pulls {
		var checked run
		tree := filepath.Join(s.dir, fmt.Sprintf("starved%d", i), demo.Dataset, demo.Version)
		err = errors.Join(err, s.verify(ctx, server.about.Manifest, tree, server.about.Files, false, &checked))
	}
	return err
}

func (r *starvedResult) print() {
	r.Machine.print()
	slowest := slices.Max(r.Seconds)
	fmt.Printf("%d pulls of %d files, each with %d connections, from a server that serves %d: %.1f s each, %d connections and %d requests in all\n",
		r.Pulls, r.Files, r.Connections, r.Served, r.Seconds, r.Opened, r.Requests)
	fmt.Printf("the slowest: under %v; %.1f s, %s\n", starvedGoal, slowest, reached(slowest < starvedGoal.Seconds()))
}
