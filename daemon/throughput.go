package daemon

import (
	"maps"
	"slices"
	"time"
)

// Steps of the chart of the last hour.
const (
	hourStep  = 10 * time.Second
	hourSteps = 360
	shownDays = 30
)

// traffic counts received bytes.
type traffic struct {
	hour    [hourSteps]int64 // bytes per step of the wall clock, at its number modulo hourSteps
	newest  int64            // number of the last counted step
	days    map[string]int64 // bytes per day, written like time.DateOnly
	changed bool             // days differs from the store
	unsaved bool             // and should be saved now
	saved   time.Time
}

// add counts bytes.
func (t *traffic) add(now time.Time, n int64) {
	t.turn(now)
	if n == 0 {
		return
	}
	t.hour[t.newest%hourSteps] += n
	t.days[now.Local().Format(time.DateOnly)] += n
	for len(t.days) > shownDays {
		delete(t.days, slices.Min(slices.Collect(maps.Keys(t.days))))
	}
	t.changed = true
}

// turn clears the steps since the last one. If the clock was set back by less than an hour,
// it continues in the newest step until the clock gets there.
func (t *traffic) turn(now time.Time) {
	step := now.Unix() / int64(hourStep/time.Second)
	if step <= t.newest-hourSteps || step >= t.newest+hourSteps {
		t.hour, t.newest = [hourSteps]int64{}, step
	}
	for t.newest < step {
		t.newest++
		t.hour[t.newest%hourSteps] = 0
	}
}

// Throughput returns the bytes received over the last hour, in steps of ten seconds, and in
// the last 30 days, by local date.
func (d *Daemon) Throughput() (hour, days []Sample) {
	now := time.Now().Round(0)
	d.mu.Lock()
	defer d.mu.Unlock()
	t := &d.traffic
	t.turn(now)
	for step := t.newest - hourSteps + 1; step <= t.newest; step++ {
		at := time.Unix(step*int64(hourStep/time.Second), 0)
		hour = append(hour, Sample{At: at, Bytes: t.hour[step%hourSteps]})
	}
	year, month, today := now.Local().Date()
	for back := shownDays - 1; back >= 0; back-- {
		at := time.Date(year, month, today-back, 0, 0, 0, 0, time.Local)
		days = append(days, Sample{At: at, Bytes: t.days[at.Format(time.DateOnly)]})
	}
	return hour, days
}

// samples give the rate of a pass over the last seconds.
type samples struct {
	counted int64 // of Progress.Fetched, in traffic
	at      []time.Time
	bytes   []int64
}

// sampled is the period that a rate describes.
const sampled = 10 * time.Second

func (s *samples) add(now time.Time, fetched int64) {
	switch n := len(s.at); {
	case n > 0 && now.Before(s.at[n-1]): // the clock was set back
		s.at, s.bytes = nil, nil
	case n > 0 && now.Sub(s.at[n-1]) < time.Second/2:
		return
	}
	s.at, s.bytes = append(s.at, now), append(s.bytes, fetched)
	for len(s.at) > 2 && now.Sub(s.at[1]) >= sampled {
		s.at, s.bytes = s.at[1:], s.bytes[1:]
	}
}

// rate is bytes per second, over the last ten seconds.
func (s *samples) rate() int64 {
	n := len(s.at)
	if n < 2 || !s.at[n-1].After(s.at[0]) {
		return 0
	}
	return int64(float64(s.bytes[n-1]-s.bytes[0]) / s.at[n-1].Sub(s.at[0]).Seconds())
}

// measure notes what the passes have received. The caller holds mu.
func (d *Daemon) measure(now time.Time) {
	running := false
	for _, s := range d.datasets {
		p := s.running
		if p == nil {
			continue
		}
		running = true
		fetched := p.progress.Fetched.Load()
		d.traffic.add(now, fetched-p.samples.counted)
		p.samples.counted = fetched
		p.samples.add(now, fetched)
	}
	if running {
		d.change()
	}
}

// saveTrafficNowAndThen saves the days at most once a minute, and when a pass has ended.
func (d *Daemon) saveTrafficNowAndThen(now time.Time) error {
	d.mu.Lock()
	due := d.traffic.unsaved || now.Sub(d.traffic.saved).Abs() >= time.Minute
	d.mu.Unlock()
	if !due {
		return nil
	}
	return d.saveTraffic()
}

// saveTraffic saves the days if they have changed.
func (d *Daemon) saveTraffic() error {
	d.mu.Lock()
	changed, days := d.traffic.changed, maps.Clone(d.traffic.days)
	d.traffic.changed, d.traffic.unsaved, d.traffic.saved = false, false, time.Now().Round(0)
	d.mu.Unlock()
	if !changed {
		return nil
	}
	err := d.o.Syncer.Store.PutReceived(days)
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.traffic.changed = true
	}
	return err
}
