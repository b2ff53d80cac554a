//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/manifest"
)

// The datasets of a soak. They are small, so that passes are many; one has a file that goes in segments.
const (
	soakDatasets = 4
	soakFiles    = 40
	soakBigFile  = 9 << 20
)

// soakIdle is the daemon's idle time limit in a soak: a stalled connection is given up soon.
const soakIdle = 2 * time.Second

// soakDataset is a dataset that changes all the time, as a seed has it. It belongs to one goroutine.
type soakDataset struct {
	slug     string
	server   *lookalike.Server
	random   *rand.Rand
	files    []lookalike.GeneratedFile // of the newest version
	changing []string                  // paths of those that are others now, and may not be here yet
	versions []lookalike.Version       // the newest last
	harms    []*lookalike.Injected     // in force
}

func newSoakDataset(server *lookalike.Server, i int, seed uint64) *soakDataset {
	d := &soakDataset{
		slug: fmt.Sprintf("soak%d", i), server: server,
		random: rand.New(rand.NewPCG(seed, uint64(i))), //nolint:gosec // it must be the same each time
	}
	for n := range soakFiles {
		f := lookalike.GeneratedFile{Path: fmt.Sprintf("data/p%02d.csv.gz", n), Size: 200 + d.random.Int64N(60_000), Seed: d.random.Uint64()}
		if i == 0 && n == 0 {
			f.Size = soakBigFile
		}
		d.files = append(d.files, f)
	}
	d.addVersion()
	return d
}

// change makes one to five files others.
func (d *soakDataset) change() {
	for range 1 + d.random.IntN(5) {
		d.changeOne(d.random.IntN(len(d.files)))
	}
}

// changeOne makes a file another.
func (d *soakDataset) changeOne(i int) *lookalike.GeneratedFile {
	d.files[i].Seed = d.random.Uint64()
	d.changing = append(d.changing, d.files[i].Path)
	return &d.files[i]
}

// addVersion publishes what the files are as the next version.
func (d *soakDataset) addVersion() {
	d.versions = append(d.versions, lookalike.Version{Version: fmt.Sprintf("1.%d", len(d.versions))})
	d.revise()
}

// revise publishes what the files are in place of the newest version.
func (d *soakDataset) revise() {
	files := lookalike.Generated(d.files)
	v := &d.versions[len(d.versions)-1]
	v.ModTime = time.Now() // of a manifest that may be as long as the one before
	v.Files, v.Manifest, v.Bytes = files, files.Manifest(), files.Bytes()
	d.publish(*v)
}

// publish serves a newest version that is not what it ought to be, until revise.
func (d *soakDataset) publish(newest lookalike.Version) {
	versions := slices.Clone(d.versions)
	versions[len(versions)-1] = newest
	d.server.Publish(lookalike.Project{Slug: d.slug, Title: "Soak", Versions: versions})
}

func (d *soakDataset) newest() lookalike.Version { return d.versions[len(d.versions)-1] }

func (d *soakDataset) ref() manifest.Ref {
	return manifest.Ref{Dataset: d.slug, Version: d.newest().Version}
}

// passing are faults that a pass gets over by itself. Bytes go wrong in files only: a manifest that is wrong is another matter.
var passing = []lookalike.Fault{
	{Kind: lookalike.Stall, After: 100, Times: 1},
	{Kind: lookalike.Reset, After: 100, Times: 2},
	{Kind: lookalike.Reset, After: -1, Times: 2},
	{Kind: lookalike.ShortBody, After: 150, Times: 2},
	{Kind: lookalike.Status, Code: http.StatusServiceUnavailable, Times: 3},
	{Kind: lookalike.Status, Code: http.StatusTooManyRequests, RetryAfter: "1", Times: 2},
	{Kind: lookalike.Status, Code: http.StatusBadGateway, Times: 2},
	{Kind: lookalike.Corrupt, After: 50, Times: 1},
	{Kind: lookalike.HTMLPage, Times: 1},
	{Kind: lookalike.NoLength, Times: 3},
	{Kind: lookalike.Delay, Duration: 200 * time.Millisecond, Times: 3},
}

// harm lets one or two things go wrong with the dataset's files.
func (d *soakDataset) harm() {
	for range 1 + d.random.IntN(2) {
		f := passing[d.random.IntN(len(passing))]
		f.Path = "/files/" + d.slug + "/*/data/*"
		d.inject(f)
	}
}

// slow lets files take a second or two; the big one would take minutes.
func (d *soakDataset) slow() {
	big := d.files[0].Path
	d.inject(lookalike.Fault{
		Kind: lookalike.Slow, Rate: 20_000, Path: "/files/" + d.slug + "/*/data/*",
		Match: func(r *http.Request) bool { return !strings.HasSuffix(r.URL.Path, big) },
	})
}

func (d *soakDataset) inject(f lookalike.Fault) { d.harms = append(d.harms, d.server.Inject(f)) }

// heal ends all that goes wrong, and returns how often it has.
func (d *soakDataset) heal() (struck int) {
	for _, h := range d.harms {
		h.Remove()
		struck += h.Struck()
	}
	d.harms = nil
	return struck
}
