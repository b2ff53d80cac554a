//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"mimicsync/internal/durable"
	"mimicsync/internal/faultdisk"
	"mimicsync/manifest"
)

var fd = manifest.Ref{Dataset: "f-demo", Version: "1.0"}

const (
	exitNoSpace  = 6
	exitComplete = 0
)

// fillDisks is the campaign of disks that are full: of somebody's file, which goes away
// later, or below the file system, as thin ones are.
func fillDisks(ctx context.Context, l *lab) error {
	var sent, needed int64
	for i := range l.times {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.trials++
		s, n, err := l.fillOnce(ctx, i)
		if err != nil {
			return err
		}
		sent, needed = sent+s, needed+n
	}
	l.figure("bytes sent: %.1f MB for %.1f MB of files", float64(sent)/1e6, float64(needed)/1e6)
	return l.failed()
}

// fillOnce is one trial. It returns how much was sent, and of how much.
func (l *lab) fillOnce(ctx context.Context, i int) (sent, needed int64, err error) {
	r := l.random
	content := reports(r, 300).with(files{"a.bin": noise(r, 6<<20), "b.bin": noise(r, 12<<20)})
	p := published{}
	l.publish(p, fd.Dataset, content)
	d, err := l.disk(400<<20, false)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	mirror, ballast := filepath.Join(d.Path(), "m"), filepath.Join(d.Path(), "ballast")
	if err := os.Mkdir(mirror, 0o700); err != nil {
		return 0, 0, err
	}
	durability := l.durabilityOf(i / 2)
	name := fmt.Sprintf("trial %d (durability %s)", i, durability)
	if thin := i%2 == 1; thin {
		err = d.Set(faultdisk.Faults{Writes: -1, Match: block, Full: true})
	} else {
		err = fill(ballast, 2<<20+r.Int64N(12<<20), d.Path())
		free, _ := room(d.Path())
		l.say("%s: %.1f MB free", name, float64(free)/1e6)
	}
	if err != nil {
		return 0, 0, err
	}
	l.site.Reset()
	full := l.pull(ctx, "", mirror, durability, 4, fd.String())
	if full.code != exitNoSpace {
		l.problem("%s: the pull to a full disk: %v", name, full)
	}
	if in, err := l.inspect(mirror, p, noneSpared); err != nil || len(in.lies) > 0 {
		l.problem("%s: on the full disk: %s, %v", name, first(in.lies), err)
	}
	if err := errors.Join(d.Set(faultdisk.Faults{}), os.RemoveAll(ballast), syncDisk(d)); err != nil { // btrfs gives room back when it is synced
		return 0, 0, err
	}
	if second := l.pull(ctx, "", mirror, durability, 4, fd.String()); second.code != exitComplete {
		l.problem("%s: the pull with room: %v", name, second)
	}
	sent = l.site.Counters().BytesSent
	if err := errors.Join(d.Unmount(), d.Mount()); err != nil {
		return 0, 0, err
	}
	in, err := l.inspect(mirror, p, noneSpared)
	if wrong := p.compareTree(mirror, fd); err != nil || len(in.lies)+len(wrong) > 0 || in.records[fd] != len(content) {
		l.problem("%s: at the end: %s, %s wrong, %v", name, first(in.lies), first(wrong), err)
	}
	l.say("%s: exit %d, %.1f MB sent of %.1f", name, full.code, float64(sent)/1e6, float64(content.size())/1e6)
	return sent, content.size(), nil
}

// fill makes a file that leaves so much room on a disk.
func fill(name string, leave int64, disk string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	b := make([]byte, 1<<20)
	for err == nil {
		var space int64
		if space, err = room(disk); err != nil || space <= leave {
			break
		}
		if _, err = f.Write(b[:min(int64(len(b)), max(4096, space-leave))]); err == nil {
			err = f.Sync() // else it is not known how much is left
		}
	}
	if errors.Is(err, syscall.ENOSPC) { // btrfs does not know before how much it can take
		err = nil
	}
	return errors.Join(err, f.Close())
}

func room(disk string) (int64, error) {
	space, err := durable.Free(disk)
	return space.Bytes, err
}
