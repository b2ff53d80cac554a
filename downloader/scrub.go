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

// ScrubOptions say what Scrub reads, how fast, and what becomes of a wrong file.
type ScrubOptions struct {
	Rate int64 // bytes a second, of all files together; 0 for no limit
	// Before is when a cycle began: files that were verified since are not read
	// again, so that a scrub which ended early goes on when it is called again with
	// the same time. Zero: all are read.
	Before time.Time
	// Keep leaves wrong files where they are, as Verify does.
	Keep bool
}

// Scrub is Verify for a mirror that is kept for years: it can be slow, and goes on
// where it ended. It moves a wrong file that it has a record of to quarantine, so
// that nobody reads it and the next pass fetches it, unless o.Keep is set.
func (s *Syncer) Scrub(ctx context.Context, ref manifest.Ref, o ScrubOptions, progress *progress.Progress) (*report.Verification, error) {
	return s.reread(ctx, ref, manifest.Selection{}, o, progress)
}

// throttle bounds the rate at which files are read, and keeps them from filling
// the page cache. A nil one does neither. Safe for concurrent use.
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

// read waits until the n bytes that were read of a file, up to its byte at, are
// allowed, or ctx ends. At its end, n is 0.
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
	// Not WaitN: it fails at once where ctx will have ended before its turn.
	timer := time.NewTimer(t.limiter.ReserveN(time.Now(), n).Delay())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
