//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// The goals of `bench soak`. What the last third of a life may have more than the second one is at most soakShare of that, or
// the number for each quantity.
const (
	soakShare  = 0.10
	soakMemory = 8_000_000   // bytes
	soakCount  = 32          // goroutines and open files: what goes on at a moment differs by so many
	soakState  = 16_000_000  // bytes of the state file: 32 versions with the 400 passes each that the history keeps need 10 MB
	soakMost   = 128_000_000 // bytes of memory, ever
	soakRest   = 20          // goroutines and open files of a daemon that rests: connections that it keeps to the server
	soakStatus = 1.0         // seconds within which 99 of 100 questions for the status are answered
	// soakThirds is the shortest life of which thirds are compared: in a shorter one, what happens to go on at a moment is more
	// than what can have leaked.
	soakThirds = time.Minute
)

// soakLife is what was seen of one process.
type soakLife struct {
	Length   float64       `json:"length_s"`
	Measures []soakMeasure `json:"measures"`
	Begin    soakSample    `json:"begin"` // before anything is asked of it
	Samples  []soakSample  `json:"samples"`
	End      soakSample    `json:"end"` // after all, at rest; of the last life
}

// soakMeasure is how one quantity went in a life: medians of its parts.
type soakMeasure struct {
	Name   string  `json:"name"`
	Start  float64 `json:"start"` // the first tenth
	Second float64 `json:"second_third"`
	Last   float64 `json:"last_third"`
	Max    float64 `json:"max"`
	Slope  float64 `json:"slope_per_hour"` // of the last two thirds

	unit func(float64) string
	room float64 // that Last may have above Second, if that is more than soakShare; 0: it is not judged so
}

// soakResult is what `bench soak` finds.
type soakResult struct {
	Machine  machine       `json:"machine"`
	Ledger   soakLedger    `json:"ledger"`
	Lives    []*soakLife   `json:"lives"`
	Stop     time.Duration `json:"stop_ns"` // what the end in good order took
	Verdicts []string      `json:"verdicts"`
	Missed   int           `json:"missed"`
}

func (r *soakResult) verdict(ok bool, format string, args ...any) {
	if !ok {
		r.Missed++
	}
	r.Verdicts = append(r.Verdicts, fmt.Sprintf(format, args...)+", "+reached(ok))
}

// judge compares what was seen with the goals. files is how many are right at the end.
func (r *soakResult) judge(files int64) {
	for i, l := range r.Lives {
		l.measure()
		if l.Length >= soakThirds.Seconds() {
			r.judgeThirds(i+1, l)
		}
		memory := l.quantile(1, func(s soakSample) float64 { return float64(s.Memory) })
		state := l.quantile(1, func(s soakSample) float64 { return float64(s.State) })
		r.verdict(memory > 0 && memory < soakMost && state < soakState, "life %d, the most memory and the largest state.db: %s and %s; %s and %s",
			i+1, megabytes(soakMost), megabytes(soakState), megabytes(int64(memory)), megabytes(int64(state)))
	}
	begin, end := r.Lives[len(r.Lives)-1].Begin, r.Lives[len(r.Lives)-1].End
	goroutines, open := end.Goroutines-begin.Goroutines, end.Files-begin.Files
	r.verdict(goroutines <= soakRest && open <= soakRest, "goroutines and open files at rest: at most %d more than in the beginning; %+d and %+d", soakRest, goroutines, open)
	r.verdict(r.Ledger.Surprises == 0, "every pass ends as it must, every reader is served, and tree and state agree on %d files: no surprise; %d", files, r.Ledger.Surprises)
	const longest = 10 * time.Second
	r.verdict(r.Stop < longest, "the end after SIGTERM: within %s; %s", seconds(longest.Seconds()), seconds(r.Stop.Seconds()))
}

func (r *soakResult) judgeThirds(life int, l *soakLife) {
	for _, m := range l.Measures {
		if m.room > 0 {
			r.verdict(m.flat(), "life %d, %s: at most %.0f %% or %s more in the last third than in the second; %s and %s",
				life, m.Name, 100*soakShare, m.unit(m.room), m.unit(m.Last), m.unit(m.Second))
		}
	}
	status := l.quantile(0.99, func(s soakSample) float64 { return s.Status })
	r.verdict(status < soakStatus, "life %d, 99 of 100 answers about the status: within %s; %s", life, seconds(soakStatus), seconds(status))
}

// measure draws the sums of the samples.
func (l *soakLife) measure() {
	count := func(v float64) string { return fmt.Sprintf("%.0f", v) }
	size := func(v float64) string { return megabytes(int64(v)) }
	for _, m := range []struct {
		name string
		room float64
		unit func(float64) string
		of   func(soakSample) float64
	}{
		{"anonymous memory", soakMemory, size, func(s soakSample) float64 { return float64(s.Memory) }},
		{"goroutines", soakCount, count, func(s soakSample) float64 { return float64(s.Goroutines) }},
		{"open files", soakCount, count, func(s soakSample) float64 { return float64(s.Files) }},
		{"state.db", 0, size, func(s soakSample) float64 { return float64(s.State) }},
		{"status answered in", 0, func(v float64) string { return fmt.Sprintf("%.1f ms", 1000*v) }, func(s soakSample) float64 { return s.Status }},
	} {
		l.Measures = append(l.Measures, soakMeasure{
			Name: m.name, unit: m.unit, room: m.room,
			Start: l.part(0, 0.1).quantile(0.5, m.of), Second: l.part(1./3, 2./3).quantile(0.5, m.of),
			Last: l.part(2./3, 1).quantile(0.5, m.of), Max: l.quantile(1, m.of), Slope: l.part(1./3, 1).slope(m.of),
		})
	}
}

// flat reports whether the last third has no more than it may.
func (m *soakMeasure) flat() bool {
	return m.Second > 0 && m.Last <= m.Second+max(soakShare*m.Second, m.room)
}

// part is the samples of a part of a life.
func (l *soakLife) part(from, to float64) *soakLife {
	part := &soakLife{}
	for _, s := range l.Samples {
		if s.At >= from*l.Length && s.At <= to*l.Length {
			part.Samples = append(part.Samples, s)
		}
	}
	return part
}

// quantile is 0 where there are no samples.
func (l *soakLife) quantile(q float64, of func(soakSample) float64) float64 {
	values := make([]float64, 0, len(l.Samples))
	for _, s := range l.Samples {
		values = append(values, of(s))
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}

// slope is that of the line with the least squares, an hour.
func (l *soakLife) slope(of func(soakSample) float64) float64 {
	var n, t, v, tt, tv float64
	for _, s := range l.Samples {
		n, t, v, tt, tv = n+1, t+s.At, v+of(s), tt+s.At*s.At, tv+s.At*of(s)
	}
	if d := n*tt - t*t; d > 0 {
		return time.Hour.Seconds() * (n*tv - t*v) / d
	}
	return 0
}

func (r *soakResult) print() {
	r.Machine.print()
	fmt.Printf("\n%d passes, %d files fetched, %d faults\n", r.Ledger.Passes, r.Ledger.Fetched, r.Ledger.Faults)
	for _, name := range slices.Sorted(maps.Keys(r.Ledger.Acts)) {
		fmt.Printf("- %s: %d\n", name, r.Ledger.Acts[name])
	}
	fmt.Println()
	t := newTable("life", "of", "", "start", "second third", "last third", "max", "slope an hour")
	for i, l := range r.Lives {
		for _, m := range l.Measures {
			t.row(fmt.Sprint(i+1), fmt.Sprintf("%.0f s", l.Length), m.Name, m.unit(m.Start), m.unit(m.Second), m.unit(m.Last), m.unit(m.Max), m.unit(m.Slope))
		}
	}
	t.print()
	fmt.Println()
	for _, v := range r.Verdicts {
		fmt.Println("- " + v)
	}
	for _, surprise := range r.Ledger.Unexpected {
		fmt.Println("  - " + surprise)
	}
}
