//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mimicsync/daemon/api"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// soakOptions are the flags of `bench soak`.
type soakOptions struct {
	length time.Duration
	lives  int
	seed   uint64
}

// soak is a daemon's life, or several, in a world that changes and fails.
type soak struct {
	*stage

	o       soakOptions
	config  string
	mirror  string
	workers []*soakWorker
	result  soakResult
}

func measureSoak(flags *flag.FlagSet) func(context.Context, *stage) (result, error) {
	var o soakOptions
	flags.DurationVar(&o.length, "for", 2*time.Hour, "how long")
	flags.IntVar(&o.lives, "lives", 2, "into so many parts it is divided: at the end of each but the last, the daemon is killed")
	flags.Uint64Var(&o.seed, "seed", 1, "what goes wrong, and when, is the same for the same seed")
	return func(ctx context.Context, s *stage) (result, error) { return s.soak(ctx, o) }
}

// soak runs the daemon, and looks at what is left of it.
func (s *stage) soak(ctx context.Context, o soakOptions) (_ *soakResult, err error) {
	if err := s.needsCommand(); err != nil {
		return nil, err
	}
	server := lookalike.New()
	server.APIPerHour = 1 << 30 // how often it is asked is no concern here
	url, shut, err := s.serveSite(server, &server.Host)
	if err != nil {
		return nil, err
	}
	defer func() {
		server.Close()
		err = errors.Join(err, shut())
	}()
	k := &soak{stage: s, o: o, config: filepath.Join(s.dir, "config.yaml"), mirror: filepath.Join(s.dir, "mirror")}
	k.result.Machine, k.result.Ledger.Acts = thisMachine(s), map[string]int{}
	var config strings.Builder
	fmt.Fprintf(&config, soakConfig, k.mirror, url, soakIdle)
	for i := range soakDatasets {
		d := newSoakDataset(server, i, o.seed)
		fmt.Fprintf(&config, "  - %s\n", d.slug)
		k.workers = append(k.workers, &soakWorker{
			soakDataset: d, mirror: k.mirror, ledger: &k.result.Ledger, every: max(4*time.Second, o.length/time.Duration(8*o.lives)),
		})
	}
	if err := errors.Join(os.WriteFile(k.config, []byte(config.String()), 0o600), os.Mkdir(k.mirror, 0o700)); err != nil {
		return nil, err
	}
	for life := range o.lives {
		if err := k.live(ctx, life); err != nil {
			return nil, fmt.Errorf("life %d: %w", life+1, err)
		}
	}
	files, err := k.agree(ctx)
	k.result.judge(files)
	return &k.result, err
}

// live is one life of the daemon. The last one ends in good order; all others by kill -9, whatever goes on.
func (k *soak) live(ctx context.Context, life int) error {
	d, err := k.startDaemon(ctx, k.config, life+1)
	if err != nil {
		return err
	}
	client, err := api.Dial(ctx, k.mirror)
	if err != nil {
		return errors.Join(err, d.kill())
	}
	defer client.Close()
	length := k.o.length / time.Duration(k.o.lives)
	fmt.Fprintf(os.Stderr, "bench: soak: life %d of %d, until %s\n", life+1, k.o.lives, time.Now().Add(length).Format(time.TimeOnly))
	watch := &soakWatch{url: d.url, pid: d.cmd.Process.Pid, mirror: k.mirror, client: client, ledger: &k.result.Ledger, start: time.Now()}
	result := &soakLife{Length: length.Seconds()}
	k.result.Lives = append(k.result.Lives, result)
	if result.Begin, err = watch.sample(ctx); err != nil {
		return errors.Join(err, d.kill())
	}
	last := life == k.o.lives-1
	if err := k.world(ctx, d, watch, result, last); err != nil {
		return err
	}
	if !last {
		return k.afterKill(ctx)
	}
	if result.End, err = watch.rest(ctx, result.Begin.Goroutines+soakRest); err != nil {
		return errors.Join(err, d.kill())
	}
	k.result.Stop, err = d.stop()
	return err
}

// world is what goes on around the daemon while it lives. At the end of its last life the work is brought to its end; in all
// others the daemon is killed in the midst of it.
func (k *soak) world(ctx context.Context, d *soakDaemon, watch *soakWatch, life *soakLife, last bool) error {
	living, end := context.WithCancel(ctx)
	var workers, onlookers sync.WaitGroup
	defer onlookers.Wait()
	defer workers.Wait()
	defer end()
	length := k.o.length / time.Duration(k.o.lives)
	onlookers.Go(func() { watch.readers(living) })
	onlookers.Go(func() { life.Samples = watch.samples(living, max(250*time.Millisecond, length/600)) })
	over := make(chan struct{})
	for _, w := range k.workers {
		w.client = watch.client
		workers.Go(func() { w.work(living, over) })
	}
	select {
	case <-time.After(length):
	case <-d.ended:
		return d.died()
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), d.kill())
	}
	if !last {
		end()
		return d.kill()
	}
	close(over)
	workers.Wait()
	return nil
}

// afterKill reads the mirror and compares it with its state. Nothing is wrong but what was damaged and not mended yet, and
// what a new manifest had just made another: the file of the former one stays under its name until the pass looks at it.
func (k *soak) afterKill(ctx context.Context) error {
	found, err := k.verifyMirror(ctx, k.config)
	if err != nil {
		return err
	}
	for _, v := range found.Verified {
		i := slices.IndexFunc(k.workers, func(w *soakWorker) bool { return w.slug == v.Dataset })
		for _, f := range v.Failures {
			w := k.workers[i]
			outdated := f.Reason == string(failure.ReasonChecksum) && v.Version == w.newest().Version && slices.Contains(w.changing, f.Path)
			if !outdated && !slices.Contains(w.damaged, f.Path) {
				k.result.Ledger.surprise("after a kill, %s of %s@%s is not what its record says (%s: %s)", f.Path, v.Dataset, v.Version, f.Reason, f.Detail)
			}
		}
	}
	return k.prune(ctx, k.config)
}

// agree reads the mirror at the end: all of all versions must be there, and of the newest ones just what is published.
func (k *soak) agree(ctx context.Context) (files int64, err error) {
	found, err := k.verifyMirror(ctx, k.config)
	if err != nil {
		return 0, err
	}
	for _, v := range found.Verified {
		files += v.Verified
		if v.Wrong+v.Missing+v.Unreadable+v.Absent > 0 {
			k.result.Ledger.surprise("at the end %s@%s has %d wrong, %d missing, %d unreadable and %d absent files",
				v.Dataset, v.Version, v.Wrong, v.Missing, v.Unreadable, v.Absent)
		}
	}
	for _, w := range k.workers {
		sums := filepath.Join(k.dir, w.slug+".txt")
		if err := os.WriteFile(sums, w.newest().Manifest, 0o600); err != nil {
			return files, err
		}
		tree := filepath.Join(k.mirror, w.slug, w.newest().Version)
		if err := k.verify(ctx, sums, tree, soakFiles, false, new(run)); err != nil {
			k.result.Ledger.surprise("at the end: %v", err)
		}
	}
	partials, err := os.ReadDir(filepath.Join(k.mirror, store.Dir, "partial"))
	if err == nil && len(partials) > 0 {
		k.result.Ledger.surprise("at the end %d partials are left", len(partials))
	}
	return files, err
}
