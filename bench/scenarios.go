//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"

	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
)

// scenario is some work that clients do in turns.
type scenario struct {
	name    string
	corpus  string
	port    string
	lag     time.Duration
	few     bool   // two big files
	store   string // the server is this source, physionet, gcs or s3; empty for nginx
	emulate bool   // by the emulator that others wrote, and not by the look-alike
	clients []contender
	judge   []func(*comparison)
}

// contender is a client in a scenario.
type contender struct {
	client      string // bareLoopName, mimicsyncName, or a peer
	connections int
	corpus      string // another than the scenario's
	once        bool   // it takes so long, and varies so little, that one run is enough
}

const (
	bareLoopName  = "bare loop"
	plainLoopName = "plain loop"
	syncLoopName  = "synced loop" // the bare loop with one sync at its end
	mimicsyncName = "mimicsync"
	lag           = 40 * time.Millisecond
)

// all is the contenders of a usual row: the bare loop, mimicsync and these peers, all with as many connections.
func all(connections int, peers ...string) (list []contender) {
	for _, name := range append([]string{bareLoopName, mimicsyncName}, peers...) {
		list = append(list, contender{client: name, connections: connections})
	}
	return list
}

// storeScenarios are a corpus fetched from a store: from its emulator, and from its look-alike.
func storeScenarios(store, corpus string) []scenario {
	emulator := scenario{
		name: store + "-" + corpus, corpus: corpus, store: store, emulate: true,
		clients: all(16, syncLoopName, "rclone"), judge: []func(*comparison){byLoop(1.15), bySyncLoop, byPeers(1)},
	}
	similar := emulator
	similar.name, similar.emulate = emulator.name+"-lookalike", false
	return []scenario{emulator, similar}
}

// scenarios are the rows of the tables that issues 2, 3 and 4 ask for, in their order. README.md says which peers are left out, and why.
var scenarios = slices.Concat([]scenario{
	{
		name: "small", corpus: "small", port: portPlain,
		clients: all(16, plainLoopName, syncLoopName, "curl", "rclone", "wget2", "wget"),
		judge:   []func(*comparison){byLoop(1.25), byPlainLoop(1.5), bySyncLoop, byPeers(1.4), cpuByLoop(1.15)},
	},
	{
		name: "small-lookalike", corpus: "small", store: physionet.Name,
		clients: all(16, plainLoopName),
		judge:   []func(*comparison){byPlainLoop(1.5)},
	},
	{
		name: "small40", corpus: "small5k", port: portPlain, lag: lag,
		clients: all(16, "wget2", "curl", "rclone", "wget"),
		judge:   []func(*comparison){byLoop(1.05), byPeers(1), cpuByLoop(1.15)},
	},
	{
		name: "small40-64", corpus: "small5k", port: portPlain, lag: lag,
		clients: all(64, "wget2", "curl", "rclone", "wget"),
		judge:   []func(*comparison){byLoop(1.05), byPeers(1), cpuByLoop(1.15)},
	},
	{
		name: "medium", corpus: "medium", port: portPlain,
		clients: all(16, "rclone", "curl", "wget2", "wget"),
		judge:   []func(*comparison){byLoop(1.15), byPeers(1), cpuByLoop(1.15)},
	},
	{
		name: "medium40", corpus: "medium", port: portPlain, lag: lag,
		clients: all(16, "rclone", "curl", "wget2", "wget"),
		judge:   []func(*comparison){byLoop(1.15), byPeers(1), cpuByLoop(1.15)},
	},
	{
		name: "large", corpus: "large", port: portPlain, few: true,
		clients: all(16, "rclone", "aria2c", "curl"),
		judge:   []func(*comparison){byLoop(1.1), byPeers(1), cpuByLoop(1.15)},
	},
	{
		name: "capped", corpus: "capped", port: portCapped, few: true,
		clients: append(all(16, "rclone", "aria2c"),
			contender{client: mimicsyncName, connections: 8}, contender{client: mimicsyncName, connections: 1, once: true}),
		judge: []func(*comparison){byLoop(1.1), byPeers(1), cpuByLoop(1.15), nothingTwice, eightByOne(7)},
	},
	{
		// The bare loop does not adapt: with as many connections as are permitted, it is what the server permits.
		name: "refused", corpus: "megabytes", port: portRefused,
		clients: []contender{
			{client: bareLoopName, connections: permittedConnections, once: true},
			{client: mimicsyncName, connections: 16, once: true},
			{client: mimicsyncName, connections: 64, once: true},
		},
		judge: []func(*comparison){rejections(0.05), byPermitted(0.85)},
	},
	{
		name: "limited", corpus: "small5k", port: portLimited,
		clients: []contender{{client: mimicsyncName, connections: 16}},
		judge:   []func(*comparison){rejections(0.05), requestRate(0.85 * permittedRequests)},
	},
	{
		name: "limited40", corpus: "small5k", port: portLimited, lag: lag,
		clients: []contender{{client: mimicsyncName, connections: 64}},
		judge:   []func(*comparison){rejections(0.05), requestRate(0.85 * permittedRequests)},
	},
	{
		name: "memory", corpus: "small5k", port: portPlain,
		clients: []contender{
			{client: mimicsyncName, connections: 64},
			{client: mimicsyncName, connections: 64, corpus: "medium"},
			{client: mimicsyncName, connections: 64, corpus: "large"},
		},
		judge: []func(*comparison){memoryBelow(120_000_000)},
	},
}, storeScenarios(gcs.Name, "small"), storeScenarios(gcs.Name, "medium"), storeScenarios(s3.Name, "small"), storeScenarios(s3.Name, "medium"))

func scenarioNamed(name string) (scenario, bool) {
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
	if i < 0 {
		return scenario{}, false
	}
	return scenarios[i], true
}

// The judges say whether a goal was reached, of the clients that have done all their work.

func byLoop(goal float64) func(*comparison) {
	return func(c *comparison) {
		loop, ours := c.row(bareLoopName), c.row(mimicsyncName)
		if loop == nil || ours == nil {
			return
		}
		ratio := ours.Median.total() / loop.Median.total()
		c.verdict("time by the bare loop's: at most %.2f; %.2f, %s", goal, ratio, reached(ratio <= goal))
	}
}

func byPlainLoop(goal float64) func(*comparison) {
	return func(c *comparison) {
		loop, ours := c.row(plainLoopName), c.row(mimicsyncName)
		if loop == nil || ours == nil {
			return
		}
		ratio := ours.Median.total() / loop.Median.total()
		c.verdict("time by the plain loop's: at most %.2f; %.2f, %s", goal, ratio, reached(ratio <= goal))
	}
}

// bySyncLoop says what of the time by the bare loop's is the price of durability.
func bySyncLoop(c *comparison) {
	loop, synced, ours := c.row(bareLoopName), c.row(syncLoopName), c.row(mimicsyncName)
	if loop == nil || synced == nil || ours == nil {
		return
	}
	c.verdict("durability alone makes the bare loop %.2f times as slow; by the loop with one sync at its end, %.2f",
		synced.Median.total()/loop.Median.total(), ours.Median.total()/synced.Median.total())
}

func byPeers(goal float64) func(*comparison) {
	return func(c *comparison) {
		ours, best := c.row(mimicsyncName), (*series)(nil)
		for i := range c.Rows {
			if r := &c.Rows[i]; r.peer && r.done() && (best == nil || r.Median.total() < best.Median.total()) {
				best = r
			}
		}
		if ours == nil || best == nil {
			return
		}
		ratio := best.Median.total() / ours.Median.total()
		fast := (best.Median.Wall + best.Median.FastCheck) / ours.Median.total()
		c.verdict("speed by the best peer's, %s, with verification: at least %.2f; %.2f, %s; by the fastest checker, %.2f", best.Client, goal, ratio, reached(ratio >= goal), fast)
	}
}

func cpuByLoop(goal float64) func(*comparison) {
	return func(c *comparison) {
		loop, ours := c.row(bareLoopName), c.row(mimicsyncName)
		if loop == nil || ours == nil {
			return
		}
		ratio := ours.Median.CPU / loop.Median.CPU
		c.verdict("CPU by the bare loop's: at most %.2f; %.2f, %s", goal, ratio, reached(ratio <= goal))
	}
}

// nothingTwice looks at the bodies that were sent: the files, the manifest, short answers to questions, and what was on its
// way when an open-ended answer was broken off because others had taken over the rest.
func nothingTwice(c *comparison) {
	if ours := c.row(mimicsyncName); ours != nil {
		more := float64(ours.Median.Bytes-c.Bytes) / float64(c.Bytes)
		c.verdict("bytes sent beyond those of the files: at most 0.1%%; %.3f%%, %s", 100*more, reached(more <= 0.001))
	}
}

func eightByOne(goal float64) func(*comparison) {
	return func(c *comparison) {
		eight, one := c.rowWith(mimicsyncName, 8), c.rowWith(mimicsyncName, 1)
		if eight == nil || one == nil {
			return
		}
		ratio := one.Median.Wall / eight.Median.Wall
		c.verdict("speed of 8 connections by that of one: at least %.2f; %.2f, %s", goal, ratio, reached(ratio >= goal))
	}
}

func rejections(goal float64) func(*comparison) {
	return func(c *comparison) {
		c.eachOfOurs(func(r *series) {
			share := float64(r.Median.Rejected) / max(float64(r.Median.Requests), 1)
			c.verdict("rejected of the requests over %d connections: under %.0f%%; %.1f%%, %s", r.Connections, 100*goal, 100*share, reached(share < goal))
		})
	}
}

func byPermitted(goal float64) func(*comparison) {
	return func(c *comparison) {
		permitted := c.row(bareLoopName)
		if permitted == nil {
			return
		}
		c.eachOfOurs(func(r *series) {
			ratio := permitted.Median.Wall / r.Median.Wall
			c.verdict("rate by the permitted one, over %d connections: at least %.2f; %.2f, %s", r.Connections, goal, ratio, reached(ratio >= goal))
		})
	}
}

func requestRate(goal float64) func(*comparison) {
	return func(c *comparison) {
		c.eachOfOurs(func(r *series) {
			rate := float64(r.Median.Requests-r.Median.Rejected) / r.Median.Wall
			c.verdict("requests a second, of %d permitted: at least %.0f; %.0f, %s", permittedRequests, goal, rate, reached(rate >= goal))
		})
	}
}

func memoryBelow(goal int64) func(*comparison) {
	return func(c *comparison) {
		c.eachOfOurs(func(r *series) {
			c.verdict("memory, %s: under %s; %s, %s", r.Work, megabytes(goal), megabytes(r.Median.RSS), reached(r.Median.RSS < goal))
		})
	}
}

// verdict adds a line about a goal.
func (c *comparison) verdict(format string, args ...any) {
	c.Verdicts = append(c.Verdicts, fmt.Sprintf(format, args...))
}
