package daemon_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// thinks sets how long a manifest takes to be answered.
func (l *library) thinks(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.think = d
}

func (r *rig) planOf(name string) (*report.Plan, error) {
	return r.Plan(r.t.Context(), daemon.PullRequest{Ref: ref(r.t, name)})
}

// Before, while and after it is fetched, a plan says what is left to do; while a
// pass runs it asks for no manifest.
func TestAPlanAtAnyTime(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		p, err := r.planOf("demo")
		if err != nil || p.Ref != ref(t, "demo@1.0") || p.Fetch != 40 || p.Present != 0 {
			t.Fatalf("Plan() = %+v, %v, want 40 files to fetch", p, err)
		}
		if r.closed.Load() != 1 {
			t.Error("its connections stay open")
		}
		id := r.pull("demo")
		after(time.Minute)
		r.library.readDiary()
		if p, err = r.planOf("demo"); err != nil || p.Fetch == 0 || p.Present == 0 || p.Fetch+p.Present != 40 {
			t.Errorf("Plan() = %+v, %v, want it in the middle", p, err)
		}
		if asked := r.library.readDiary(); len(asked) > 0 {
			t.Errorf("in the middle of a pass %v was asked", asked)
		}
		after(time.Hour)
		r.wantState(id, store.Complete)
		if p, err = r.planOf("demo@1.0"); err != nil || p.Present != 40 || p.Fetch != 0 {
			t.Errorf("Plan() = %+v, %v, want nothing to do", p, err)
		}
	})
}

// The first pass of a version is still asking for the manifest, which nobody else
// does meanwhile.
func TestAPlanWithoutAManifestYet(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		r.library.befall(func(manifest.Ref) error { return &source.StatusError{Code: 502} })
		r.pull("demo@1.0")
		after(time.Second)
		if _, err := r.planOf("demo@1.0"); !errors.Is(err, daemon.ErrBusy) {
			t.Errorf("Plan() = %v, want %v", err, daemon.ErrBusy)
		}
		r.library.befall(nil)
		after(time.Hour)
	})
}

// A plan is like a pull: a dataset that the configuration has is meant as it is
// there.
func TestAPlanIsThatOfTheConfiguration(t *testing.T) {
	settings := func(t *testing.T) daemon.Settings {
		s := daily(t)
		s.Datasets[0].Schedule = nil
		some, err := manifest.NewSelection([]string{"0*"}, nil)
		must(t, err)
		s.Datasets[0].Selection = some
		return s
	}
	scene(t, settings, func(t *testing.T, r *rig) {
		if p, err := r.planOf("demo"); err != nil || p.Total != 10 {
			t.Errorf("Plan() = %+v, %v, want the 10 files of the configuration", p, err)
		}
		_, err := r.Plan(t.Context(), daemon.PullRequest{Ref: ref(t, "demo"), Sources: []string{"attic"}})
		if !errors.Is(err, failure.ErrSources) {
			t.Errorf("Plan() from an unknown source = %v, want %v", err, failure.ErrSources)
		}
	})
}

// A pass waits for the end of a plan, and the daemon for that of what it is asked.
func TestAPassWaitsForAPlan(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		r.library.thinks(2 * time.Second)
		planned := make(chan error, 1)
		plan := func(ctx context.Context) {
			_, err := r.Plan(ctx, daemon.PullRequest{Ref: ref(t, "demo")})
			planned <- err
		}
		go plan(t.Context())
		after(time.Second)
		id := r.pull("demo")
		after(time.Second)
		if p := r.pass(id); !p.Start.IsZero() {
			t.Errorf("the pass began at %s, during the plan", p.Start)
		}
		if s := r.dataset("demo"); s.Condition != daemon.Queued || !strings.Contains(s.Why, "planning or pruning") {
			t.Errorf("during the plan the dataset is %s: %q, want it queued behind that", s.Condition, s.Why)
		}
		if _, err := r.Prune(t.Context(), ref(t, "demo@1.0")); !errors.Is(err, daemon.ErrOtherJob) || !errors.Is(err, daemon.ErrBusy) {
			t.Errorf("Prune() during the plan = %v, want %v", err, daemon.ErrOtherJob)
		}
		must(t, <-planned)
		after(time.Second)
		if p := r.pass(id); p.Start.IsZero() {
			t.Error("the pass does not begin after the plan")
		}
		after(time.Hour)
		r.wantState(id, store.Complete)

		ctx, cancel := context.WithCancel(t.Context())
		go plan(ctx)
		after(time.Second)
		cancel() // as the server does when the daemon ends
		r.stop()
		synctest.Wait()
		if len(planned) == 0 {
			t.Error("the daemon ended before the plan")
		}
		if _, err := r.planOf("demo"); err == nil {
			t.Error("a daemon that has ended makes plans")
		}
		r.start()
	})
}

// pruned removes what may go, and returns which versions that was.
func (r *rig) pruned(keep *int) (versions []string, err error) {
	r.t.Helper()
	old, err := r.Prunable(r.t.Context(), manifest.Ref{}, keep)
	must(r.t, err)
	for _, o := range old {
		plan, err := r.PlanPrune(r.t.Context(), o)
		must(r.t, err)
		result, err := r.Prune(r.t.Context(), o)
		if err != nil {
			return versions, err
		}
		if result.Files != plan.Files || result.Files == 0 {
			r.t.Errorf("%s: %d files were removed, and %d planned", o, result.Files, plan.Files)
		}
		versions = append(versions, o.String())
	}
	return versions, nil
}

// versions are those that the mirror has, the newest first.
func (r *rig) versions(name string) (all []string) {
	for _, v := range r.dataset(name).Versions {
		all = append(all, v.Version)
	}
	return all
}

func (r *rig) wantVersions(name string, want ...string) {
	r.t.Helper()
	if got := r.versions(name); !slices.Equal(got, want) {
		r.t.Errorf("%s has the versions %v, want %v", name, got, want)
	}
}

// A daemon prunes what its configuration does not keep, and never under a pass;
// those of other datasets go on.
func TestADaemonPrunes(t *testing.T) {
	settings := func(t *testing.T) daemon.Settings {
		return daemon.Settings{Datasets: []daemon.Dataset{
			{Ref: ref(t, "demo"), KeepOld: 1},
			{Ref: ref(t, "pinned@1.0")},
		}}
	}
	scene(t, settings, func(t *testing.T, r *rig) {
		r.library.slow(0)
		for _, version := range []string{"1.0", "1.1", "1.2"} {
			for _, name := range []string{"demo", "pinned"} {
				r.library.publish(ref(t, name+"@"+version), map[string]string{name: name + version})
				r.pull(name + "@" + version)
				after(time.Minute)
			}
		}
		r.library.slow(200)
		r.library.publish(ref(t, "long@1.0"), other())
		long := r.pull("long")
		after(time.Minute)

		none := 0
		r.library.publish(ref(t, "demo@1.3"), large())
		next := r.pull("demo@1.3")
		after(time.Minute)
		if got, err := r.pruned(&none); !errors.Is(err, daemon.ErrBusy) || errors.Is(err, daemon.ErrOtherJob) || len(got) > 0 {
			t.Errorf("Prune() under a pass = %v, %v, want %v", got, err, daemon.ErrBusy)
		}
		must(t, r.Cancel(next))
		after(time.Second)
		r.wantState(next, store.Interrupted)

		// The second version of demo stays, and of pinned the one that is configured.
		got, err := r.pruned(nil)
		if err != nil || len(got) != 2 || got[0] != "demo@1.0" || got[1] != "pinned@1.1" {
			t.Errorf("pruned %v, %v, want demo@1.0 and pinned@1.1", got, err)
		}
		r.wantVersions("demo", "1.3", "1.2", "1.1")
		r.wantVersions("pinned", "1.2", "1.0")
		if _, err := r.Prunable(t.Context(), ref(t, "pinned@1.0"), nil); !errors.Is(err, failure.ErrKept) {
			t.Errorf("Prunable(pinned@1.0) = %v, want %v", err, failure.ErrKept)
		}
		if got, err = r.pruned(&none); err != nil || len(got) != 1 || got[0] != "demo@1.1" {
			t.Errorf("with none to keep, pruned %v, %v, want demo@1.1", got, err)
		}
		if _, err := os.Stat(r.path("demo/1.1")); !os.IsNotExist(err) {
			t.Errorf("demo/1.1 is there: %v", err)
		}
		after(time.Hour)
		r.wantState(long, store.Complete)
	})
}

// What somebody waits to have is not removed before it comes.
func TestAVersionThatIsWaitedForStays(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		r.library.slow(0)
		r.pull("demo@1.0")
		after(time.Minute)
		r.library.publish(ref(t, "demo@1.1"), other())
		r.pull("demo@1.1")
		after(time.Minute)
		r.library.slow(200)
		must(t, os.Remove(r.path("demo/1.0/07.dat")))
		id := r.pull("demo@1.0")
		after(2 * time.Second)
		must(t, r.Pause("demo"))
		after(time.Second)
		r.wantState(id, store.Interrupted)
		if got, err := r.pruned(nil); !errors.Is(err, daemon.ErrBusy) || len(got) > 0 {
			t.Errorf("Prune() = %v, %v, want %v", got, err, daemon.ErrBusy)
		}
		must(t, r.Resume("demo"))
		after(time.Hour)
		if got, err := r.pruned(nil); err != nil || len(got) != 1 {
			t.Errorf("Prune() = %v, %v, want demo@1.0", got, err)
		}
	})
}
