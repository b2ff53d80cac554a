package pace

import "time"

// Recent is the rate of the last few requests to a host. Long requests count more: they
// show what a connection delivers in the long run, and whether the line became slow. A nil
// Recent knows of no request. Not safe for concurrent use.
type Recent struct {
	last [5]struct {
		bytes int64
		took  time.Duration
	}
	n int
}

// Add adds a request that succeeded, with how many bytes it brought in what time.
func (r *Recent) Add(bytes int64, took time.Duration) {
	last := &r.last[r.n%len(r.last)]
	last.bytes, last.took = bytes, took
	r.n++
}

// PerSecond returns the bytes per second of all of them together; known is false if there
// were fewer than least.
func (r *Recent) PerSecond(least int) (rate float64, known bool) {
	if r == nil || r.n < least {
		return 0, false
	}
	var bytes int64
	var took time.Duration
	for _, last := range r.last {
		bytes, took = bytes+last.bytes, took+last.took
	}
	return float64(bytes) / took.Seconds(), true
}
