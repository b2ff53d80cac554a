package daemon_test

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// wantWait fails the test unless a dataset waits for this, for a reason with these
// words, until then.
func (r *rig) wantWait(name, whom, why string, until time.Time) {
	r.t.Helper()
	synctest.Wait()
	wantThisWait(r.t, r.dataset(name).Waiting, whom, why, until)
}

func wantThisWait(t testing.TB, w *progress.Wait, whom, why string, until time.Time) {
	t.Helper()
	switch {
	case w == nil && whom == "":
	case w == nil, w.For != whom, !strings.Contains(w.Why, why), w.Until.Sub(until).Abs() > 2*time.Second:
		t.Errorf("%s: the wait is %+v, want one for %s, %q until %v", time.Now().Format(time.DateTime), w, whom, why, until)
	}
}

// A busy server has a pass wait, and the status says so from the first second, of
// the newest version, of the manifest, and of those who are queued behind it.
func TestAPassSaysWhatItWaitsFor(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		const pause = 17 * time.Minute
		r.library.befall(func(manifest.Ref) error {
			return &source.StatusError{URL: "https://lab/x", Code: 429, RetryAfter: pause}
		})
		began := time.Now()
		id := r.pull("demo")
		synctest.Wait()
		r.wantWait("demo", "library", "status 429 (too many requests)", began.Add(pause))
		p := r.pass(id)
		if len(p.Waits) != 1 || p.Waits[0].For != "library" || p.Retries == 0 {
			t.Errorf("the pass: %+v", p)
		}
		after(time.Minute)
		behind := r.pull("demo@1.0")
		q := r.pass(behind)
		if len(q.Waits) != 1 {
			t.Fatalf("the pass behind it: %+v", q)
		}
		wantThisWait(t, &q.Waits[0], "the pass before it", "a pull of demo has been running since "+began.Local().Format(time.TimeOnly), time.Time{})
		if since := q.Waits[0].Since; !since.Equal(began.Add(time.Minute)) {
			t.Errorf("it waits since %v, want since it was asked for", since)
		}
		r.library.befall(nil)
		after(time.Hour)
		r.wantState(id, store.Complete)
		r.wantState(behind, store.Complete)
		if p := r.pass(id); len(p.Waits) > 0 {
			t.Errorf("a pass that has ended waits for %+v", p.Waits)
		}
		r.wantWait("demo", "", "", time.Time{})
	})
}

// What a plan waits for is its dataset's, and a pass waits for the plan.
func TestAPlanSaysWhatItWaitsFor(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		r.library.befall(func(manifest.Ref) error {
			return &source.StatusError{URL: "https://lab/x", Code: 503, RetryAfter: time.Minute}
		})
		planned := make(chan error, 1)
		began := time.Now()
		go func() {
			_, err := r.planOf("demo")
			planned <- err
		}()
		after(time.Second)
		r.wantWait("demo", "library", "status 503 (busy)", began.Add(time.Minute))
		id := r.pull("demo")
		after(time.Second)
		r.wantWait("demo", "another command", "a plan or prune of demo has been running since "+began.Local().Format(time.TimeOnly), time.Time{})
		wait := r.pass(id).Waits
		if len(wait) != 1 || wait[0].For != "another command" {
			t.Errorf("the pass waits for %+v", wait)
		}
		r.library.befall(nil)
		must(t, <-planned)
		after(time.Hour)
		r.wantState(id, store.Complete)
	})
}

// What the clock, a person, or the disk keeps from going on says so, too.
func TestADatasetSaysWhatItWaitsFor(t *testing.T) {
	night := func(t *testing.T) daemon.Settings {
		s := daily(t)
		var err error
		s.Windows, err = daemon.ParseWindows([]string{"02:00-04:00"}, "UTC")
		must(t, err)
		return s
	}
	scene(t, night, func(t *testing.T, r *rig) {
		midnight := time.Now().UTC().Truncate(24 * time.Hour)
		r.want("demo", daemon.Closed)
		r.wantWait("demo", "the run window", "passes run only while it is open", midnight.Add(2*time.Hour))

		id := r.pull("demo")
		after(time.Minute)
		must(t, r.Pause(""))
		after(time.Second)
		r.want("demo", daemon.Paused)
		r.wantWait("demo", "someone to resume it", "all datasets are paused", time.Time{})
		must(t, r.Resume(""))
		after(time.Second) // what was broken off is the refresh's work, and goes on as that
		r.wantWait("demo", "the run window", "passes run only while it is open", midnight.Add(2*time.Hour))

		r.free.Store(5e6)
		r.library.befall(func(manifest.Ref) error { return syscall.ENOSPC })
		r.pull("demo@1.0")
		after(2 * time.Hour)
		r.want("demo", daemon.NoSpace)
		r.wantWait("demo", "free disk space", "needs 67 MB free, has 5.0 MB", time.Time{})
		r.library.befall(nil)
		r.free.Store(0)
		after(20 * time.Hour)
		r.wantState(id, store.Interrupted)
		r.want("demo", daemon.Idle)
		r.wantWait("demo", "", "", time.Time{})
	})
}

// A refresh that failed says when it is tried again, and one that a person must
// cure says what is the matter.
func TestAFailedRefreshSaysWhatItWaitsFor(t *testing.T) {
	scene(t, daily, func(t *testing.T, r *rig) {
		r.library.befall(func(manifest.Ref) error { return syscall.EHOSTUNREACH })
		after(7 * time.Minute)
		r.want("demo", daemon.Failing)
		r.wantWait("demo", "the next try", syscall.EHOSTUNREACH.Error(), r.dataset("demo").Next)
		r.library.befall(func(manifest.Ref) error {
			return &source.AccessError{Source: "physionet", Ref: ref(t, "demo@1.0"), Denial: source.Forbidden}
		})
		after(4 * time.Hour)
		r.want("demo", daemon.Parked)
		r.wantWait("demo", "someone to act", "physionet", r.dataset("demo").Next)
		r.library.befall(nil)
	})
}
