//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mimicsync/internal/durable"
	"mimicsync/internal/faultdisk"
	"mimicsync/manifest"
)

var (
	s1  = manifest.Ref{Dataset: "s-demo", Version: "1.0"}
	s2  = manifest.Ref{Dataset: "s-demo", Version: "2.0"}
	big = manifest.Ref{Dataset: "big-demo", Version: "1.0"}
	kd  = manifest.Ref{Dataset: "k-demo", Version: "1.0"}
	td  = manifest.Ref{Dataset: "t-demo", Version: "1.0"}
	pd  = manifest.Ref{Dataset: "p-demo", Version: "1.0"}
)

// work is what mimicsync does on a disk before the power is cut.
type work struct {
	l          *lab
	disk       *faultdisk.Disk
	durability string
	published  published
	person     *person
	later      func() // publishes the second version anew
	rotten     map[string]bool
	phases     []phase
	served     []served
}

// phase is a part of the work: the version that it completes, if any, and between which
// operations of the disk it was done.
type phase struct {
	name       string
	ref        manifest.Ref
	do         func(ctx context.Context) *outcome
	begin, end int
}

// served is how many bytes had been sent before an operation.
type served struct {
	op    int
	bytes int64
}

const slowRate = 2_500_000 // bytes a second and connection

// newWork publishes what there is to fetch.
func (l *lab) newWork(disk *faultdisk.Disk, durability string) *work {
	r := l.random
	w := &work{l: l, disk: disk, durability: durability, published: published{}, rotten: map[string]bool{}}
	first := reports(r, 700)
	for i := range 25 {
		first[fmt.Sprintf("tables/t%02d.csv.gz", i)] = noise(r, 100_000+r.IntN(500_000))
	}
	first["dup/a.txt"] = noise(r, 5000)
	first["dup/b.txt"] = first["dup/a.txt"]
	first["empty.txt"] = nil
	second := first.with(nil)
	for _, path := range first.some(r, 60) {
		delete(second, path)
	}
	renew := func(f files, n int, more string) {
		for _, path := range f.some(r, n) {
			f[path] = noise(r, max(10, len(f[path])))
		}
		for i := range n / 2 {
			f[fmt.Sprintf("%s/n%03d.txt", more, i)] = noise(r, 3000)
		}
	}
	renew(second, 100, "new")
	third := second.with(nil)
	renew(third, 50, "newer")
	l.publish(w.published, s1.Dataset, first, second)
	w.later = func() {
		l.publish(w.published, s1.Dataset, first, third)
		w.published[s1] = w.published[s1][:1]
	}
	l.publish(w.published, big.Dataset, reports(r, 15).with(files{"big.bin": noise(r, 36<<20)}))
	l.publish(w.published, kd.Dataset, reports(r, 300).with(files{"k.bin": noise(r, 12<<20)}))
	twins := reports(r, 150)
	for _, path := range third.some(r, 40) {
		twins["same/"+path] = third[path]
	}
	l.publish(w.published, td.Dataset, twins)
	person := reports(r, 500).with(files{"p1.bin": noise(r, 900_000), "p2.bin": noise(r, 2_500_000), "p3.bin": noise(r, 5_000_000)})
	l.publish(w.published, pd.Dataset, person)
	w.person = newPerson(r, pd, person)
	return w
}

func (w *work) mirror() string { return filepath.Join(w.disk.Path(), "m") }

func (w *work) pull(ref manifest.Ref, connections int, rate int64, durability string) func(context.Context) *outcome {
	return func(ctx context.Context) *outcome {
		if rate > 0 {
			defer w.l.slowly(rate)()
		}
		return w.l.pull(ctx, "", w.mirror(), durability, connections, ref.String())
	}
}

// plan lists the phases. The person's is the last one: half of all cuts lie in it.
func (w *work) plan() []phase {
	other := "file"
	if w.durability != "group" {
		other = w.durability
	}
	return []phase{
		{name: "small files", ref: s1, do: w.pull(s1, 8, slowRate, w.durability)},
		{name: "a big file", ref: big, do: w.pull(big, 4, slowRate, w.durability)},
		{name: "a new version", ref: s2, do: w.pull(s2, 8, 0, w.durability)},
		{name: "published anew", ref: s2, do: func(ctx context.Context) *outcome {
			w.later()
			return w.pull(s2, 8, slowRate, w.durability)(ctx)
		}},
		{name: "killed and resumed", ref: kd, do: w.killed},
		{name: "repair", do: w.repair},
		{name: "rebuild", do: func(ctx context.Context) *outcome {
			return w.l.run(ctx, "", w.mirror(), "verify", "--rebuild", "--progress", "none")
		}},
		{name: "prune", do: func(ctx context.Context) *outcome {
			return w.l.run(ctx, "", w.mirror(), "prune", s1.String(), "--yes")
		}},
		{name: "twins", ref: td, do: w.pull(td, 8, slowRate, other)},
		{name: personPhase, ref: pd, do: w.pull(pd, 6, slowRate/2, w.durability)},
	}
}

const personPhase = "a person's files"

// run does the work, and marks in the log when.
func (w *work) run(ctx context.Context) error {
	if err := os.Mkdir(w.mirror(), 0o700); err != nil {
		return err
	}
	outside := filepath.Join(w.disk.Path(), "outside")
	if err := errors.Join(os.Mkdir(outside, 0o700), w.person.plant(w.mirror(), outside), syncDisk(w.disk)); err != nil {
		return err
	}
	w.phases = w.plan()
	over := make(chan struct{})
	counted := make(chan struct{})
	marks := make(chan string)
	go func() {
		defer close(counted)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case text := <-marks:
				_ = w.disk.Mark(text) // a dead server is found out by the work
			case <-tick.C:
				_ = w.disk.Mark(fmt.Sprintf("served %d", w.l.site.Counters().BytesSent))
			case <-over:
				return
			}
		}
	}()
	defer func() {
		close(over)
		<-counted
	}()
	for _, p := range w.phases {
		began := time.Now()
		marks <- "begin " + p.name
		r := p.do(ctx)
		marks <- "end " + p.name
		w.l.say("%-20s %.1f s, exit %d", p.name, time.Since(began).Seconds(), r.code)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.code != 0 {
			return fmt.Errorf("without any cut, %s: %v", p.name, r)
		}
	}
	return nil
}

// syncDisk makes durable all that was written to a disk.
func syncDisk(d *faultdisk.Disk) error {
	f, err := os.Open(d.Path())
	if err != nil {
		return err
	}
	return errors.Join(durable.SyncFS(f), f.Close())
}

// killed is a pull that dies by kill -9, and the next one.
func (w *work) killed(ctx context.Context) *outcome {
	defer w.l.slowly(slowRate)()
	args := []string{"pull", kd.String(), "--progress", "none", "--connections", "3", "--durability", w.durability}
	cmd := w.l.command(ctx, "", w.mirror(), args...)
	if err := cmd.Start(); err != nil {
		return &outcome{code: 1, stderr: err.Error()}
	}
	time.Sleep(1500 * time.Millisecond)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
	return w.l.pull(ctx, "", w.mirror(), w.durability, 3, kd.String())
}

// repair flips a bit in some files, behind mimicsync's back, removes others, and has them
// mended.
func (w *work) repair(ctx context.Context) *outcome {
	now := w.published.now(s2)
	for i, path := range now.some(w.l.random, 30) {
		name := filepath.Join(w.mirror(), s2.Dataset, s2.Version, path)
		w.spoil(now[path])
		fi, err := os.Stat(name)
		if err == nil && (i >= 25 || fi.Size() == 0) {
			err = os.Remove(name)
		} else if err == nil {
			err = flip(name, fi, i < 10)
		}
		if err != nil {
			return &outcome{code: 1, stderr: err.Error()}
		}
	}
	if err := syncDisk(w.disk); err != nil {
		return &outcome{code: 1, stderr: err.Error()}
	}
	defer w.l.slowly(slowRate)()
	return w.l.run(ctx, "", w.mirror(), "verify", "--repair", "--progress", "none")
}

// spoil remembers all names of a file that is spoilt: any may be a link to it.
func (w *work) spoil(content []byte) {
	for ref, versions := range w.published {
		for path, b := range versions[len(versions)-1] {
			if bytes.Equal(b, content) {
				w.rotten[strings.Join([]string{ref.Dataset, ref.Version, path}, "/")] = true
			}
		}
	}
}

// flip changes a byte, in place, so that all names of the file have it. A disk that rots
// leaves the time as it was.
func flip(name string, fi os.FileInfo, keepTime bool) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var one [1]byte
	at := fi.Size() / 2
	if _, err = f.ReadAt(one[:], at); err == nil {
		one[0] ^= 0xff
		_, err = f.WriteAt(one[:], at)
	}
	err = errors.Join(err, f.Close())
	if err == nil && keepTime {
		err = os.Chtimes(name, fi.ModTime(), fi.ModTime())
	}
	return err
}
