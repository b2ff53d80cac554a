package downloader

import (
	"context"
	"os"
	"time"

	"golang.org/x/time/rate"

	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

// ScrubOptions say what Scrub reads, how fast, and what it does with wrong files.
type ScrubOptions struct {
	Rate int64 // bytes per second, all files together; 0: no limit
	// Before is when a cycle began. Files verified since are skipped, so that a scrub that
	// ended early continues when it is called again with the same time. Zero: read all.
	Before time.Time
	// Keep leaves wrong files in place, as Verify does.
	Keep bool
}

// Scrub is Verify for a long-lived mirror: it can be slow, and continues where it ended. It
// moves wrong files that have a record to quarantine, so that nobody reads them and the
// next pass fetches them, unless o.Keep is set.
func (s *Syncer) Scrub(ctx context.Context, ref manifest.Ref, o ScrubOptions, progress *progress.Progress) (*report.Verification, error) {
	return s.reread(ctx, ref, manifest.Selection{}, o, progress)
}

// throttle limits the rate of reads, and keeps the files out of the page cache. A nil
// throttle does neither. Safe for concurrent use.
type throttle struct{ limiter *rate.Limiter }

// uncacheEvery is how much of a file may stay in the page cache.
const uncacheEvery = 8 << 20

// newThrottle allows reads of up to most bytes.
func newThrottle(perSecond int64, most int) *throttle {
	if perSecond == 0 {
		return nil
	}
	burst := max(most, int(pace.Turn.Seconds()*float64(perSecond)))
	return &throttle{rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// read waits until the n bytes just read, up to offset at, are allowed, or ctx ends. At the
// end of the file n is 0.
func (t *throttle) read(ctx context.Context, f *os.File, at int64, n int) {
	if t == nil {
		return
	}
	if n == 0 || at/uncacheEvery > (at-int64(n))/uncacheEvery {
		durable.Uncache(f, at)
	}
	if n == 0 {
		return
	}
	// Not WaitN: it fails immediately if the deadline of ctx comes before its turn.
	timer := time.NewTimer(t.limiter.ReserveN(time.Now(), n).Delay())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
