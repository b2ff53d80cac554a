//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// secondPass is the scenario `second`: the size of MIMIC-CXR-JPG, and nothing has changed. The first pass is its preparation.
const (
	secondFiles  = 377_110
	secondWall   = 3 // seconds, with the tree's metadata cached
	secondMemory = 100_000_000
)

func (s *stage) measureSecond(ctx context.Context, o speedOptions) (*comparison, error) {
	n := max(1, int(secondFiles*o.scale))
	server, err := startGenerated(ctx, s, "-n", strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	defer server.close()
	mirror := filepath.Join(s.dir, "second")
	pass := func() (run, error) {
		return measure(ctx, server.site(), s.clientCommand(ctx, server.about.URL, demo, mirror, 16), nil)
	}
	first, err := pass()
	if err != nil {
		return nil, err
	}
	tree := filepath.Join(mirror, demo.Dataset, demo.Version)
	if err := s.verify(ctx, server.about.Manifest, tree, server.about.Files, false, &first); err != nil {
		return nil, err
	}
	c := &comparison{Scenario: "second", Work: fmt.Sprintf("%d files of 32 to 96 bytes", n), Bytes: server.about.Bytes}
	again := series{Client: "second pass", Bytes: c.Bytes, Connections: 16, SelfVerified: true}
	for i := range o.runs + 1 {
		fmt.Fprintf(os.Stderr, "bench: second: round %d\n", i)
		r, err := pass()
		if err != nil {
			return nil, err
		}
		r.Verified = first.Verified // nothing was fetched since
		if err := secondIsIdle(&r); err != nil {
			return nil, err
		}
		if i > 0 {
			again.All = append(again.All, r)
		}
	}
	again.Median = medians(again.All)
	c.Rows = []series{{Client: "first pass", Bytes: c.Bytes, Connections: 16, SelfVerified: true, Median: first, All: []run{first}}, again}
	m := again.Median
	c.verdict("requests of a second pass: at most 1; %d, %s", m.Requests, reached(m.Requests <= 1))
	c.verdict("its time: under %d s; %.2f, %s", secondWall, m.Wall, reached(m.Wall < secondWall))
	c.verdict("its memory: under %s; %s, %s", megabytes(secondMemory), megabytes(m.RSS), reached(m.RSS < secondMemory))
	return c, nil
}
