//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"mimicsync/manifest"
)

// The scenario `newversion`: a version is replaced by one of which 99% of the files are the same. The pass over the first is its
// preparation.
const (
	newVersionFiles = 20_200 // of which 202 changed, so that some 20,000 are linked
	newVersionWall  = 5      // seconds
)

func (s *stage) measureNewVersion(ctx context.Context, o speedOptions) (*comparison, error) {
	n := max(nextChanged, int(newVersionFiles*o.scale))
	server, err := startGenerated(ctx, s, "-n", strconv.Itoa(n), "-next")
	if err != nil {
		return nil, err
	}
	defer server.close()
	manifestSize, err := os.Stat(server.about.Next)
	if err != nil {
		return nil, err
	}
	c := &comparison{Scenario: "newversion", Work: fmt.Sprintf("%d files of 32 to 96 bytes, 1%% changed", n), Bytes: server.about.Bytes}
	next := series{Client: "next version", Bytes: c.Bytes, Connections: 16, SelfVerified: true}
	for i := range o.runs {
		fmt.Fprintf(os.Stderr, "bench: newversion: round %d\n", i)
		r, err := s.newVersion(ctx, server, filepath.Join(s.dir, fmt.Sprintf("newversion-%d", i)), n)
		if err != nil {
			return nil, err
		}
		next.All = append(next.All, r)
	}
	next.Median = medians(next.All)
	c.Rows = []series{next}
	m := next.Median
	const about = 4_096 // what else PhysioNet is asked: the size of the version
	extra := m.Bytes - manifestSize.Size() - changedBytes(n)
	c.verdict("bytes beside the manifest and the changed files: at most %d; %d, %s", about, extra, reached(extra >= 0 && extra <= about))
	c.verdict("its time: under %d s; %.2f, %s", newVersionWall, m.Wall, reached(m.Wall < newVersionWall))
	return c, nil
}

// newVersion pulls both versions into an empty mirror, and measures the second.
func (s *stage) newVersion(ctx context.Context, server *generatedServer, mirror string, n int) (run, error) {
	next := manifest.Ref{Dataset: demo.Dataset, Version: nextVersion}
	if _, err := measure(ctx, server.site(), s.clientCommand(ctx, server.about.URL, demo, mirror, 16), nil); err != nil {
		return run{}, err
	}
	r, err := measure(ctx, server.site(), s.clientCommand(ctx, server.about.URL, next, mirror, 16), nil)
	if err != nil {
		return r, err
	}
	var report struct {
		Passes []struct {
			Files struct{ Linked, Fetched int64 } `json:"files"`
		} `json:"passes"`
	}
	if err := json.Unmarshal(r.stdout, &report); err != nil {
		return r, fmt.Errorf("the pass printed no report: %w", err)
	}
	changed := int64((n + nextChanged - 1) / nextChanged)
	if len(report.Passes) != 1 || report.Passes[0].Files.Linked != int64(n)-changed || report.Passes[0].Files.Fetched != changed {
		return r, fmt.Errorf("the pass should have linked all but %d files: %s", changed, r.stdout)
	}
	return r, s.verify(ctx, server.about.Next, filepath.Join(mirror, next.Dataset, next.Version), server.about.Files, false, &r)
}

// changedBytes is the size of the files that are others in the next version.
func changedBytes(n int) (size int64) {
	for i, f := range tiny(n) {
		if i%nextChanged == 0 {
			size += f.Size
		}
	}
	return size
}
