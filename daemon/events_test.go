package daemon_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/daemon/notify"
)

// slow is a notifier that takes its time, as a hook that imports what came.
type slow struct {
	name  string
	takes time.Duration
	kinds []notify.Kind // all if empty

	mu    sync.Mutex
	diary []string // as "begins demo", "ends demo", "cut off demo: why"
}

func (n *slow) Name() string             { return n.name }
func (n *slow) Wants(k notify.Kind) bool { return len(n.kinds) == 0 || slices.Contains(n.kinds, k) }

func (n *slow) Notify(ctx context.Context, e notify.Event) error {
	n.note("begins " + e.Dataset)
	select {
	case <-time.After(n.takes):
		n.note("ends " + e.Dataset)
		return nil
	case <-ctx.Done():
		n.note("cut off " + e.Dataset + ": " + context.Cause(ctx).Error())
		return ctx.Err()
	}
}

func (n *slow) note(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.diary = append(n.diary, line)
}

// wantDiary fails the test unless just this has happened since the last call.
func (n *slow) wantDiary(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.diary, want) {
		t.Errorf("%s: the diary of %s is %q, want %q", time.Now().Format(time.TimeOnly), n.name, n.diary, want)
	}
	n.diary = nil
}

// imports is a scene with datasets that come in no time, and notifiers before the
// inbox.
func imports(t *testing.T, story func(*testing.T, *rig), notifiers ...notify.Notifier) {
	scene(t, func(*testing.T) daemon.Settings { return daemon.Settings{Notifiers: notifiers} }, func(t *testing.T, r *rig) {
		r.library.slow(0)
		for _, name := range []string{"one", "two", "three"} {
			r.library.publish(ref(t, name+"@1.0"), numbered(name, 3, "first"))
		}
		story(t, r)
	})
}

// A hook imports for an hour what came. All others hear at once of what happens
// meanwhile, and the hook hears of it in order, one by one.
func TestASlowHookKeepsNobodyElseWaiting(t *testing.T) {
	hook := &slow{name: "hook import", takes: time.Hour}
	imports(t, func(t *testing.T, r *rig) {
		for _, name := range []string{"one", "two", "three"} {
			r.pull(name)
			after(time.Second)
			r.wantEvents("complete " + name)
		}
		hook.wantDiary(t, "begins one")
		after(4 * time.Hour)
		hook.wantDiary(t, "ends one", "begins two", "ends two", "begins three", "ends three")
	}, hook)
}

// The daemon is stopped while a hook runs and another event waits for it: both
// have five seconds together.
func TestTheEndWaitsForNoHook(t *testing.T) {
	hook := &slow{name: "hook import", takes: time.Hour}
	imports(t, func(t *testing.T, r *rig) {
		r.pull("one")
		after(time.Second)
		r.pull("two")
		after(time.Second)
		hook.wantDiary(t, "begins one")
		asked := time.Now()
		r.stop()
		if took := time.Since(asked); took > 6*time.Second {
			t.Errorf("the daemon ended after %s", took)
		}
		hook.wantDiary(t, "cut off one: the daemon stopped", "begins two", "cut off two: the daemon stopped")
		r.start()
	}, hook)
}

// What takes less than that comes to its end.
func TestLastWordsAreHeard(t *testing.T) {
	hook := &slow{name: "webhook", takes: 2 * time.Second}
	imports(t, func(t *testing.T, r *rig) {
		r.pull("one")
		after(time.Second)
		r.pull("two")
		after(time.Second)
		asked := time.Now()
		r.stop()
		if took := time.Since(asked); took > 4*time.Second {
			t.Errorf("the daemon ended after %s", took)
		}
		hook.wantDiary(t, "begins one", "ends one", "begins two", "ends two")
		r.start()
	}, hook)
}

// A reload while a hook runs: there are not two of it at a time, what waits goes
// to the one that the configuration has by then, and to nobody if there is none.
func TestAReloadWhileAHookRuns(t *testing.T) {
	before := &slow{name: "hook python3", takes: time.Hour}
	imports(t, func(t *testing.T, r *rig) {
		for _, name := range []string{"one", "two"} {
			r.pull(name)
			after(time.Second)
		}
		patient, other := &slow{name: "hook python3", takes: time.Hour}, &slow{name: "hook python3", takes: time.Minute}
		r.settings.Notifiers = []notify.Notifier{patient, other, r.inbox}
		_, err := r.Reload(t.Context())
		must(t, err)
		r.pull("three")
		after(time.Second)
		patient.wantDiary(t)
		other.wantDiary(t, "begins three")
		after(time.Hour)
		before.wantDiary(t, "begins one", "ends one")
		patient.wantDiary(t, "begins two")

		failures := &slow{name: "hook python3", takes: time.Hour, kinds: []notify.Kind{notify.Failure}}
		r.settings.Notifiers = []notify.Notifier{failures, r.inbox}
		_, err = r.Reload(t.Context())
		must(t, err)
		after(2 * time.Hour)
		patient.wantDiary(t, "ends two")
		failures.wantDiary(t)
		r.wantEvents("complete one", "complete two", "complete three")
	}, before)
}

// A hook hangs for hours while much happens. What waits for it does not grow
// without an end: it misses the oldest.
func TestWhatWaitsForAHookIsBounded(t *testing.T) {
	hook := &slow{name: "hook import", takes: time.Hour}
	imports(t, func(t *testing.T, r *rig) {
		for i := range 150 {
			r.Tell(notify.Event{Kind: notify.Complete, Dataset: strconv.Itoa(i)})
			synctest.Wait()
		}
		if told := len(r.inbox.take()); told != 150 {
			t.Errorf("the others were told %d times, want 150", told)
		}
		hook.wantDiary(t, "begins 0")
		after(time.Hour + time.Second)
		hook.wantDiary(t, "ends 0", "begins 50")
		asked := time.Now()
		r.stop()
		if took := time.Since(asked); took > 6*time.Second {
			t.Errorf("the daemon ended after %s", took)
		}
		if n := len(hook.diary); n != 199 || hook.diary[197] != "begins 149" {
			t.Errorf("%d lines are in its diary, want 199", n)
		}
		r.start()
	}, hook)
}
