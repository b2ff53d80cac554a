//go:build linux

package main

import (
	"context"
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
	"time"

	"mimicsync/downloader/source/physionet"
)

// speedOptions are the flags of all scenarios.
type speedOptions struct {
	stageOptions
	runs    int
	scale   float64
	corpora string   // a folder
	clients []string // all if empty
}

// runLimit is how long a client may take. One that needs more has no place in its row.
const runLimit = 10 * time.Minute

// measureSpeed measures the named scenario, or all.
func measureSpeed(name string) func(ctx context.Context, args []string) error {
	return func(ctx context.Context, args []string) (err error) {
		var o speedOptions
		flags := flag.NewFlagSet(name, flag.ContinueOnError)
		o.stageOptions.flags(flags)
		flags.IntVar(&o.runs, "runs", 3, "runs of each client, after one that does not count")
		flags.Float64Var(&o.scale, "scale", 1, "make the corpora smaller, as in 0.1; for a first look")
		flags.StringVar(&o.corpora, "corpus", "", "keep the corpora in this folder, and use those that are there")
		clients := flags.String("clients", "", "measure only these, as in \"bare loop,mimicsync\"")
		if err := flags.Parse(args); err != nil {
			return err
		}
		if flags.NArg() > 0 || o.runs < 1 || o.scale <= 0 || o.scale > 1 {
			return errors.New("it takes flags only, -runs from 1 and -scale above 0 up to 1; -h lists them")
		}
		if *clients != "" {
			o.clients = strings.Split(*clients, ",")
		}
		bytes := int64(13e9 * o.scale) // corpora of 5 GB, the biggest tree of 3, what file systems add for 20 small trees, and some air
		if err := checkRoom(o.dir, bytes/2, int64(1.2e6*o.scale)); err != nil {
			return err
		}
		s, err := openStage(ctx, o.stageOptions)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		if o.corpora == "" {
			o.corpora = filepath.Join(s.dir, "corpus")
		}
		if o.corpora, err = filepath.Abs(o.corpora); err != nil {
			return err
		}
		list := []string{name}
		if name == "speed" {
			list = scenarioNames()
		}
		result := speedResult{Machine: thisMachine(s)}
		sayMissing(list)
		for _, name := range list {
			c, err := s.compare(ctx, name, o)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			result.Comparisons = append(result.Comparisons, c)
		}
		if o.json {
			return printJSON(result)
		}
		result.print()
		return nil
	}
}

func scenarioNames() []string {
	var names []string
	for _, sc := range scenarios {
		names = append(names, sc.name)
	}
	return append(names, "second", "newversion")
}

// sayMissing says which programs are not installed, and how to install them.
func sayMissing(list []string) {
	packages := map[string]bool{}
	for _, name := range list {
		sc, ok := scenarioNamed(name)
		if _, err := exec.LookPath("nginx"); ok && sc.store == "" && err != nil {
			packages["nginx-light"] = true
		}
		for _, c := range sc.clients {
			if p, ok := peers[c.client]; ok && p.missing() != "" {
				packages[p.packaged] = true
			}
		}
	}
	if len(packages) > 0 {
		fmt.Fprintf(os.Stderr, "bench: not installed, and left out: apt-get install %s\n", strings.Join(slices.Sorted(maps.Keys(packages)), " "))
	}
	if packages["rclone"] {
		fmt.Fprintln(os.Stderr, "bench: the newest rclone: go install github.com/rclone/rclone@latest")
	}
}

// compare runs one scenario. A client that fails is a row without a time; what ends the scenario is a server that fails.
func (s *stage) compare(ctx context.Context, name string, o speedOptions) (*comparison, error) {
	switch name {
	case "second":
		return s.measureSecond(ctx, o)
	case "newversion":
		return s.measureNewVersion(ctx, o)
	}
	sc, ok := scenarioNamed(name)
	if !ok {
		return nil, errors.New("no such scenario")
	}
	if sc.store != "" {
		return s.compareStore(ctx, sc, o)
	}
	works := map[string]*published{}
	for _, name := range append([]string{sc.corpus}, otherCorpora(sc)...) {
		c, err := corpora(name, o.scale)
		if err != nil {
			return nil, err
		}
		if works[name], err = publish(ctx, o.corpora, c); err != nil {
			return nil, err
		}
	}
	server, err := startNginx(ctx, s, o.corpora, slices.Collect(maps.Values(works)), sc.lag)
	if err != nil {
		return nil, err
	}
	c := &comparison{Scenario: name, Work: works[sc.corpus].about, Bytes: works[sc.corpus].bytes, Lag: sc.lag.Seconds()}
	if server.link != nil {
		c.Congestion = server.link.Server.Congestion
	}
	t := &trial{s: s, scenario: sc, at: server.site(sc.port), works: works, dir: filepath.Join(s.dir, name)}
	err = t.rounds(ctx, c, o)
	if err = errors.Join(err, server.close()); err != nil {
		return nil, err
	}
	for _, judge := range sc.judge {
		judge(c)
	}
	return c, nil
}

func otherCorpora(sc scenario) (names []string) {
	for _, c := range sc.clients {
		if c.corpus != "" {
			names = append(names, c.corpus)
		}
	}
	return names
}

// trial is a scenario while it runs.
type trial struct {
	s        *stage
	scenario scenario
	at       site
	works    map[string]*published
	dir      string // of everything that is fetched
}

func (t *trial) work(c contender) *published {
	if c.corpus != "" {
		return t.works[c.corpus]
	}
	return t.works[t.scenario.corpus]
}

// rounds lets the clients take turns. The first round does not count.
func (t *trial) rounds(ctx context.Context, c *comparison, o speedOptions) error {
	var clients []contender
	var connections []int
	for _, who := range t.scenario.clients {
		p, isPeer := peers[who.client]
		if isPeer && p.missing() != "" || len(o.clients) > 0 && !slices.Contains(o.clients, who.client) {
			continue
		}
		row := series{Client: who.client, Work: t.work(who).about, Bytes: t.work(who).bytes, Connections: who.connections, SelfVerified: !isPeer || p.verifies, peer: isPeer}
		if isPeer {
			row.Version = p.about(ctx)
		}
		clients, connections = append(clients, who), append(connections, who.connections)
		c.Rows = append(c.Rows, row)
	}
	for name, work := range t.works {
		if err := writeLists(ctx, filepath.Join(t.dir, "lists", name), work.manifest, t.url(work), connections); err != nil {
			return err
		}
	}
	for round := range o.runs + 1 {
		for i, who := range clients {
			if who.once && round != 1 {
				continue
			}
			fmt.Fprintf(os.Stderr, "bench: %s: round %d of %d: %s, %d connections\n", t.scenario.name, round, o.runs, who.client, who.connections)
			r, err := t.run(ctx, who, round)
			if err != nil {
				return err
			}
			if round > 0 {
				c.Rows[i].All = append(c.Rows[i].All, r)
			}
		}
	}
	for i := range c.Rows {
		c.Rows[i].Median = medians(c.Rows[i].All)
	}
	return nil
}

func (t *trial) url(work *published) string {
	return t.at.url + "/files/" + work.name + "/" + version
}

// run lets a client do its work, into a folder that did not exist, and checks the tree.
func (t *trial) run(ctx context.Context, who contender, round int) (run, error) {
	work := t.work(who)
	dir := filepath.Join(t.dir, fmt.Sprintf("%s-%s-%d-%d", strings.ReplaceAll(who.client, " ", "-"), work.name, who.connections, round))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return run{}, err
	}
	limited, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cmd, tree := t.command(limited, who, dir)
	r, failed := measure(limited, t.at, cmd, nil)
	if _, isPeer := peers[who.client]; isPeer && failed == nil && t.scenario.store == "" {
		failed = t.addManifest(limited, work, &r)
	}
	if failed == nil || r.Wall > 0 {
		p, isPeer := peers[who.client]
		failed = errors.Join(failed, t.s.verify(ctx, work.manifest, tree, work.files, isPeer && !p.verifies, &r))
	}
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	if failed != nil {
		r.Failure = failed.Error()
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", who.client, failed)
	}
	return r, empty(dir)
}

// addManifest adds to a peer's run what it takes to have the list of files and digests, with which it was provided.
func (t *trial) addManifest(ctx context.Context, work *published, r *run) error {
	list, err := measure(ctx, t.at, t.s.command(ctx, t.s.self, "loop", "-manifest", "-url", t.url(work)), nil)
	r.Wall += list.Wall
	r.CPU += list.CPU
	r.Requests += list.Requests
	r.Bytes += list.Bytes
	return err
}

// command returns the client's process, and the folder in which it leaves the version.
func (t *trial) command(ctx context.Context, who contender, dir string) (*exec.Cmd, string) {
	if store := t.scenario.store; store != "" && store != physionet.Name {
		return t.storeCommand(ctx, who, dir)
	}
	work, connections := t.work(who), strconv.Itoa(who.connections)
	switch who.client {
	case mimicsyncName:
		return t.s.clientCommand(ctx, t.at.url, work.ref(), dir, who.connections), filepath.Join(dir, work.name, version)
	case plainLoopName:
		return t.s.command(ctx, t.s.self, "loop", "-plain", "-url", t.url(work), "-dir", dir, "-connections", connections), dir
	case syncLoopName:
		return t.s.command(ctx, t.s.self, "loop", "-sync", "-url", t.url(work), "-dir", dir, "-connections", connections), dir
	case bareLoopName:
		return t.s.command(ctx, t.s.self, "loop", "-url", t.url(work), "-dir", dir, "-connections", connections, "-chunks="+strconv.FormatBool(t.scenario.few)), dir
	}
	j := job{
		url: t.url(work), dir: dir, connections: who.connections, few: t.scenario.few, headless: strings.HasPrefix(t.scenario.corpus, "small"),
		lists: filepath.Join(t.dir, "lists", t.scenario.corpus), ca: t.s.certificate.file,
	}
	args := peers[who.client].args(j)
	cmd := t.s.command(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	return cmd, dir
}

// empty gives back the room of a tree and leaves its names: ext4 is slow at creating files after a mass deletion.
func empty(dir string) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		return os.Truncate(name, 0)
	})
}
