//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// speedResult is what the scenarios find.
type speedResult struct {
	Machine     machine       `json:"machine"`
	Comparisons []*comparison `json:"comparisons"`
}

// comparison is the result of a scenario.
type comparison struct {
	Scenario   string   `json:"scenario"`
	Work       string   `json:"work"`
	Bytes      int64    `json:"bytes"` // of the corpus
	Lag        float64  `json:"lag_s"` // round-trip time of the link; 0: loopback
	Congestion string   `json:"congestion,omitempty"`
	Rows       []series `json:"rows"`
	Verdicts   []string `json:"verdicts"`
}

// series is all runs of one client.
type series struct {
	Client       string `json:"client"`
	Version      string `json:"version,omitempty"` // of a peer
	Work         string `json:"work"`
	Bytes        int64  `json:"bytes"` // of the corpus
	Connections  int    `json:"connections_asked"`
	SelfVerified bool   `json:"self_verified"` // else its time contains a check of the tree
	Median       run    `json:"median"`        // column by column
	All          []run  `json:"all"`
	peer         bool
}

// done reports whether the client has done all its work each time.
func (s *series) done() bool { return len(s.All) > 0 && s.Median.Failure == "" }

// row returns the first row of a client that has done its work.
func (c *comparison) row(client string) *series { return c.rowWith(client, 0) }

// rowWith is row with so many connections, 0 for any.
func (c *comparison) rowWith(client string, connections int) *series {
	for i := range c.Rows {
		r := &c.Rows[i]
		if r.Client == client && (connections == 0 || r.Connections == connections) && r.done() {
			return r
		}
	}
	return nil
}

func (c *comparison) eachOfOurs(visit func(*series)) {
	for i := range c.Rows {
		if r := &c.Rows[i]; r.Client == mimicsyncName && r.done() {
			visit(r)
		}
	}
}

// medians takes the median of each column by itself. A failure is that of the first run that failed.
func medians(all []run) run {
	if len(all) == 0 {
		return run{}
	}
	m := run{Files: all[0].Files}
	for _, r := range all {
		m.Failure = cmp.Or(m.Failure, r.Failure)
	}
	m.Wall = median(all, func(r run) float64 { return r.Wall })
	m.Check = median(all, func(r run) float64 { return r.Check })
	m.FastCheck = median(all, func(r run) float64 { return r.FastCheck })
	m.CPU = median(all, func(r run) float64 { return r.CPU })
	m.System = median(all, func(r run) float64 { return r.System })
	m.ServerCPU = median(all, func(r run) float64 { return r.ServerCPU })
	m.RSS = median(all, func(r run) int64 { return r.RSS })
	m.Anonymous = median(all, func(r run) int64 { return r.Anonymous })
	m.Requests = median(all, func(r run) int64 { return r.Requests })
	m.Rejected = median(all, func(r run) int64 { return r.Rejected })
	m.Bytes = median(all, func(r run) int64 { return r.Bytes })
	m.Connections = median(all, func(r run) int64 { return r.Connections })
	m.Verified = median(all, func(r run) int64 { return r.Verified })
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

func (r *speedResult) print() {
	r.Machine.print()
	t := newTable("scenario", "client", "conns", "total", "(min-max)", "of it check", "CPU", "CPU/GB", "server CPU", "peak RSS", "requests", "rejected", "opened", "MB sent", "verified", "by loop")
	for _, c := range r.Comparisons {
		for i := range c.Rows {
			c.printRow(t, &c.Rows[i])
		}
	}
	t.print()
	for _, c := range r.Comparisons {
		c.printVerdicts()
	}
}

func (c *comparison) printRow(t *table, s *series) {
	m := s.Median
	name := c.Scenario
	if s.Work != "" && s.Work != c.Work {
		name += ", " + s.Work
	}
	client := s.Client
	if s.Version != "" {
		client += " " + s.Version
	}
	check, verified, ratio := "by itself", strconv.FormatInt(m.Verified, 10), ""
	if !s.SelfVerified {
		check = seconds(m.Check)
	}
	if m.Failure != "" {
		verified += ", FAILED"
	}
	if loop := c.row(bareLoopName); loop != nil && s.done() {
		ratio = fmt.Sprintf("%.2f", m.total()/loop.Median.total())
	}
	gigabytes, count := max(float64(s.Bytes)/1e9, 1e-9), func(n int64) string { return strconv.FormatInt(n, 10) }
	lo, hi := s.spread()
	t.row(name, client, strconv.Itoa(s.Connections), seconds(m.total()), fmt.Sprintf("(%.2f-%.2f)", lo, hi), check, seconds(m.CPU), fmt.Sprintf("%.2f", m.CPU/gigabytes),
		seconds(m.ServerCPU), megabytes(m.RSS), count(m.Requests), count(m.Rejected), count(m.Connections), fmt.Sprintf("%.1f", float64(m.Bytes)/1e6), verified, ratio)
}

func (s *series) spread() (lo, hi float64) {
	if len(s.All) == 0 {
		return 0, 0
	}
	byTotal := func(a, b run) int { return cmp.Compare(a.total(), b.total()) }
	fastest, slowest := slices.MinFunc(s.All, byTotal), slices.MaxFunc(s.All, byTotal)
	return fastest.total(), slowest.total()
}

func (c *comparison) printVerdicts() {
	fmt.Printf("\n%s: %s, %s", c.Scenario, c.Work, megabytes(c.Bytes))
	if c.Lag > 0 {
		fmt.Printf("; a link of %.0f ms, %s", 1000*c.Lag, c.Congestion)
	}
	fmt.Println()
	for _, line := range c.Verdicts {
		fmt.Println("- " + line)
	}
	for i := range c.Rows {
		if failure := c.Rows[i].Median.Failure; failure != "" {
			fmt.Printf("- %s failed: %s\n", c.Rows[i].Client, failure)
		}
	}
}
