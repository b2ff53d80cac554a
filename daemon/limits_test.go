package daemon_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader"
	"mimicsync/downloader/cost"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/manifest"
	"mimicsync/store"
)

const day = 24 * time.Hour

// other are files of the same sizes as those of large.
func other() map[string]string {
	files := large()
	for name, text := range files {
		files[name] = "x" + text[1:]
	}
	return files
}

// limited is a story about a daemon whose passes have a limit.
func limited(t *testing.T, settings func(*testing.T) daemon.Settings, adjust func(*rig, *downloader.Options), story func(*testing.T, *rig)) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		l.publish(ref(t, "demo@1.0"), large())
		l.slow(200)
		r := newRig(t, l, settings(t))
		r.adjust = func(o *downloader.Options) { adjust(r, o) }
		r.start()
		story(t, r)
		r.stop()
	})
}

// Each refresh ends at the limit on bytes, in good order, and the next one goes on
// until all is here. Nobody is told but of the end: it is as a person wanted it.
func TestEachRefreshKeepsToMaxTransfer(t *testing.T) {
	const limit = 150_000
	each := func(_ *rig, o *downloader.Options) { o.MaxTransfer, o.LimitEachPass = limit, true }
	limited(t, daily, each, func(t *testing.T, r *rig) {
		var total int64
		for range 2 { // at midnight, for it is due, and at three
			after(2 * time.Hour)
			r.want("demo", daemon.Limited)
			s := r.dataset("demo")
			if s.Why != "the limit is reached: 150 kB fetched" || s.Complete || s.Last.State != store.Incomplete || time.Until(s.Next) > day {
				t.Errorf("the dataset: %+v", s)
			}
			got := r.library.served()
			if got < limit || got > limit+4*200 {
				t.Errorf("a refresh fetched %d bytes, want %d and one read of each connection", got, limit)
			}
			total += got
		}
		r.wantEvents()
		r.stop()
		r.start()
		r.want("demo", daemon.Limited)
		after(day)
		r.want("demo", daemon.Idle)
		if total += r.library.served(); total != 400_000 {
			t.Errorf("%d bytes were fetched in all, want each once: 400000", total)
		}
		r.wantEvents("complete demo")

		// What a person asks for has the same limit.
		r.library.publish(ref(t, "more@1.0"), other())
		id := r.pull("more")
		after(time.Hour)
		r.wantState(id, store.Incomplete)
	})
}

// A limit on time ends a refresh, but not a verification; a reload changes it.
func TestEachRefreshKeepsToMaxDuration(t *testing.T) {
	settings := func(t *testing.T) daemon.Settings {
		s := daily(t)
		s.MaxDuration = 4 * time.Minute
		return s
	}
	limited(t, settings, func(*rig, *downloader.Options) {}, func(t *testing.T, r *rig) {
		after(5 * time.Minute)
		r.want("demo", daemon.Limited)
		if s := r.dataset("demo"); s.Why != "the limit is reached: 4m0s have passed" || s.Last.Elapsed != 240 || s.Files == 0 {
			t.Errorf("the dataset: %+v", s)
		}
		r.settings.MaxDuration = 0
		_, err := r.Reload(t.Context())
		must(t, err)
		after(day)
		r.want("demo", daemon.Idle)
		r.wantEvents("complete demo")
	})
}

// cloud is a library that its readers pay for: a cent for a file of 10 kB.
type cloud struct{ *library }

func (cloud) Name() string { return "cloud" }

func (c cloud) budgeted() host.Source {
	return host.Source{Source: c, Budget: pace.NewBudget(1), Price: func(manifest.Ref) cost.Price {
		return cost.Price{PerGB: 1000e6}
	}}
}

// paid is a daemon that has a cloud, and may spend ten cents a pass.
func paid(t *testing.T, sources []string, story func(t *testing.T, r *rig, c cloud)) {
	settings := func(t *testing.T) daemon.Settings {
		s := daily(t)
		some, err := manifest.NewSelection([]string{"*.dat"}, nil) // of which nobody knows the size beforehand
		must(t, err)
		s.Datasets[0].Sources, s.Datasets[0].Selection = sources, some
		return s
	}
	c := cloud{newLibrary()}
	c.publish(ref(t, "demo@1.0"), large())
	limited(t, settings, func(r *rig, o *downloader.Options) {
		cents := cost.Money(100_000)
		o.Sources = append([]host.Source{c.budgeted()}, o.Sources...)
		o.Authority = &o.Sources[1]
		o.MaxCost, o.LimitEachPass = &cents, true
	}, func(t *testing.T, r *rig) { story(t, r, c) })
}

// Each refresh spends what it may, and takes the rest from the source that costs
// nothing.
func TestEachRefreshKeepsToMaxCost(t *testing.T) {
	paid(t, []string{"cloud", "library"}, func(t *testing.T, r *rig, c cloud) {
		for _, version := range []string{"1.0", "1.1"} {
			if version == "1.1" {
				c.publish(ref(t, "demo@1.1"), other())
				r.library.publish(ref(t, "demo@1.1"), other())
			}
			after(day)
			r.want("demo", daemon.Idle)
			spent, free := c.served(), r.library.served()
			if spent < 100_000 || spent > 140_000 || spent+free != 400_000 {
				t.Errorf("%s: %d bytes that cost and %d that do not, want 100000 or a bit more of 400000", version, spent, free)
			}
			r.wantEvents("complete demo")
		}
	})
}

// Where there is no other source the refresh ends, a person is told once that the
// money is spent, and the next one goes on.
func TestARefreshEndsWhenTheMoneyIsSpent(t *testing.T) {
	paid(t, []string{"cloud"}, func(t *testing.T, r *rig, c cloud) {
		var total int64
		for i := range 3 { // at midnight, for it is due, and at three
			after([]time.Duration{time.Hour, 3 * time.Hour, day}[i])
			r.want("demo", daemon.Parked)
			if s := r.dataset("demo"); s.Why != "the limit is reached: $0.10 spent at cloud" || s.Last.State != store.Incomplete {
				t.Errorf("the dataset: %+v", s)
			}
			total += c.served()
			if want := int64(i+1) * 100_000; total < want || total > want+want/3 {
				t.Errorf("%d refreshes fetched %d bytes, want %d or a bit more", i+1, total, want)
			}
		}
		r.wantEvents("parked demo")
		after(day)
		r.want("demo", daemon.Idle)
		r.wantEvents("recovery demo", "complete demo")
	})
}
