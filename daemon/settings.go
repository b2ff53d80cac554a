package daemon

import (
	"time"

	"mimicsync/daemon/notify"
	"mimicsync/manifest"
)

// Settings are what a person decides, and may change while the daemon runs.
type Settings struct {
	Datasets []Dataset // one a name
	Windows  Windows   // when passes may run; always if empty
	BWLimit  string    // as downloader.ParseTimetable reads it; empty for no limit
	// MaxDuration is how long a pass that fetches may take; 0: as long as it takes.
	MaxDuration time.Duration
	Scrub       Scrub
	// Notifiers hear of every Event: hooks, webhooks, mail.
	Notifiers []notify.Notifier
}

// Dataset is one that the daemon looks after.
type Dataset struct {
	Ref       manifest.Ref // without a version, it follows the newest
	Sources   []string     // names in order of preference; all of the Syncer's if empty
	Selection manifest.Selection
	Schedule  *Schedule // of refreshes; nil: only when asked
	KeepOld   int       // how many old versions Prune leaves
}

// Scrub is how the mirror is read again and compared with its manifests.
type Scrub struct {
	Schedule *Schedule     // nil: only when asked
	Rate     int64         // bytes a second, 0 for no limit
	MaxAge   time.Duration // files verified within this time are not read again; 0: all are read
}
