//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"time"
)

// killNine is the campaign of kill -9: pulls of small files and of a big one die again
// and again, at any moment, until one ends.
func killNine(ctx context.Context, l *lab) error {
	var again []int64
	for l.trials < l.times {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		bytes, err := l.killUntilDone(ctx)
		if err != nil {
			return err
		}
		again = append(again, bytes)
	}
	slices.Sort(again)
	l.figure("fetched again, of 32 MB by pulls that were killed up to 5 times: median %.1f MB, most %.1f MB", float64(again[len(again)/2])/1e6, float64(again[len(again)-1])/1e6)
	return l.failed()
}

// killUntilDone kills up to 5 pulls of a mirror, and lets the next one end. It returns how
// many bytes were fetched again.
func (l *lab) killUntilDone(ctx context.Context) (again int64, err error) {
	r := l.random
	content := reports(r, 600).with(files{"big.bin": noise(r, 30<<20)})
	p := published{}
	l.publish(p, kd.Dataset, content)
	mirror := l.path("mirror")
	if err := os.Mkdir(mirror, 0o700); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(mirror)) }()
	l.site.Reset()
	slow := l.slowly(4 << 20)
	for range 5 {
		l.trials++
		cmd := l.command(ctx, "", mirror, "pull", kd.String(), "--progress", "none", "--connections", strconv.Itoa(1+r.IntN(4)), "--durability", l.durabilityOf(l.trials))
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		time.Sleep(time.Duration(r.Int64N(int64(2500 * time.Millisecond))))
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if in, err := l.inspect(mirror, p, noneSpared); err != nil || len(in.lies) > 0 {
			l.problem("kill %d: %s, %v", l.trials, first(in.lies), err)
		}
	}
	slow()
	last := l.pull(ctx, "", mirror, "group", 4, kd.String())
	in, err := l.inspect(mirror, p, noneSpared)
	if wrong := p.compareTree(mirror, kd); err != nil || last.code != exitComplete || len(in.lies)+len(wrong) > 0 || in.records[kd] != len(content) {
		l.problem("kill %d, the pull after: %v; %s, wrong are %s, %v", l.trials, last, first(in.lies), first(wrong), err)
	}
	again = l.site.Counters().BytesSent - content.size()
	l.say("kill %d: %.1f MB again", l.trials, float64(again)/1e6)
	return again, nil
}
