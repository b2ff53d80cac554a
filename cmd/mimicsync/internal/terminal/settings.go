package terminal

import (
	"slices"
	"strings"
	"time"

	"mimicsync/daemon"
)

// Settings prints what a daemon will do.
func (u *UI) Settings(s daemon.Settings, mirror string, windows []string) {
	now := time.Now()
	when := func(schedule *daemon.Schedule) string {
		if schedule == nil {
			return "on request only"
		}
		return schedule.Next(now).Format("Mon 2006-01-02 15:04 MST")
	}
	u.Printf("mirror    %s\n", mirror)
	if len(s.Datasets) == 0 {
		u.Printf("datasets  none\n")
	}
	for _, d := range s.Datasets {
		u.Printf("dataset   %-24s next refresh: %s\n", d.Ref, when(d.Schedule))
	}
	open, changes := s.Windows.Open(now)
	if slices.ContainsFunc(s.Datasets, func(d daemon.Dataset) bool { return d.Schedule != nil }) {
		begins := "immediately"
		if !open {
			begins = "when the window opens"
		}
		u.Printf("first     datasets without a refresh so far start %s\n", begins)
	}
	u.Printf("scrub     %s\n", when(s.Scrub.Schedule))
	switch {
	case changes.IsZero():
		u.Printf("windows   always\n")
	case open:
		u.Printf("windows   %s; open until %s\n", strings.Join(windows, ", "), changes.Format("Mon 15:04 MST"))
	default:
		u.Printf("windows   %s; closed until %s\n", strings.Join(windows, ", "), changes.Format("Mon 15:04 MST"))
	}
}
