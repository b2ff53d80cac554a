package daemon_test

import (
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A quota is used up, and the disk says that it has room: the daemon finds out by
// trying now and then, also for what a person asked for, and then goes on.
func TestAQuotaIsAskedNowAndThen(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings func(*testing.T) daemon.Settings
	}{
		{"a refresh", daily},
		{"a pull", func(*testing.T) daemon.Settings { return daemon.Settings{} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLibrary()
				l.publish(ref(t, "demo@1.0"), large())
				var tries atomic.Int64
				l.befall(func(manifest.Ref) error { tries.Add(1); return syscall.EDQUOT })
				r := newRig(t, l, test.settings(t))
				r.start()
				if len(r.settings.Datasets) == 0 {
					r.pull("demo@1.0")
				}
				after(12 * time.Hour)
				r.want("demo", daemon.NoSpace)
				r.wantEvents("no_space demo")
				if n := tries.Load(); n < 5 || n > 20 {
					t.Errorf("it was tried %d times in half a day, want a few", n)
				}
				l.befall(nil)
				after(3 * time.Hour)
				r.want("demo", daemon.Idle)
				r.has("demo/1.0/07.dat", large()["07.dat"])
				r.stop()
			})
		})
	}
}

// The clock was wrong by a year when trouble began, and is set right: people hear
// of the trouble all the same.
func TestTroubleUnderAClockThatIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		l.publish(ref(t, "demo@1.0"), large())
		r := newRig(t, l, daily(t))
		r.start()
		after(time.Hour)
		r.stop()
		r.wantEvents("complete demo")
		place, err := store.Locate(r.dir, "")
		must(t, err)
		state, err := store.Open(place, "test")
		must(t, err)
		agendas, err := state.Agendas()
		must(t, err)
		a := agendas["demo"]
		a.Trouble = &store.Trouble{Condition: string(daemon.Failing), Why: "no route to host", Since: time.Now().Add(365 * 24 * time.Hour)}
		must(t, state.PutAgendas(map[string]store.Agenda{"demo": a}))
		must(t, state.Close())
		l.befall(func(manifest.Ref) error { return syscall.EHOSTUNREACH })
		r.start()
		after(24 * time.Hour)
		r.wantEvents("failure demo")
		r.stop()
	})
}
