package daemon_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A scrub that takes hours makes way for a refresh, and then goes on where it was.
func TestAScrubMakesWay(t *testing.T) {
	scene(t, func(t *testing.T) daemon.Settings {
		s := daily(t)
		s.Scrub = daemon.Scrub{Schedule: schedule(t, "0 2 * * *"), Rate: 20}
		return s
	}, func(t *testing.T, r *rig) {
		after(3*time.Hour + time.Minute)
		after(4 * time.Hour)
		r.want("demo", daemon.Idle)
		history, err := r.History("demo", 3)
		must(t, err)
		for i, want := range []string{"scrub complete", "refresh complete", "scrub interrupted"} {
			h := history[i]
			if got := string(h.Kind) + " " + h.State.String(); got != want {
				t.Errorf("pass %d of the history is %s, want %s", i, got, want)
			}
		}
		if took := history[0].Elapsed + history[2].Elapsed; took > 5000 {
			t.Errorf("the scrub took %.0f s; two hours are enough to read all anew", took)
		}
	})
}

// Some entries fail: people hear of it once, until others do.
func TestAnIncompleteDatasetIsToldOnce(t *testing.T) {
	takesTime(t)
	scene(t, daily, func(t *testing.T, r *rig) {
		r.library.slow(0)
		r.library.remove(ref(t, "demo@1.0"), "07.dat")
		after(5*24*time.Hour + time.Hour) // no pass runs while things change
		r.want("demo", daemon.Failing)
		r.wantEvents("failure demo")
		if s := r.dataset("demo"); !strings.Contains(s.Why, "07.dat") || s.Files != 39 || len(s.Last.Failures) != 1 {
			t.Errorf("the dataset: %+v", s)
		}
		r.library.remove(ref(t, "demo@1.0"), "08.dat")
		must(t, os.Remove(r.path("demo/1.0/08.dat")))
		after(24 * time.Hour)
		r.wantEvents("failure demo")
		r.library.publish(ref(t, "demo@1.0"), large())
		after(24 * time.Hour)
		r.wantEvents("complete demo", "recovery demo")
	})
}

// A file that can't be fetched is tried again soon, whatever the reason. When it has
// failed in the same way for hours, people hear of it, and it waits for the schedule.
func TestFilesThatCannotBeHadForAWhile(t *testing.T) {
	takesTime(t)
	weekly := func(t *testing.T) daemon.Settings {
		return daemon.Settings{Datasets: []daemon.Dataset{{Ref: ref(t, "demo"), Schedule: schedule(t, "@weekly")}}}
	}
	scene(t, weekly, func(t *testing.T, r *rig) {
		badGateway := &source.StatusError{URL: "https://physionet.org/files", Code: 502}
		r.library.slow(0)
		r.library.breaks("demo@1.0/07.dat", badGateway)
		after(time.Hour)
		r.want("demo", daemon.Failing)
		if s := r.dataset("demo"); !strings.Contains(s.Why, "07.dat (network)") || s.Next.After(time.Now().Add(2*time.Hour)) {
			t.Errorf("it fails because %q, and is tried again at %s", s.Why, s.Next)
		}
		r.wantEvents()
		r.library.breaks("demo@1.0/07.dat", nil)
		after(2 * time.Hour)
		r.want("demo", daemon.Idle)
		r.wantEvents("complete demo")

		r.library.publish(ref(t, "demo@2.0"), numbered("demo", 10, "second"))
		r.library.breaks("demo@2.0/007.csv", badGateway)
		after(8 * 24 * time.Hour)
		r.wantEvents("failure demo")
		r.library.breaks("demo@2.0/007.csv", nil)
		after(7 * 24 * time.Hour)
		r.wantEvents("complete demo", "recovery demo")

		r.library.publish(ref(t, "demo@3.0"), numbered("demo", 10, "third"))
		r.library.breaks("demo@3.0/007.csv", badGateway)
		r.library.remove(ref(t, "demo@3.0"), "008.csv")
		asked := r.dataset("demo").Next
		after(time.Until(asked) + 20*time.Minute)
		if s := r.dataset("demo"); s.Next.After(time.Now().Add(time.Hour)) {
			t.Errorf("what failed is asked for again at %s only", s.Next)
		}
		after(24 * time.Hour)
		r.wantEvents("failure demo")
		if s := r.dataset("demo"); s.Next.Before(time.Now().Add(5 * 24 * time.Hour)) {
			t.Errorf("what failed for hours is asked for again at %s", s.Next)
		}
	})
}

// The configuration selects nothing of a dataset: that is no dataset that is complete,
// and a person hears of it once.
func TestADatasetOfWhichNothingIsSelected(t *testing.T) {
	selecting := func(t *testing.T, pattern string) daemon.Settings {
		s := daily(t)
		var err error
		s.Datasets[0].Selection, err = manifest.NewSelection([]string{pattern}, nil)
		must(t, err)
		return s
	}
	scene(t, func(t *testing.T) daemon.Settings { return selecting(t, "hosp/typo/**") }, func(t *testing.T, r *rig) {
		r.library.slow(0)
		after(3 * 24 * time.Hour)
		r.want("demo", daemon.Parked)
		r.wantEvents("parked demo")
		if s := r.dataset("demo"); s.Complete || !strings.Contains(s.Why, "nothing is selected of the 40 files of demo@1.0") || s.Cure == "" {
			t.Errorf("the dataset: %+v", s)
		}
		r.settings.Datasets = selecting(t, "07.dat").Datasets
		_, err := r.Reload(t.Context())
		must(t, err)
		after(time.Second)
		r.want("demo", daemon.Idle)
		r.wantEvents("complete demo", "recovery demo")
	})
}

// A typo in what a person asks for is told to them, and a complete dataset stays so.
func TestAPullOfNothing(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		r.library.slow(0)
		r.pull("demo")
		after(time.Minute)
		typo, err := manifest.NewSelection([]string{"hosp/typo/**"}, nil)
		must(t, err)
		id, err := r.Pull(daemon.PullRequest{Ref: ref(t, "demo"), Selection: typo})
		must(t, err)
		after(time.Minute)
		if p := r.pass(id); p.State != store.Failed || !strings.Contains(p.Error, "nothing is selected") {
			t.Errorf("the pull of nothing: %+v, want it failed", p)
		}
		if s := r.dataset("demo"); !s.Complete || s.Last.State != store.Complete {
			t.Errorf("after it the dataset is %+v, and its last pass %+v", s, s.Last)
		}
		if past, err := r.History("demo", 10); err != nil || len(past) != 1 {
			t.Errorf("History() = %+v, %v, want the first pull alone", past, err)
		}
	})
}

// A server in trouble serves a web page, or half a list, as the manifest. It is told
// once, and nothing follows from it.
func TestADamagedManifestIsNotActedOn(t *testing.T) {
	takesTime(t)
	scene(t, daily, func(t *testing.T, r *rig) {
		r.library.slow(0)
		after(time.Hour)
		half := large()
		for i := range 20 {
			delete(half, fmt.Sprintf("%02d.dat", i))
		}
		r.library.publish(ref(t, "demo@1.0"), half)
		after(3 * 24 * time.Hour)
		r.want("demo", daemon.Failing)
		r.wantEvents("complete demo", "failure demo")
		if s := r.dataset("demo"); s.Files != 40 || s.Entries != 40 {
			t.Errorf("the dataset: %+v", s)
		}
		r.library.befall(func(manifest.Ref) error { return source.ErrWebPage })
		after(3 * 24 * time.Hour)
		r.wantEvents("failure demo")
		r.library.befall(nil)
		r.library.publish(ref(t, "demo@1.0"), large())
		after(24 * time.Hour)
		r.want("demo", daemon.Idle)
		r.wantEvents("recovery demo")
	})
}

// The disk is unmounted under the daemon, and an empty folder is left: the daemon
// ends, and writes nothing there.
func TestTheMirrorVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		l.publish(ref(t, "demo@1.0"), large())
		l.slow(200)
		r := newRig(t, l, daily(t))
		r.start()
		after(time.Minute)
		r.want("demo", daemon.Running)
		elsewhere := r.dir + ".unmounted"
		must(t, os.Rename(r.dir, elsewhere))
		must(t, os.Mkdir(r.dir, 0o700))
		<-r.ended
		if !errors.Is(r.err, daemon.ErrMirrorGone) {
			t.Errorf("Run() = %v, want ErrMirrorGone", r.err)
		}
		r.wantEvents("mirror ")
		if files, err := os.ReadDir(r.dir); err != nil || len(files) > 0 {
			t.Errorf("the mount point has %v (%v), want nothing", files, err)
		}
		must(t, errors.Join(r.tree.Close(), r.store.Close()))

		must(t, os.Remove(r.dir)) // it is mounted again
		must(t, os.Rename(elsewhere, r.dir))
		l.slow(0)
		r.start()
		after(time.Minute)
		r.want("demo", daemon.Idle)
		r.stop()
	})
}

// A plan that waits for a server does not keep the daemon from ending.
func TestTheMirrorVanishesUnderAPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		l.publish(ref(t, "demo@1.0"), large())
		r := newRig(t, l, daemon.Settings{})
		r.start()
		r.library.thinks(time.Hour)
		planned := make(chan error, 1)
		go func() {
			_, err := r.planOf("demo")
			planned <- err
		}()
		after(time.Second)
		began := time.Now()
		must(t, os.Rename(r.dir, r.dir+".unmounted"))
		<-r.ended
		if took := time.Since(began); !errors.Is(r.err, daemon.ErrMirrorGone) || took > 2*time.Minute {
			t.Errorf("Run() = %v after %s, want ErrMirrorGone at once", r.err, took)
		}
		if err := <-planned; !errors.Is(err, failure.ErrInterrupted) {
			t.Errorf("Plan() = %v, want it interrupted", err)
		}
		must(t, errors.Join(r.tree.Close(), r.store.Close()))
	})
}

// A state file that cannot be written ends the daemon, which must not go on as if
// it remembered.
func TestABrokenStoreEndsTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		l.publish(ref(t, "demo@1.0"), large())
		r := newRig(t, l, daily(t))
		r.start()
		after(time.Minute)
		must(t, r.store.Close())
		r.Status() // so that what Run sees is what was done here
		after(24 * time.Hour)
		<-r.ended
		if !errors.Is(r.err, store.ErrClosed) {
			t.Errorf("Run() = %v, want what the store says", r.err)
		}
		must(t, r.tree.Close())
	})
}
