//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// soakLedger counts what happens in a soak. Its methods may be called from any goroutine.
type soakLedger struct {
	mu         sync.Mutex
	Passes     int            `json:"passes"`
	Fetched    int64          `json:"fetched_files"`
	Faults     int            `json:"faults"` // that struck
	Acts       map[string]int `json:"acts"`
	Unexpected []string       `json:"unexpected"` // the first ones
	Surprises  int            `json:"surprises"`  // all of them
}

// surprise notes what is not as it should be.
func (l *soakLedger) surprise(format string, args ...any) {
	const shown = 20
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Surprises++
	if len(l.Unexpected) < shown {
		l.Unexpected = append(l.Unexpected, fmt.Sprintf(format, args...))
	}
}

func (l *soakLedger) note(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

// soakWorker has one dataset changed and refreshed, again and again.
type soakWorker struct {
	*soakDataset

	client *api.Client
	mirror string
	ledger *soakLedger
	// every is the least time between two versions: the mirror keeps them all until it is pruned.
	every     time.Duration
	published time.Time
	damaged   []string // paths of files in the mirror that nobody has mended
}

// act is something that happens to a dataset, and what must come of it.
type act struct {
	name   string
	weight int
	do     func(*soakWorker, context.Context) error
}

var acts = []act{
	{"nothing changed", 4, (*soakWorker).nothing},
	{"files changed", 6, (*soakWorker).changed},
	{"file rotted", 2, (*soakWorker).rotted},
	{"file missing", 1, (*soakWorker).missing},
	{"file corrupt", 1, (*soakWorker).corrupt},
	{"downloads closed", 1, (*soakWorker).closed},
	{"no manifest", 1, (*soakWorker).noManifest},
	{"manifest shrank", 1, (*soakWorker).shrank},
	{"paused", 1, (*soakWorker).paused},
	{"canceled", 1, (*soakWorker).canceled},
	{"reloaded", 1, (*soakWorker).reloaded},
}

// work goes on until over is closed, or ends in the middle of something with ctx.
func (w *soakWorker) work(ctx context.Context, over <-chan struct{}) {
	w.published = time.Now()
	w.do(ctx, act{"daemon started", 0, (*soakWorker).begun})
	for ctx.Err() == nil {
		select {
		case <-over:
			return // each act leaves all as it should be
		default:
			w.do(ctx, w.next())
		}
	}
}

// begun brings to its end what the life before was killed in.
func (w *soakWorker) begun(ctx context.Context) error {
	w.revise()
	if err := w.wantPull(ctx, store.Complete); err != nil {
		return err
	}
	p, err := w.verify(ctx)
	if err == nil && p.State != store.Complete {
		err = fmt.Errorf("verification %d is %s (%s), want all mended", p.ID, p.State, p.Error)
	}
	w.damaged = nil
	return err
}

// next draws what happens. The time has a part in it, for versions alone.
func (w *soakWorker) next() act {
	if time.Since(w.published) >= w.every {
		w.published = time.Now()
		return act{"version published", 0, (*soakWorker).nextVersion}
	}
	return draw(w.random)
}

func draw(random *rand.Rand) act {
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	n := random.IntN(total)
	i := slices.IndexFunc(acts, func(a act) bool { n -= a.weight; return n < 0 })
	return acts[i]
}

func (w *soakWorker) do(ctx context.Context, a act) {
	err := a.do(w, ctx)
	_, terr := tree.EmptyQuarantine(context.WithoutCancel(ctx), w.mirror, manifest.Ref{Dataset: w.slug}) // as a person does with prune
	err = errors.Join(err, terr)
	struck := w.heal()
	w.ledger.note(func() { w.ledger.Acts[a.name]++; w.ledger.Faults += struck })
	if err != nil && ctx.Err() == nil {
		w.ledger.surprise("%s, %s: %v", w.ref(), a.name, err)
	}
}

// pull has the dataset refreshed, and returns how a pass ended that began after the call: a refresh that runs already knows
// nothing of the latest change.
func (w *soakWorker) pull(ctx context.Context) (api.Pass, error) {
	for asked := time.Now(); ; {
		id, err := w.client.Pull(ctx, api.PullRequest{Dataset: w.slug})
		if err != nil {
			return api.Pass{}, err
		}
		p, err := w.end(ctx, id)
		if err != nil || !p.Start.Before(asked) {
			return p, err
		}
	}
}

// end waits for the end of a pass.
func (w *soakWorker) end(ctx context.Context, id int64) (last api.Pass, err error) {
	const longest = 3 * time.Minute // every fault is got over sooner
	ctx, cancel := context.WithTimeoutCause(ctx, longest, errors.New("the pass has not ended in three minutes"))
	defer cancel()
	for p, err := range w.client.Follow(ctx, id) {
		if err != nil {
			return p, fmt.Errorf("pass %d, begun %s and in %s: %w", id, last.Start.Format(time.TimeOnly), last.Phase, err)
		}
		last = p
	}
	w.ledger.note(func() {
		w.ledger.Passes++
		if last.Report != nil {
			w.ledger.Fetched += last.Report.Files.Fetched
		}
	})
	return last, nil
}

// wantPull has the dataset refreshed, and compares the end with what it must be.
func (w *soakWorker) wantPull(ctx context.Context, want store.State) error {
	p, err := w.pull(ctx)
	if err != nil {
		return err
	}
	if p.State != want || want == store.Complete && (p.Version != w.newest().Version || p.Report.Files.Total != soakFiles) {
		return fmt.Errorf("pass %d of %s is %s (%s), %d files, %v; want %s", p.ID, p.Version, p.State, p.Error, p.Total, p.Failures, want)
	}
	if want == store.Complete {
		w.changing = nil
	}
	return nil
}

func (w *soakWorker) nothing(ctx context.Context) error {
	p, err := w.pull(ctx)
	if err != nil {
		return err
	}
	if p.State != store.Complete || p.Report.Files.Present != soakFiles {
		return fmt.Errorf("pass %d is %s (%s) with %+v, want all files present", p.ID, p.State, p.Error, p.Report.Files)
	}
	return nil
}

func (w *soakWorker) changed(ctx context.Context) error {
	w.change()
	w.revise()
	w.harm()
	return w.wantPull(ctx, store.Complete)
}

func (w *soakWorker) nextVersion(ctx context.Context) error {
	w.change()
	w.addVersion()
	w.harm()
	return w.wantPull(ctx, store.Complete)
}

// rotted inverts a byte of one to three files, as a disk does: their sizes and times stay. A verification finds each once for
// every version that has it, and mends it.
func (w *soakWorker) rotted(ctx context.Context) error {
	var names int64
	began := time.Now()
	for _, i := range w.random.Perm(len(w.files))[:1+w.random.IntN(3)] {
		w.damaged = append(w.damaged, w.files[i].Path)
		n, err := rot(filepath.Join(w.mirror, w.slug, w.newest().Version, filepath.FromSlash(w.files[i].Path)))
		if err != nil {
			return err
		}
		names += n
	}
	w.harm()
	p, err := w.verify(ctx)
	if err != nil {
		return err
	}
	w.damaged = nil
	v := p.Verification
	if p.State == store.Complete && v != nil && v.Wrong == names && v.Missing == 0 {
		return nil
	}
	if scrubbed, err := w.scrubbed(ctx, began); p.State == store.Complete && scrubbed || err != nil {
		return err // it has found some of them before
	}
	return fmt.Errorf("verification %d is %s (%s) with %+v, want %d wrong files mended", p.ID, p.State, p.Error, v, names)
}

// scrubbed reports whether the dataset was being scrubbed at some time since then.
func (w *soakWorker) scrubbed(ctx context.Context, since time.Time) (bool, error) {
	const enough = 10
	past, err := w.client.History(ctx, w.slug, enough)
	return slices.ContainsFunc(past, func(p daemon.PassStatus) bool {
		return p.Kind == daemon.ScrubPass && p.Start.Add(time.Duration(p.Elapsed*float64(time.Second))).After(since)
	}), err
}

// verify has the dataset read again, and mended.
func (w *soakWorker) verify(ctx context.Context) (api.Pass, error) {
	id, err := w.client.Verify(ctx, api.VerifyRequest{Dataset: w.slug, Repair: true})
	if err != nil {
		return api.Pass{}, err
	}
	return w.end(ctx, id)
}

// rot inverts the byte in the middle of a file, and returns how many names that has.
func rot(name string) (names int64, err error) {
	before, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, before.Size()/2)
	if err == nil {
		_, err = f.WriteAt([]byte{^b[0]}, before.Size()/2)
	}
	sys, _ := before.Sys().(*syscall.Stat_t) // as Linux has it
	names = int64(sys.Nlink)                 //nolint:gosec // a few
	return names, errors.Join(err, f.Close(), os.Chtimes(name, time.Time{}, before.ModTime()))
}

// cured has a dataset refreshed while something is the matter with it, and again when nothing is.
func (w *soakWorker) cured(ctx context.Context, sick store.State, cure func()) error {
	err := w.wantPull(ctx, sick)
	cure()
	if err != nil {
		return err
	}
	return w.wantPull(ctx, store.Complete)
}

func (w *soakWorker) missing(ctx context.Context) error {
	return w.oneFails(ctx, lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound})
}

func (w *soakWorker) corrupt(ctx context.Context) error {
	return w.oneFails(ctx, lookalike.Fault{Kind: lookalike.Corrupt, After: 10})
}

// oneFails lets a changed file fail as often as it is asked for.
func (w *soakWorker) oneFails(ctx context.Context, f lookalike.Fault) error {
	file := w.changeOne(1 + w.random.IntN(len(w.files)-1)) // the big one would be fetched over and over
	w.revise()
	f.Path = "/files/" + w.slug + "/" + w.newest().Version + "/" + file.Path
	w.inject(f)
	return w.cured(ctx, store.Incomplete, func() { w.heal() })
}

func (w *soakWorker) closed(ctx context.Context) error {
	v := w.newest()
	v.DownloadsDisabled = true
	w.publish(v)
	return w.cured(ctx, store.Failed, w.revise)
}

func (w *soakWorker) noManifest(ctx context.Context) error {
	v := w.newest()
	v.ModTime, v.Manifest = time.Now(), []byte("<!DOCTYPE html>\n<html><body>Down for maintenance</body></html>\n")
	w.publish(v)
	return w.cured(ctx, store.Failed, w.revise)
}

func (w *soakWorker) shrank(ctx context.Context) error {
	v := w.newest()
	v.ModTime, v.Manifest = time.Now(), lookalike.Generated(w.files[:soakFiles/2]).Manifest()
	w.publish(v)
	return w.cured(ctx, store.Failed, w.revise)
}

// paused stops a slow pass and lets it go on.
func (w *soakWorker) paused(ctx context.Context) error {
	return w.broken(ctx, func(int64) error {
		return errors.Join(w.client.Pause(ctx, w.slug), w.client.Resume(ctx, w.slug))
	})
}

// canceled stops a slow pass; the next one does its work.
func (w *soakWorker) canceled(ctx context.Context) error {
	return w.broken(ctx, func(id int64) error {
		err := w.client.Cancel(ctx, id)
		if refusal, ok := errors.AsType[*api.Error](err); ok && refusal.Code == http.StatusConflict {
			return nil // it has ended meanwhile
		}
		return err
	})
}

func (w *soakWorker) broken(ctx context.Context, stop func(id int64) error) error {
	w.change()
	w.revise()
	w.slow()
	id, err := w.client.Pull(ctx, api.PullRequest{Dataset: w.slug})
	if err != nil {
		return err
	}
	if err := stop(id); err != nil {
		return err
	}
	p, err := w.end(ctx, id)
	if err != nil {
		return err
	}
	if p.State != store.Interrupted && p.State != store.Complete {
		return fmt.Errorf("pass %d is %s (%s), want it interrupted or complete", id, p.State, p.Error)
	}
	w.heal()
	return w.wantPull(ctx, store.Complete)
}

func (w *soakWorker) reloaded(ctx context.Context) error {
	notes, err := w.client.Reload(ctx)
	if err == nil && len(notes) > 0 {
		err = fmt.Errorf("nothing has changed, and it says %q", notes)
	}
	return err
}
