package main

import (
	"io"
	"slices"
	"testing"
	"time"

	"mimicsync/configs"
)

func TestDaemonSettingsAreThoseOfTheFile(t *testing.T) {
	c, err := configs.Parse([]byte(`
include: ["*.csv.gz"]
sources: [s3, physionet]
schedule: "0 3 * * *"
timezone: Europe/Berlin
windows: ["22:00-06:00"]
bwlimit: 10M
scrub: {schedule: "@monthly", rate: 1M}
datasets:
  - mimic-iv-demo
  - {name: mimic-cxr-jpg, version: 2.1.0, sources: [gcs], include: ["*.txt"], schedule: off}
`))
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(io.Discard, io.Discard)
	a.mirror = t.TempDir()
	s, err := a.daemonSettings(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Datasets) != 2 || s.BWLimit != "10M" || s.Scrub.Schedule == nil || s.Scrub.Rate != 1<<20 || s.Scrub.MaxAge != configs.DefaultScrubMaxAge {
		t.Fatalf("settings %+v", s)
	}
	noon := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	if open, changes := s.Windows.Open(noon); open || !changes.Equal(noon.Add(9*time.Hour)) {
		t.Errorf("at %s the window is open: %t, until %s; it opens at 22:00 in Berlin", noon, open, changes)
	}

	demo, cxr := s.Datasets[0], s.Datasets[1]
	if demo.Ref.String() != "mimic-iv-demo" || !slices.Equal(demo.Sources, c.Sources) || !demo.Selection.Match("hosp/a.csv.gz") || demo.Selection.Match("a.txt") {
		t.Errorf("mimic-iv-demo does not inherit: %+v", demo)
	}
	three := noon.Add(14 * time.Hour) // of Berlin
	due := demo.Schedule.Next(noon)
	if due.Before(three) || !due.Before(three.Add(configs.DefaultJitter)) {
		t.Errorf("mimic-iv-demo is due at %s, want up to %s after %s", due, configs.DefaultJitter, three)
	}
	again, err := a.daemonSettings(c)
	if err != nil || !again.Datasets[0].Schedule.Next(noon).Equal(due) {
		t.Errorf("after a reload mimic-iv-demo is due at another time")
	}
	if cxr.Ref.String() != "mimic-cxr-jpg@2.1.0" || !slices.Equal(cxr.Sources, []string{"gcs"}) || cxr.Selection.Match("hosp/a.csv.gz") || cxr.Schedule != nil {
		t.Errorf("mimic-cxr-jpg does not keep its own: %+v", cxr)
	}
	if got := c.AllSources(c.Sources); !slices.Equal(got, []string{"s3", "physionet", "gcs"}) {
		t.Errorf("AllSources = %q", got)
	}

	a.limits.bwlimit = "1M"
	if s, err = a.daemonSettings(configs.Config{}); err != nil || s.BWLimit != "1M" || len(s.Datasets) != 0 || s.Scrub.Schedule != nil {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	if open, changes := s.Windows.Open(noon); !open || !changes.IsZero() {
		t.Errorf("without windows: open %t, until %s", open, changes)
	}
}
