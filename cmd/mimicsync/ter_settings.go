package main

import (
	"slices"
	"strings"
	"time"

	"mimicsync/daemon"
)

// settings tells what a daemon will do.
func (u *ui) settings(s daemon.Settings, mirror string, windows []string) {
	now := time.Now()
	when := func(schedule *daemon.Schedule) string {
		if schedule == nil {
			return "only when asked"
		}
		return schedule.Next(now).Format("Mon 2006-01-02 15:04 MST")
	}
	u.print("mirror    %s\n", mirror)
	if len(s.Datasets) == 0 {
		u.print("datasets  none that the daemon keeps fresh\n")
	}
	for _, d := range s.Datasets {
		u.print("dataset   %-24s next refresh: %s\n", d.Ref, when(d.Schedule))
	}
	open, changes := s.Windows.Open(now)
	if slices.ContainsFunc(s.Datasets, func(d daemon.Dataset) bool { return d.Schedule != nil }) {
		begins := "at once"
		if !open {
			begins = "as soon as the window opens"
		}
		u.print("first     what the daemon has not refreshed yet begins %s\n", begins)
	}
	u.print("scrub     %s\n", when(s.Scrub.Schedule))
	switch {
	case changes.IsZero():
		u.print("windows   always\n")
	case open:
		u.print("windows   %s; open until %s\n", strings.Join(windows, ", "), changes.Format("Mon 15:04 MST"))
	default:
		u.print("windows   %s; closed until %s\n", strings.Join(windows, ", "), changes.Format("Mon 15:04 MST"))
	}
}
