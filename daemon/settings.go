package daemon

import (
	"time"

	"mimicsync/daemon/notify"
	"mimicsync/manifest"
)

// Settings are what people configure, and may change while the daemon runs.
type Settings struct {
	Datasets []Dataset // one per name
	Windows  Windows   // when passes may run; always if empty
	BWLimit  string    // as downloader.ParseTimetable reads it; empty for no limit
	// MaxDuration limits the time of a pass that fetches; 0: no limit.
	MaxDuration time.Duration
	Scrub       Scrub
	// Notifiers receive every Event: hooks, webhooks, mail.
	Notifiers []notify.Notifier
}

// Dataset is a configured dataset.
type Dataset struct {
	Ref       manifest.Ref // without a version, it follows the newest
	Sources   []string     // names in order of preference; all of the Syncer's if empty
	Selection manifest.Selection
	Schedule  *Schedule // of refreshes; nil: only on request
	KeepOld   int       // how many old versions Prune keeps
}

// Scrub says how the mirror is read again and compared with its manifests.
type Scrub struct {
	Schedule *Schedule     // nil: only on request
	Rate     int64         // bytes per second, 0 for no limit
	MaxAge   time.Duration // skip files verified within this time; 0: read all
}
