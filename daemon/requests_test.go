package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/manifest"
	"mimicsync/store"
)

// large are files that take a while at a slow rate: 40 of 10 kB.
func large() map[string]string {
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("%02d.dat", i)] = strings.Repeat(fmt.Sprintf("%05d", i), 2000)
	}
	return files
}

// scene is a story in synctest's time about a daemon whose library has demo@1.0,
// which takes minutes.
func scene(t *testing.T, settings func(*testing.T) daemon.Settings, story func(*testing.T, *rig)) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		l.publish(ref(t, "demo@1.0"), large())
		l.slow(200)
		var s daemon.Settings
		if settings != nil {
			s = settings(t)
		}
		r := newRig(t, l, s)
		r.start()
		story(t, r)
		r.stop()
	})
}

func daily(t *testing.T) daemon.Settings {
	return daemon.Settings{Datasets: []daemon.Dataset{{Ref: ref(t, "demo"), Schedule: schedule(t, "0 3 * * *")}}}
}

// after lets time pass, and what happens in it.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) pull(name string) int64 {
	r.t.Helper()
	id, err := r.Pull(daemon.PullRequest{Ref: ref(r.t, name)})
	must(r.t, err)
	return id
}

func (r *rig) pass(id int64) daemon.PassStatus {
	r.t.Helper()
	synctest.Wait()
	p, err := r.Pass(id)
	must(r.t, err)
	return p
}

func (r *rig) wantState(id int64, want store.State) {
	r.t.Helper()
	if p := r.pass(id); p.State != want {
		r.t.Errorf("pass %d is %v (%s), want %v", id, p.State, p.Error, want)
	}
}

func TestAPullShowsWhatItDoes(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		id := r.pull("demo")
		after(time.Minute + time.Second/2)
		s := r.dataset("demo")
		if s.Condition != daemon.Running || s.Pass == nil || s.Pass.ID != id || s.Version != "1.0" || s.Scheduled {
			t.Fatalf("the dataset: %+v", s)
		}
		if p := s.Pass; p.Rate < 200 || p.Rate > 1600 || p.Done == 0 || p.Done != s.Files || p.Left < 10 || p.Left > 1000 || p.Total != 40 || p.Report != nil {
			t.Errorf("the pass: %+v", p)
		}
		if r.Status().Rate != s.Pass.Rate || r.Status().Hosts[0].Used == 0 {
			t.Errorf("the status: %+v", r.Status())
		}
		after(30 * time.Minute)
		p := r.pass(id)
		if p.State != store.Complete || p.Report == nil || p.Report.Files.Fetched != 40 || p.Left != 0 {
			t.Errorf("the pass: %+v", p)
		}
		if s := r.dataset("demo"); s.Files != 40 || s.Bytes != 400_000 || s.Condition != daemon.Idle || s.Last.Report != nil || s.LastSuccess.IsZero() {
			t.Errorf("the dataset: %+v", s)
		}
		hour, days := r.Throughput()
		var sum int64
		for _, s := range hour {
			sum += s.Bytes
		}
		r.stop()
		r.start()
		if _, days := r.Throughput(); days[len(days)-1].Bytes < 400_000 || len(days) != 30 {
			t.Errorf("after a restart, today has %d bytes", days[len(days)-1].Bytes)
		}
		if sum < 400_000 || days[len(days)-1].Bytes < 400_000 || len(hour) != 360 || len(days) != 30 {
			t.Errorf("Throughput() = %d bytes in the hour, %d today, want 400000", sum, days[len(days)-1].Bytes)
		}
		r.wantEvents("complete demo")
	})
}

// What the server lacks is still lacking after a verification that found all
// that is here right, and after a restart.
func TestAVerificationDoesNotMakeADatasetComplete(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		r.library.slow(0)
		r.library.remove(ref(t, "demo@1.0"), "07.dat")
		r.pull("demo")
		after(time.Hour)
		id, err := r.Verify(ref(t, "demo"), false)
		must(t, err)
		after(time.Hour)
		r.wantState(id, store.Complete)
		if s := r.dataset("demo"); s.Files != 39 || s.Complete {
			t.Errorf("the dataset: %+v, want it incomplete", s)
		}
		r.stop()
		r.start()
		if s := r.dataset("demo"); s.Files != 39 || s.Complete {
			t.Errorf("the dataset after a restart: %+v, want it incomplete", s)
		}
	})
}

// The same request joins the pass that runs, another one waits for it.
func TestPullsOfADatasetComeOneAfterTheOther(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		first := r.pull("demo")
		if again := r.pull("demo"); again != first {
			t.Errorf("the same request before it began is pass %d, want %d", again, first)
		}
		after(10 * time.Second)
		if again := r.pull("demo"); again != first {
			t.Errorf("the same request is pass %d, want %d", again, first)
		}
		part, err := manifest.NewSelection([]string{"0*"}, nil)
		must(t, err)
		second, err := r.Pull(daemon.PullRequest{Ref: ref(t, "demo"), Selection: part})
		must(t, err)
		if p := r.pass(second); second == first || !p.Start.IsZero() || p.State != store.Running {
			t.Errorf("the other request: %+v", p)
		}
		after(time.Hour)
		a, b := r.pass(first), r.pass(second)
		if a.State != store.Complete || b.State != store.Complete || b.Total != 10 || b.Start.Before(a.Start.Add(time.Duration(a.Elapsed)*time.Second)) {
			t.Errorf("the passes: %+v\n%+v", a, b)
		}
	})
}

// Nobody who presses a button means what the configuration leaves out.
func TestAPullKeepsToTheConfiguration(t *testing.T) {
	scene(t, func(t *testing.T) daemon.Settings {
		s := daily(t)
		part, err := manifest.NewSelection([]string{"0*"}, nil)
		must(t, err)
		s.Datasets[0].Selection = part
		return s
	}, func(t *testing.T, r *rig) {
		after(time.Second)
		id := r.pull("demo")
		if p := r.dataset("demo").Pass; p == nil || p.ID != id || p.Kind != daemon.RefreshPass || p.Total != 10 {
			t.Errorf("the pass: %+v, want the refresh of 10 files that runs", p)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	scene(t, daily, func(t *testing.T, r *rig) {
		after(time.Minute)
		id := r.dataset("demo").Pass.ID
		must(t, r.Pause("demo"))
		r.want("demo", daemon.Paused)
		r.wantState(id, store.Interrupted)
		after(24 * time.Hour)
		r.want("demo", daemon.Paused)
		r.stop() // a pause outlives the daemon
		r.start()
		after(time.Hour)
		r.want("demo", daemon.Paused)

		must(t, r.Resume("demo"))
		r.want("demo", daemon.Running)
		after(time.Hour)
		r.want("demo", daemon.Idle)
		r.wantEvents("complete demo")
		if got := r.library.served(); got > 400_000+40_000 {
			t.Errorf("%d bytes came for 400000", got)
		}
		must(t, r.Pause(""))
		r.want("demo", daemon.Paused)
		if !r.Status().Paused {
			t.Error("Status().Paused = false")
		}
		must(t, r.Resume(""))
		r.want("demo", daemon.Idle)
		if err := r.Pause("nothing"); !errors.Is(err, daemon.ErrUnknown) {
			t.Errorf("Pause of an unknown dataset = %v", err)
		}
	})
}

// What a person asked for stops with a pause, too, and goes on after it. What is
// asked for during a pause is done.
func TestAPullAndAPause(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		id := r.pull("demo")
		after(time.Minute)
		must(t, r.Pause(""))
		r.wantState(id, store.Interrupted)
		after(time.Hour)
		r.want("demo", daemon.Paused)
		must(t, r.Resume(""))
		r.want("demo", daemon.Running)
		after(time.Minute)
		must(t, r.Pause("demo"))
		again := r.pull("demo")
		r.wantState(again, store.Running)
		after(time.Hour)
		r.wantState(again, store.Complete)
	})
}

func TestCancel(t *testing.T) {
	scene(t, daily, func(t *testing.T, r *rig) {
		after(time.Minute)
		id := r.dataset("demo").Pass.ID
		queued, err := r.Verify(ref(t, "demo"), false)
		if !errors.Is(err, daemon.ErrUnknown) {
			t.Errorf("Verify before there is anything = %d, %v", queued, err)
		}
		queued = r.pull("demo@1.0")
		must(t, r.Cancel(queued))
		must(t, r.Cancel(id))
		r.wantState(queued, store.Interrupted)
		r.wantState(id, store.Interrupted)
		if err := r.Cancel(id); !errors.Is(err, daemon.ErrNotRunning) {
			t.Errorf("Cancel of what has ended = %v", err)
		}
		if err := r.Cancel(99); !errors.Is(err, daemon.ErrNoSuchPass) {
			t.Errorf("Cancel of what never was = %v", err)
		}
		r.want("demo", daemon.Idle)
		after(2 * time.Hour)
		r.want("demo", daemon.Idle)
		after(time.Hour) // it is 03:01
		r.want("demo", daemon.Running)
	})
}

// A run window ends what the schedule started, and not what a person wants.
func TestAPersonMindsNoWindow(t *testing.T) {
	scene(t, func(t *testing.T) daemon.Settings {
		s := daily(t)
		var err error
		s.Windows, err = daemon.ParseWindows([]string{"22:00-00:01"}, "UTC")
		must(t, err)
		return s
	}, func(t *testing.T, r *rig) {
		after(30 * time.Second)
		id := r.pull("demo")
		after(31 * time.Second)
		r.wantState(id, store.Running)
		after(time.Hour)
		r.wantState(id, store.Complete)
	})
}

func TestReload(t *testing.T) {
	scene(t, daily, func(t *testing.T, r *rig) {
		r.library.publish(ref(t, "notes@1.0"), map[string]string{"a": "a"})
		after(time.Minute)
		id := r.dataset("demo").Pass.ID

		good := r.settings
		r.settings.BWLimit = "much"
		if _, err := r.Reload(t.Context()); !errors.Is(err, daemon.ErrBadSettings) || !strings.Contains(err.Error(), "much") {
			t.Errorf("Reload of a bad limit = %v", err)
		}
		r.settings = good
		r.settings.Datasets = append(good.Datasets, good.Datasets[0]) // the same one twice is the point
		if _, err := r.Reload(t.Context()); !errors.Is(err, daemon.ErrBadSettings) || !strings.Contains(err.Error(), "demo") {
			t.Errorf("Reload of a dataset twice = %v", err)
		}
		r.wantState(id, store.Running)

		r.settings = good
		r.settings.BWLimit = "2M"
		r.settings.Datasets = []daemon.Dataset{{Ref: ref(t, "notes"), Schedule: schedule(t, "0 3 * * *")}}
		_, err := r.Reload(t.Context())
		must(t, err)
		r.wantState(id, store.Interrupted)
		after(time.Second)
		r.want("notes", daemon.Idle)
		r.has("notes/1.0/a", "a")
		s := r.dataset("demo")
		if s.Condition != daemon.Idle || s.Scheduled || s.Files == 0 || s.Last == nil {
			t.Errorf("what the configuration no longer has: %+v", s)
		}
		if s := r.Status(); s.BytesLimit != 2<<20 || s.BWLimit != "2M" {
			t.Errorf("the limit is %q, %d", s.BWLimit, s.BytesLimit)
		}
		must(t, r.SetBWLimit("off"))
		if s := r.Status(); s.BytesLimit != 0 {
			t.Errorf("the limit is %d after off", s.BytesLimit)
		}
		if err := r.SetBWLimit("so much"); err == nil {
			t.Error("SetBWLimit took nonsense")
		}
	})
}

// Verify finds what is wrong in all versions; with repair it is fetched again.
func TestVerifyAndRepair(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		r.library.slow(0)
		r.pull("demo")
		after(time.Second)
		files := large()
		files["new.csv"] = "new"
		r.library.publish(ref(t, "demo@2.0"), files)
		r.pull("demo")
		after(time.Second)
		must(t, os.Remove(r.path("demo/1.0/03.dat")))
		must(t, os.Remove(r.path("demo/2.0/new.csv")))
		must(t, os.WriteFile(r.path("demo/2.0/new.csv"), []byte("old"), 0o600))
		r.wantEvents("complete demo", "complete demo")

		id, err := r.Verify(ref(t, "demo"), false)
		must(t, err)
		after(time.Second)
		p := r.pass(id)
		if v := p.Verification; v == nil || v.Total != 81 || v.Wrong != 1 || v.Missing != 1 || p.State != store.Incomplete || p.Report != nil {
			t.Errorf("the verification: %+v of %+v", v, p)
		}
		r.wantEvents("rot demo")
		history, err := r.History("", 2)
		must(t, err)
		for _, h := range history {
			if h.Kind != daemon.VerifyPass || h.State != store.Incomplete || len(h.Failures) != 1 {
				t.Errorf("the history has %+v, want a verification of each version", h)
			}
		}

		id, err = r.Verify(ref(t, "demo"), true)
		must(t, err)
		after(time.Second)
		if p := r.pass(id); p.State != store.Complete || p.Verification == nil {
			t.Errorf("the repair: %+v", p)
		}
		r.has("demo/2.0/new.csv", "new")
		r.has("demo/1.0/03.dat", files["03.dat"])
	})
}

// Watchers see changes soon, and about once a second while a pass runs; nobody
// waits for one that is slow.
func TestWatch(t *testing.T) {
	scene(t, nil, func(t *testing.T, r *rig) {
		changed, stop := r.Watch()
		_, stopSlow := r.Watch()
		defer stopSlow()
		ctx, cancel := context.WithCancel(t.Context())
		counted := make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-changed:
					n++
				case <-ctx.Done():
					counted <- n
					return
				}
			}
		}()
		after(time.Hour)
		r.pull("demo")
		after(20 * time.Second)
		cancel()
		if n := <-counted; n < 15 || n > 30 {
			t.Errorf("a watcher heard of %d changes in an idle hour and 20 s of a pass", n)
		}
		stop()
	})
}
