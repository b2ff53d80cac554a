package daemon_test

import (
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/failure"
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

// A dataset that is too large for the disk is not begun, and keeps no other from its
// refresh. When there is room for it, it comes.
func TestADatasetThatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		l.publish(ref(t, "demo@1.0"), large())
		l.publish(ref(t, "notes@1.0"), numbered("notes", 10, "first"))
		large := ref(t, "demo@1.0")
		l.befall(func(of manifest.Ref) error {
			if of == large { // as a pass finds that knows the sizes
				return &failure.SpaceError{Need: 1 << 40, Free: 1 << 30}
			}
			return nil
		})
		s := daily(t)
		s.Datasets[0].Schedule = schedule(t, "0 3 1 * *")
		s.Datasets = append(s.Datasets, daemon.Dataset{Ref: ref(t, "notes"), Schedule: schedule(t, "0 4 * * *")})
		r := newRig(t, l, s)
		r.free.Store(1 << 30)
		r.start()
		r.until("03 12:00")
		r.want("demo", daemon.NoSpace)
		r.want("notes", daemon.Idle)
		r.wantEvents("complete notes", "no_space demo")
		r.wantAsked("01 00:00 demo@1.0", "01 00:00 notes@1.0", "01 03:00 demo@1.0", "01 04:00 notes@1.0", "02 04:00 notes@1.0", "03 04:00 notes@1.0")
		must(t, r.Ready())
		l.befall(nil)
		r.free.Store(2 << 40)
		after(2 * time.Minute)
		r.want("demo", daemon.Idle)
		r.wantEvents("complete demo", "recovery demo")
		r.stop()
	})
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
