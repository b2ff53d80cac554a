//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mimicsync/manifest"
)

// TestMain lets the test binary play the roles that a measurement starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testStage(t *testing.T) (*stage, speedOptions) {
	t.Helper()
	o := speedOptions{stageOptions: stageOptions{dir: t.TempDir(), library: true}, runs: 1, scale: 0.002, corpora: t.TempDir()}
	s, err := openStage(t.Context(), o.stageOptions)
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	return s, o
}

func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil || testing.Short() {
		t.Skip("takes a second, and " + program)
	}
	t.Parallel()
}

func TestScenariosFetchAndVerifyAll(t *testing.T) {
	needs(t, "nginx")
	s, o := testStage(t)
	o.clients = []string{bareLoopName, mimicsyncName, "curl"}
	for _, name := range []string{"small", "large"} { // whole files, and ranges
		c, err := s.compare(t.Context(), name, o)
		must(t, err)
		for _, r := range c.Rows {
			m := r.Median
			if m.Failure != "" || m.Verified == 0 || m.Requests < m.Verified || m.Bytes < c.Bytes {
				t.Errorf("%s of %s = %+v, want all files fetched", r.Client, name, m)
			}
			if r.SelfVerified == (m.Check > 0) {
				t.Errorf("%s of %s: the check counted %v s", r.Client, name, m.Check)
			}
		}
		if len(c.Verdicts) == 0 {
			t.Errorf("%s has no verdict", name)
		}
	}
}

func TestStoresServeACorpusToAllClients(t *testing.T) {
	needs(t, "rclone")
	s, o := testStage(t)
	for _, name := range []string{"gcs-small", "gcs-medium", "s3-small", "s3-medium", "gcs-small-lookalike", "s3-small-lookalike"} {
		c, err := s.compare(t.Context(), name, o)
		must(t, err)
		if len(c.Rows) != 4 || len(c.Verdicts) != 3 {
			t.Errorf("%s has %d rows and the verdicts %q, want both loops, mimicsync and rclone, both goals judged and the price of durability", name, len(c.Rows), c.Verdicts)
		}
		files := int64(40)
		if strings.Contains(name, "medium") {
			files = 2
		}
		for _, r := range c.Rows {
			// A request for each file; some more for what there is, and for who knows it.
			least, most := files+1, files+5
			if name == "gcs-small" && r.Client == "rclone" {
				least, most = 2*files, 2*files // it is told the paths, and asks about each
			}
			if m := r.Median; m.Failure != "" || m.Verified != files || m.Requests < least || m.Requests > most || m.Connections == 0 || m.Bytes < c.Bytes {
				t.Errorf("%s of %s = %+v, want %d files by %d to %d requests", r.Client, name, m, files, least, most)
			}
		}
	}
}

func TestALinkDelaysEachRoundTrip(t *testing.T) {
	needs(t, "nginx")
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s, o := testStage(t)
	o.clients = []string{bareLoopName}
	c, err := s.compare(t.Context(), "small40", o)
	must(t, err)
	// Connecting, TLS and the manifest are three round trips, the first file is one more.
	m := c.Rows[0].Median
	if least := 4 * lag.Seconds(); m.Failure != "" || m.Wall < least {
		t.Errorf("the bare loop = %+v, want it to take %.2f s or more", m, least)
	}
}

func TestAClientThatFailsIsARowWithoutATime(t *testing.T) {
	needs(t, "nginx")
	s, o := testStage(t)
	s.client = filepath.Join(s.dir, "broken")
	must(t, os.WriteFile(s.client, []byte("#!/bin/sh\nexit 3\n"), 0o700))
	o.clients = []string{bareLoopName, mimicsyncName}
	c, err := s.compare(t.Context(), "small", o)
	must(t, err)
	if c.row(mimicsyncName) != nil || c.row(bareLoopName) == nil || c.Rows[1].Median.Failure == "" {
		t.Errorf("rows = %+v, want a failure of mimicsync alone", c.Rows)
	}
}

func TestACorpusIsTheSameEachTime(t *testing.T) {
	var sums [2][]byte
	for i := range sums {
		c, err := corpora("small5k", 0.01)
		must(t, err)
		p, err := publish(t.Context(), t.TempDir(), c)
		must(t, err)
		again, err := publish(t.Context(), filepath.Dir(filepath.Dir(filepath.Dir(p.dir))), c)
		must(t, err)
		if again.manifest != p.manifest || again.bytes != p.bytes || p.files != 50 {
			t.Errorf("published %d files, %d bytes, then %d bytes", p.files, p.bytes, again.bytes)
		}
		sums[i], err = os.ReadFile(filepath.Join(p.dir, manifest.Name))
		must(t, err)
	}
	if !bytes.Equal(sums[0], sums[1]) {
		t.Error("the second corpus differs from the first")
	}
}

func TestTheCheckFindsWhatIsDamaged(t *testing.T) {
	s, _ := testStage(t)
	c, err := corpora("small5k", 0.002)
	must(t, err)
	p, err := publish(t.Context(), t.TempDir(), c)
	must(t, err)
	var r run
	must(t, s.verify(t.Context(), p.manifest, p.dir, p.files, true, &r))
	if r.Verified != 10 || r.Check <= 0 {
		t.Errorf("verify = %+v, want 10 files and a time", r)
	}
	must(t, os.Truncate(filepath.Join(p.dir, filepath.FromSlash(c.files()[3].Path)), 100))
	if err := s.verify(t.Context(), p.manifest, p.dir, p.files, true, &r); err == nil || r.Verified != 9 {
		t.Errorf("verify of a damaged tree = %v with %d right files, want an error and 9", err, r.Verified)
	}
}
