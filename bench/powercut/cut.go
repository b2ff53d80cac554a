//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mimicsync/internal/faultdisk"
	"mimicsync/manifest"
	"mimicsync/store"
)

// cutSize is that of the disk whose power is cut.
const cutSize = 420 << 20

// survivor says what of the writes after the last flush reached the disk.
type survivor string

const (
	nothing survivor = "nothing"
	prefix  survivor = "prefix" // the first of them
	subset  survivor = "subset" // any of them
	torn    survivor = "torn"   // any, and parts of some
)

// cutter cuts the power of a disk that has been worked on: it builds the disk anew as it
// may have been at moments of the work, and sees what mimicsync makes of it.
type cutter struct {
	*work

	log     *faultdisk.Log
	flushes []int
	rolling string // an image of the disk, as of the last flush before the latest cut
	applied int    // operations that are in it
	mount   string
	boots   []string

	unmountable int
	byPhase     map[string]int
	again       []int64 // bytes of the big file that were fetched again
	durable     int     // versions that were complete before the cut, and whole after it
}

// cutPower is the campaign.
func cutPower(ctx context.Context, l *lab) (err error) {
	disk, err := l.disk(cutSize, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	w := l.newWork(disk, l.durabilityOf(int(l.seed))) //nolint:gosec // small
	if err := w.run(ctx); err != nil {
		return err
	}
	if in, err := l.inspect(w.mirror(), w.published, w.person.has); err != nil || len(in.lies) > 0 {
		return fmt.Errorf("without any cut, the mirror is wrong: %s, %w", first(in.lies), err)
	}
	if err := disk.Close(); err != nil {
		return err
	}
	c, err := w.newCutter(disk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.log.Close()) }()
	for _, at := range c.choose(l.times) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.trials++
		if err := c.cut(ctx, at); err != nil {
			return err
		}
		if l.trials%20 == 0 {
			l.say("%d cuts, %d problems", l.trials, len(l.problems))
		}
	}
	c.figures()
	return l.failed()
}

func (w *work) newCutter(disk *faultdisk.Disk) (*cutter, error) {
	c := &cutter{work: w, rolling: disk.Base(), mount: w.l.path("cut"), byPhase: map[string]int{}}
	var err error
	if c.log, err = faultdisk.OpenLog(disk.LogFile()); err != nil {
		return nil, err
	}
	for i, o := range c.log.Ops {
		if o.Flush {
			c.flushes = append(c.flushes, i)
		}
	}
	for _, m := range c.log.Marks {
		what, rest, _ := strings.Cut(m.Text, " ")
		if what == "served" {
			n, _ := strconv.ParseInt(rest, 10, 64) // we wrote it
			w.served = append(w.served, served{m.Op, n})
			continue
		}
		i := slices.IndexFunc(w.phases, func(p phase) bool { return p.name == rest })
		if what == "begin" {
			w.phases[i].begin = m.Op
		} else {
			w.phases[i].end = m.Op
		}
	}
	for i := range 5 {
		boot := w.l.path(fmt.Sprint("boot", i))
		id := fmt.Sprintf("%08d-0000-4000-8000-000000000000\n", i)
		if err := os.WriteFile(boot, []byte(id), 0o600); err != nil {
			return nil, err
		}
		c.boots = append(c.boots, boot)
	}
	return c, os.Mkdir(c.mount, 0o700)
}

// choose returns moments, in order: half of them in the person's phase, the others spread
// over all phases, so that a long one does not take all. Every other one lies at a flush.
func (c *cutter) choose(n int) []int {
	r := c.l.random
	chosen := map[int]bool{}
	for try := 0; len(chosen) < n && try < 100*n; try++ {
		p := c.phases[len(c.phases)-1]
		if try%2 == 0 {
			p = c.phases[r.IntN(len(c.phases)-1)]
		}
		at := p.begin + r.IntN(p.end-p.begin+1)
		if flushes := slices.DeleteFunc(slices.Clone(c.flushes), func(f int) bool { return f < p.begin || f > p.end }); try%4 < 2 && len(flushes) > 0 {
			at = flushes[r.IntN(len(flushes))] - 3 + r.IntN(8)
		}
		chosen[min(max(at, c.phases[0].begin), len(c.log.Ops))] = true
	}
	var all []int
	for at := range chosen {
		all = append(all, at)
	}
	slices.Sort(all)
	return all
}

// cut builds the disk as it may be after a cut before an operation, mounts it, and looks.
// The error is of the campaign.
func (c *cutter) cut(ctx context.Context, at int) error {
	how := []survivor{nothing, prefix, subset, subset, torn, torn}[c.l.random.IntN(6)]
	image := c.l.path("image")
	if err := c.build(image, at, how); err != nil {
		return err
	}
	defer func() { _ = os.Remove(image) }()
	began := c.phases[0]
	for _, p := range c.phases {
		if p.begin <= at {
			began = p
		}
	}
	c.byPhase[began.name]++
	t := &trial{cutter: c, at: at, now: began, name: fmt.Sprintf("cut %d (%s survives, %s)", at, how, began.name), mirror: filepath.Join(c.mount, "m")}
	if err := faultdisk.MountImage(c.l.fileSystem, image, c.mount); err != nil {
		c.unmountable++
		c.l.problem("%s: the disk cannot be mounted: %v", t.name, err)
		return nil
	}
	start := time.Now()
	err := t.judge(ctx)
	c.l.say("%s: %.1f s", t.name, time.Since(start).Seconds())
	return errors.Join(err, faultdisk.Unmount(c.mount))
}

// build makes the image: all that was written before the last flush, and of what was
// written since what survives.
func (c *cutter) build(image string, at int, how survivor) error {
	flushed := 0
	for _, f := range c.flushes {
		if f < at {
			flushed = f
		}
	}
	if err := c.apply(c.rolling, c.applied, flushed, nil); err != nil {
		return err
	}
	c.applied = flushed
	if err := faultdisk.Copy(image, c.rolling); err != nil {
		return err
	}
	r := c.l.random
	likely := []float64{0.1, 0.3, 0.5, 0.7, 0.9, 0.97}[r.IntN(6)]
	return c.apply(image, flushed, at, func(pieces int64) func() bool {
		half := func() bool { return r.IntN(2) == 0 }
		switch {
		case how == prefix:
			return nil
		case how == nothing || r.Float64() > likely:
			return func() bool { return false }
		case how == subset || half():
			return nil
		case half():
			return half
		}
		left := r.Int64N(pieces + 1)
		return func() bool { left--; return left >= 0 }
	})
}

// apply brings the operations from one to before another to an image. keep says of each
// write which of its pieces come there; nil: all.
func (c *cutter) apply(image string, from, to int, keep func(pieces int64) func() bool) error {
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	piece := int64(512) // what a disk writes as one
	if c.l.fileSystem == "btrfs" {
		piece = 4096
	}
	for _, o := range c.log.Ops[min(from, to):to] {
		var kept func() bool
		if keep != nil {
			kept = keep((o.Len + piece - 1) / piece)
		}
		if err := c.log.Apply(f, o, piece, kept); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// servedBefore is how many bytes had been sent before an operation.
func (c *cutter) servedBefore(at int) int64 {
	i, _ := slices.BinarySearchFunc(c.served, at, func(s served, at int) int { return s.op - at })
	if i == 0 {
		return 0
	}
	return c.served[i-1].bytes
}

func (c *cutter) figures() {
	var phases []string
	for _, p := range c.phases {
		phases = append(phases, fmt.Sprintf("%s %d", p.name, c.byPhase[p.name]))
	}
	c.l.figure("durability %s; cuts by phase: %s", c.durability, strings.Join(phases, ", "))
	c.l.figure("not mountable %d; versions complete before the cut and whole after it: %d", c.unmountable, c.durable)
	if slices.Sort(c.again); len(c.again) > 0 {
		c.l.figure("fetched again after a cut in the big file: median %.1f MB, most %.1f MB", float64(c.again[len(c.again)/2])/1e6, float64(c.again[len(c.again)-1])/1e6)
	}
}

// trial is one cut.
type trial struct {
	*cutter

	at     int
	now    phase // the last one that had begun
	name   string
	mirror string
	boot   string
}

// during reports whether a phase had begun, and whether it was over.
func (t *trial) during(name string) (begun, over bool) {
	i := slices.IndexFunc(t.phases, func(p phase) bool { return p.name == name })
	return t.phases[i].begin <= t.at, t.phases[i].end <= t.at
}

// judge looks at the disk after the cut, lets mimicsync go on there as after a new start
// of the machine, and looks again.
func (t *trial) judge(ctx context.Context) error {
	if _, err := os.Stat(t.mirror); errors.Is(err, os.ErrNotExist) {
		t.l.problem("%s: the mirror's folder is gone", t.name)
		return nil
	}
	t.boot = t.boots[t.l.random.IntN(len(t.boots))]
	repairing, repaired := t.during("repair")
	rotten := repairing && !repaired
	spared := func(name string) bool { return t.person.has(name) || rotten && t.rotten[name] }
	in, err := t.l.inspect(t.mirror, t.published, spared)
	if err != nil {
		t.l.problem("%s: the mirror cannot be read: %v", t.name, err)
		return nil
	}
	if len(in.lies) > 0 {
		t.l.problem("%s: after the cut: %s", t.name, first(in.lies))
	}
	t.asksPerson("after the cut")
	if _, err := os.Stat(filepath.Join(t.mirror, store.Dir, "state.db")); err == nil {
		if r := t.l.run(ctx, t.boot, t.mirror, "status"); r.code != 0 {
			t.l.problem("%s: status: %v", t.name, r)
		}
	}
	if rotten {
		if r := t.l.run(ctx, t.boot, t.mirror, "verify", "--repair", "--progress", "none"); r.code != 0 && r.code != 3 {
			t.l.problem("%s: verify --repair: %v", t.name, r)
		}
	}
	if pruning, pruned := t.during("prune"); pruning && !pruned {
		if r := t.l.run(ctx, t.boot, t.mirror, "prune", s1.String(), "--yes"); r.code != 0 && r.code != 2 {
			t.l.problem("%s: prune: %v", t.name, r)
		}
	}
	t.goOn(ctx, rotten)
	return nil
}

// asksPerson looks for the person's files.
func (t *trial) asksPerson(when string) {
	if lost, err := t.person.missing(t.mirror); err != nil || len(lost) > 0 {
		t.l.problem("%s: %s, a person's files are lost: %s, %v", t.name, when, first(lost), err)
	}
}

// goOn pulls what had been begun, and wants it whole, and what had been complete there
// already.
func (t *trial) goOn(ctx context.Context, rotten bool) {
	pruning, _ := t.during("prune")
	var refs []string
	done := map[manifest.Ref]bool{}
	for _, p := range t.phases {
		if p.begin > t.at || p.ref == (manifest.Ref{}) || p.ref == s1 && pruning {
			continue
		}
		done[p.ref] = p.end <= t.at // the last one that was about it
		if !slices.Contains(refs, p.ref.String()) {
			refs = append(refs, p.ref.String())
		}
	}
	before := t.l.site.Counters().BytesSent
	r := t.l.pull(ctx, t.boot, t.mirror, "group", 2, refs...)
	got := t.l.site.Counters().BytesSent - before
	if r.code != 0 || len(r.Passes) != len(refs) {
		t.l.problem("%s: the pull after: %v", t.name, r)
		return
	}
	for _, pass := range r.Passes {
		ref := manifest.Ref{Dataset: pass.Dataset, Version: pass.Version}
		lost := pass.Bytes.Fetched > 0 || pass.Files.Present+pass.Files.Adopted+pass.Files.Linked != pass.Files.Total
		switch {
		case rotten || !done[ref] || ref == s2 && !t.isNew():
		case lost:
			t.l.problem("%s: %s was complete and has lost files: %+v", t.name, ref, pass)
		default:
			t.durable++
		}
		if wrong := t.published.compareTree(t.mirror, ref); len(wrong) > 0 {
			t.l.problem("%s: the pull was complete, and wrong are %s", t.name, first(wrong))
		}
	}
	if t.now.ref == big && t.at < t.now.end {
		t.again = append(t.again, max(0, t.servedBefore(t.at)-t.servedBefore(t.now.begin)+got-t.published.now(big).size()))
	}
	t.asksPerson("after the pull")
	in, err := t.l.inspect(t.mirror, t.published, t.person.has)
	if err != nil || len(in.lies) > 0 {
		t.l.problem("%s: after the pull: %s, %v", t.name, first(in.lies), err)
		return
	}
	for ref := range done {
		if in.records[ref] != len(t.published.now(ref)) {
			t.l.problem("%s: after the pull, %s has %d records of %d", t.name, ref, in.records[ref], len(t.published.now(ref)))
		}
	}
}

// isNew reports whether the second version was published anew before the cut: after that,
// what is complete is what is published at the end.
func (t *trial) isNew() bool {
	_, over := t.during("published anew")
	return over
}
