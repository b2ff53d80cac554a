package terminal

import (
	"time"

	"mimicsync/downloader/progress"
)

const (
	rateWindow = 10 * time.Second // over which rates are measured
	rateLeast  = time.Second      // of time, before which a rate says nothing
)

// rates measures how fast a pass has been over the last ten seconds.
type rates struct {
	p       *progress.Progress
	samples []sample
}

// sample is how far a pass was at a time.
type sample struct {
	at    time.Time
	bytes int64 // fetched, or read for verification
	files int64
}

// note takes a sample. Call it a few times a second; it keeps one per half second.
func (r *rates) note(now time.Time) {
	if n := len(r.samples); n > 0 && now.Sub(r.samples[n-1].at) < rateWindow/20 {
		return
	}
	r.samples = append(r.samples, r.sample(now))
	for len(r.samples) > 1 && now.Sub(r.samples[1].at) >= rateWindow {
		r.samples = r.samples[1:]
	}
}

func (r *rates) sample(now time.Time) sample {
	return sample{now, r.p.Fetched.Load() + r.p.Examined.Load(), r.p.Done.Load()}
}

// now returns bytes and files per second, and whether they are known.
func (r *rates) now(now time.Time) (bytes, files float64, known bool) {
	if len(r.samples) == 0 || now.Sub(r.samples[0].at) < rateLeast {
		return 0, 0, false
	}
	from, to := r.samples[0], r.sample(now)
	s := to.at.Sub(from.at).Seconds()
	return float64(to.bytes-from.bytes) / s, float64(to.files-from.files) / s, true
}

// restart forgets the samples, when a new phase begins.
func (r *rates) restart() { r.samples = r.samples[:0] }

// advanceOf returns how far the pass has come.
func (r *rates) advanceOf(title string, now time.Time) advance {
	p := r.p
	a := advance{
		hasVersion: HasVersion(title), total: p.Total.Load(), done: p.Done.Load(), fetched: p.Fetched.Load(), expected: p.Expected.Load(),
		rate: -1, retries: p.Retries.Load(), failed: p.Failed.Load(),
	}
	if bytes, files, known := r.now(now); known {
		a.rate, a.left = int64(bytes), timeLeft(a.expected-a.fetched, bytes, a.total-a.done, files)
	}
	return a
}

// timeLeft is based on bytes if it is known how many are left, otherwise on files.
func timeLeft(bytes int64, rate float64, files int64, fileRate float64) time.Duration {
	switch {
	case bytes > 0 && rate > 0:
		return time.Duration(float64(bytes) / rate * float64(time.Second))
	case files > 0 && fileRate > 0:
		return time.Duration(float64(files) / fileRate * float64(time.Second))
	}
	return 0
}
