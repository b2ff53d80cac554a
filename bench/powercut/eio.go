//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"mimicsync/internal/faultdisk"
	"mimicsync/manifest"
	"mimicsync/store"
)

var ed = manifest.Ref{Dataset: "e-demo", Version: "1.0"}

// failWrites is the campaign of disks that for a moment do not keep what they are given:
// a pull over them fails, the disk heals, another process pulls, and then the disk is
// mounted anew, so that the page cache has no say.
func failWrites(ctx context.Context, l *lab) error {
	var failed, again int64
	blind := 0
	for i := range l.times {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.trials++
		t, err := l.failOnce(ctx, i)
		if err != nil {
			return err
		}
		failed, again = failed+t.failed, again+t.again
		if t.failed == 0 || t.first.code == 0 {
			blind++
		}
	}
	l.figure("writes that failed: %d; files asked for again that the disk had: %d; trials in which nothing failed: %d", failed, again, blind)
	return l.failed()
}

// failing is one trial.
type failing struct {
	name   string
	first  *outcome
	failed int64 // requests of the disk
	again  int64 // files that were asked for again without need
}

// failOnce is one trial: of small files or of a big one, losing a few writes of data,
// or whatever is written, or the whole disk for a while.
func (l *lab) failOnce(ctx context.Context, i int) (t *failing, err error) {
	r := l.random
	content, rate := reports(r, 400), int64(0)
	if i%4 >= 2 {
		content, rate = reports(r, 30).with(files{"big.bin": noise(r, 24<<20)}), 3<<20
	}
	faults := faultdisk.Faults{Writes: 1 + r.Int64N(40), Match: block}
	switch i % 8 {
	case 7:
		faults = faultdisk.Faults{Writes: 1 + r.Int64N(10)} // the journal's, the state's, anybody's
	case 3:
		faults = faultdisk.Faults{Dead: true} // it was unplugged, and comes back
	}
	durability := l.durabilityOf(i)
	t = &failing{name: fmt.Sprintf("trial %d (%d files, durability %s, %+v)", i, len(content), durability, faults)}
	p := published{}
	l.publish(p, ed.Dataset, content)
	d, err := l.disk(400<<20, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	mirror := filepath.Join(d.Path(), "m")
	if err := os.Mkdir(mirror, 0o700); err != nil {
		return nil, err
	}
	if err := l.pullWhileFailing(ctx, d, faults, mirror, durability, rate, t); err != nil {
		return nil, err
	}
	if err := d.Set(faultdisk.Faults{}); err != nil {
		return nil, err
	}
	if faults.Match == "" { // the file system may have given up: only a new mount helps
		if err := errors.Join(d.Unmount(), d.Mount()); err != nil {
			l.problem("%s: the disk cannot be mounted again: %v", t.name, err)
			return t, nil
		}
	}
	had := l.alreadyThere(mirror, p)
	before, err := l.inspect(mirror, p, func(string) bool { return true })
	if err != nil {
		l.problem("%s: on the healed disk: %v", t.name, err)
		return t, nil
	}
	l.site.Reset()
	second := l.pull(ctx, "", mirror, durability, 1, ed.String()) // what is on its way to one that is not needed any more counts, too
	if second.code != 0 {
		l.problem("%s: the pull on the healed disk: %v, after %v", t.name, second, t.first)
	}
	if asked := l.site.Counters().Files; rate == 0 && asked > int64(len(content)-had) {
		t.again = asked - int64(len(content)-had)
		l.problem("%s: %d files were asked for again that the disk had", t.name, t.again)
	}
	if most := content.size() - before.durable() + slack; l.site.Counters().BytesSent > most {
		l.problem("%s: %d bytes were sent again, want at most the %d that were not durable", t.name, l.site.Counters().BytesSent, most)
	}
	l.afterMount(ctx, d, mirror, p, t)
	l.say("%s: %d requests of the disk failed, exit %d, then %d; %d files were there", t.name, t.failed, t.first.code, second.code, had)
	return t, nil
}

// slack is what of a request may come twice: where bytes of a partial are compared, and
// the manifest.
const slack = 256 << 10

// durable is how many bytes of unfinished files are recorded as such.
func (in *inspection) durable() (n int64) {
	for _, p := range in.partials {
		n += p.Durable
		for _, r := range p.Ahead {
			n += r.To - r.From
		}
	}
	return n
}

// pullWhileFailing lets writes fail from the start, or once a big file is on its way.
func (l *lab) pullWhileFailing(ctx context.Context, d *faultdisk.Disk, f faultdisk.Faults, mirror, durability string, rate int64, t *failing) error {
	var err error
	if rate > 0 {
		defer l.slowly(rate)()
		before := l.site.Counters().BytesSent
		ended := make(chan struct{})
		go func() {
			t.first = l.pull(ctx, "", mirror, durability, 2, ed.String())
			close(ended)
		}()
		wait := func() bool { return l.site.Counters().BytesSent-before > 4<<20+l.random.Int64N(12<<20) }
		for waiting := true; waiting && !wait(); {
			select {
			case <-ended:
				waiting = false
			default:
				unix.Nanosleep(&unix.Timespec{Nsec: 20e6}, nil) //nolint:errcheck // it may wake early
			}
		}
		err = d.Set(f)
		<-ended
	} else {
		if err := d.Set(f); err != nil {
			return err
		}
		t.first = l.pull(ctx, "", mirror, durability, 4, ed.String())
	}
	stat, serr := d.Stat()
	t.failed = stat.Failed
	return errors.Join(err, serr)
}

// afterMount reads what the disk has.
func (l *lab) afterMount(ctx context.Context, d *faultdisk.Disk, mirror string, p published, t *failing) {
	if err := errors.Join(d.Unmount(), d.Mount()); err != nil {
		l.problem("%s: %v", t.name, err)
		return
	}
	in, err := l.inspect(mirror, p, noneSpared)
	if err != nil || len(in.lies) > 0 {
		l.problem("%s: on the disk: %s, %v", t.name, first(in.lies), err)
		return
	}
	if wrong := p.compareTree(mirror, ed); len(wrong) > 0 || in.records[ed] != len(p.now(ed)) {
		l.problem("%s: on the disk %s are wrong, and %d files are recorded of %d", t.name, first(wrong), in.records[ed], len(p.now(ed)))
	}
	last := l.pull(ctx, "", mirror, "group", 4, ed.String())
	if last.code != 0 || len(last.Passes) != 1 || last.Passes[0].Bytes.Fetched > 0 {
		l.problem("%s: the last pull: %v", t.name, last)
	}
}

// alreadyThere counts the files whose bytes the disk has whole, under whatever name. It
// reads past the page cache and leaves that as it is.
func (l *lab) alreadyThere(mirror string, p published) int {
	want := map[manifest.Digest]int{} // entries
	for _, b := range p.now(ed) {
		want[sha256.Sum256(b)]++
	}
	n := 0
	for _, dir := range []string{ed.Dataset, store.Dir + "/partial"} {
		_ = filepath.WalkDir(filepath.Join(mirror, dir), func(path string, d fs.DirEntry, err error) error { // none if it is not there
			if err != nil || d.IsDir() {
				return nil // what cannot be read is not there
			}
			if b, err := readDirect(path); err == nil {
				n += want[sha256.Sum256(b)]
				delete(want, sha256.Sum256(b))
			}
			return nil
		})
	}
	return n
}

// readDirect reads a file from the disk.
func readDirect(path string) ([]byte, error) {
	const step = 1 << 20
	b, err := unix.Mmap(-1, 0, step, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // at the start of a page
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Munmap(b) }()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	var all bytes.Buffer
	for told := false; ; {
		n, err := unix.Read(int(f.Fd()), b)
		switch {
		case errors.Is(err, unix.EIO) && !told: // what became of the writes is told to the first who asks
			told = true
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return all.Bytes(), nil
		}
		all.Write(b[:n])
	}
}
