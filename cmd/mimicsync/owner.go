package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// owner is the daemon that owns the mirror and carries out the command.
type owner struct {
	*api.Client
	a *app
}

// findOwner returns the daemon that owns the mirror, nil if none does: a daemon that
// answers holds the lock of the state file.
func (a *app) findOwner(ctx context.Context) (*owner, error) {
	client, err := api.Dial(ctx, a.mirror)
	if errors.Is(err, api.ErrNoDaemon) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := a.checkOwnersFlags(); err != nil {
		client.Close()
		return nil, err
	}
	return &owner{client, a}, nil
}

// checkOwnersFlags refuses the flags of settings that the daemon decides for all its passes.
func (a *app) checkOwnersFlags() (err error) {
	a.flags.Visit(func(f *pflag.Flag) {
		switch {
		case !isOwned(f.Name) || err != nil:
		case f.Name == "bwlimit":
			err = advice.Usagef("--bwlimit: a daemon owns this mirror, and its limit applies to all passes; change it with: mimicsync daemon bwlimit RATE")
		default:
			err = advice.Usagef("--%s: a daemon owns this mirror, and its configuration decides this; leave the flag out", f.Name)
		}
	})
	return err
}

// leftError means that the user left a pass to the daemon.
type leftError struct{ ref manifest.Ref }

func (e *leftError) Error() string { return "the daemon continues with " + e.ref.String() }

// close ends the connection. It returns an error like the close of a mirror.
func (o *owner) close() error {
	o.Close()
	return nil
}

// request is the command line's request for a version.
func (o *owner) request(ref manifest.Ref) api.PullRequest {
	r := api.PullRequest{
		Dataset: ref.Dataset, Version: ref.Version, Include: o.a.include, Exclude: o.a.exclude, AcceptManifest: o.a.acceptManifest,
	}
	if o.a.flags.Changed("source") {
		r.Sources = o.a.sources
	}
	return r
}

// plan asks the daemon what it would do.
func (o *owner) plan(ctx context.Context, ref manifest.Ref) (api.Plan, error) {
	progress := new(progress.Progress)
	defer o.a.ui.ShowWaits(o.a.progressStyle(), ref.String(), progress)()
	within, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	watch.Go(func() { o.watchPlan(within, ref.Dataset, progress) })
	return o.Plan(ctx, o.request(ref))
}

// watchPlan shows what the daemon waits for while it makes a plan.
func (o *owner) watchPlan(ctx context.Context, dataset string, watched *progress.Progress) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		status, err := o.Status(ctx)
		if err != nil {
			continue // the plan will report it
		}
		var waits []progress.Wait
		for _, d := range status.Datasets {
			if d.Dataset == dataset && d.Waiting != nil && terminal.IsSource(d.Waiting.For) {
				waits = append(waits, *d.Waiting)
			}
		}
		watched.Tell(waits)
	}
}

// pull makes the daemon run a pass, and shows it like one of this process.
func (o *owner) pull(ctx context.Context, ref manifest.Ref) (*report.Report, error) {
	failed := &report.Report{Dataset: ref.Dataset, Version: ref.Version, State: store.Failed}
	id, err := o.Pull(context.WithoutCancel(ctx), o.request(ref)) // the answer is immediate, and says whether the pass has begun
	if err != nil {
		failed.Err = err
		return failed, err
	}
	p, err := o.follow(ctx, id, ref, ref.String())
	if p.Report == nil {
		failed.Err = err
		return failed, err
	}
	p.Report.Err = err
	return p.Report, err
}

// verify makes the daemon read a version again, and repair it in the same pass.
func (o *owner) verify(ctx context.Context, ref manifest.Ref, repair bool) (verified, error) {
	id, err := o.Verify(context.WithoutCancel(ctx), api.VerifyRequest{Dataset: ref.Dataset, Version: ref.Version, Repair: repair})
	if err != nil {
		return verified{}, err
	}
	p, err := o.follow(ctx, id, ref, "verify "+ref.String())
	switch {
	case p.Report != nil && p.Verification != nil:
		return verified{p.Verification, func() (*report.Report, error) { return p.Report, err }}, nil
	case err == nil && p.Verification == nil:
		err = fmt.Errorf("the daemon has no result of the verification of %s", ref)
	}
	return verified{found: p.Verification}, err
}

// follow shows a pass of the daemon until it has ended. The error is why it ended early, or
// a *leftError.
func (o *owner) follow(ctx context.Context, id int64, ref manifest.Ref, title string) (p api.Pass, err error) {
	progress := new(progress.Progress)
	defer o.a.ui.Show(o.a.progressStyle(), title, progress, nil)()
	for p, err = range o.Follow(ctx, id) {
		if ctx.Err() != nil {
			return p, &leftError{ref}
		}
		if err != nil {
			return p, err
		}
		if p.Version != "" && !terminal.HasVersion(title) {
			title += "@" + p.Version
			o.a.ui.Rename(title)
		}
		fill(progress, p.PassStatus)
	}
	if p.Error == "" {
		return p, nil
	}
	return p, newPassError(p)
}

func newPassError(p api.Pass) error {
	e := &advice.PassError{Text: p.Error, Cure: p.Cure, Code: max(p.ExitCode, advice.ExitUnexpected)}
	switch p.State {
	case store.Interrupted:
		e.Cause = failure.ErrInterrupted
	case store.Incomplete:
		e.Cause = failure.ErrLimit
		e.Cure = cmp.Or(e.Cure, "run the same command again to continue")
	}
	return e
}

// fill sets progress to the daemon's numbers.
func fill(progress *progress.Progress, p daemon.PassStatus) {
	progress.Total.Store(p.Total)
	progress.Done.Store(p.Done)
	progress.Failed.Store(p.Failed)
	progress.Examined.Store(p.Examined)
	progress.Expected.Store(p.Expected)
	progress.Fetched.Store(p.Fetched)
	progress.Retries.Store(p.Retries)
	progress.Connections.Store(p.Connections)
	progress.Tell(p.Waits)
	progress.Phase.Store(int32(p.Phase)) // last: the display starts with the numbers that it finds
}

// known are the daemon's versions, see mirror.known.
func (o *owner) known(ctx context.Context, args []string) ([]manifest.Ref, error) {
	status, err := o.Status(ctx)
	if err != nil {
		return nil, err
	}
	var all []manifest.Ref
	for _, d := range status.Datasets {
		for _, v := range d.Versions {
			all = append(all, manifest.Ref{Dataset: d.Dataset, Version: v.Version})
		}
	}
	return wanted(all, args)
}

// planPrune asks the daemon what it would remove.
func (o *owner) planPrune(ctx context.Context, args []string, keep *int) ([]*report.Pruned, error) {
	if _, err := o.known(ctx, args); err != nil {
		return nil, err
	}
	var want manifest.Ref
	if len(args) > 0 {
		want, _ = manifest.ParseRef(args[0]) // it is known
	}
	return o.Prune(ctx, api.PruneRequest{Dataset: want.Dataset, Version: want.Version, Keep: keep, DryRun: true})
}

// prune makes the daemon remove a version.
func (o *owner) prune(ctx context.Context, ref manifest.Ref) (*report.Pruned, error) {
	results, err := o.Prune(ctx, api.PruneRequest{Dataset: ref.Dataset, Version: ref.Version})
	if refused, ok := errors.AsType[*api.Error](err); ok {
		results = refused.Pruned
	}
	if len(results) == 0 && err == nil { // somebody else was faster
		return nil, &advice.UnknownHereError{Ref: ref}
	}
	if len(results) == 0 {
		return nil, err
	}
	return results[0], err
}

// leave says that a pass continues without this command.
func (a *app) leave(e *leftError) {
	a.ui.Lines("note", fmt.Sprintf("%v; watch it with: %s, and stop it with: %s", e, a.ui.Adviser.Command("status"), a.ui.Adviser.Command("daemon cancel", e.ref.Dataset)))
	a.code = advice.Worse(a.code, advice.ExitInterrupted)
}
