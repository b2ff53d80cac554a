package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/daemon"
)

// statusInterval is how often the service manager is told the status.
const statusInterval = 10 * time.Second

// supervisor is the service manager that started the process, if it wants to hear from it:
// systemd, for a unit with Type=notify, see sd_notify(3). Without one, its methods do
// nothing.
type supervisor struct{ logger *slog.Logger }

// ready says that the daemon is ready; it may be called again with another status.
func (s supervisor) ready(status string) { s.tell(sd.SdNotifyReady, "STATUS="+status) }

func (s supervisor) status(status string) { s.tell("STATUS=" + status) }

// reloading is followed by ready.
func (s supervisor) reloading() {
	s.tell(sd.SdNotifyReloading, strings.TrimSpace(sd.SdNotifyMonotonicUsec()))
}

func (s supervisor) stopping() { s.tell(sd.SdNotifyStopping, "STATUS=saving") }

func (s supervisor) tell(lines ...string) {
	if _, err := sd.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		s.logger.Warn("cannot tell the service manager", "err", err)
	}
}

// watch reports the status regularly, and tells the watchdog that the process is well,
// until ctx ends. The watchdog restarts a process that isn't well or whose status doesn't
// return.
func (s supervisor) watch(ctx context.Context, status func() (line string, well bool)) {
	interval := statusInterval
	limit, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		s.logger.WarnContext(ctx, "cannot serve the watchdog", "err", err)
	}
	if limit > 0 {
		interval = min(interval, limit/2)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		line, well := status()
		if well && limit > 0 {
			s.tell(sd.SdNotifyWatchdog, "STATUS="+line)
		} else {
			s.status(line)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// statusLine is a daemon's status in one line, like "2 datasets; mimic-cxr 61% at 41 MB/s".
func statusLine(s daemon.Status) string {
	parts := []string{words.Count(int64(len(s.Datasets)), "dataset")}
	if s.Paused {
		parts = append(parts, "paused")
	}
	if !s.Window.Open {
		parts = append(parts, "outside the run window")
	}
	for _, d := range s.Datasets {
		switch {
		case d.Pass != nil:
			parts = append(parts, passLine(d))
		case d.Condition == daemon.Parked, d.Condition == daemon.Failing, d.Condition == daemon.NoSpace:
			parts = append(parts, d.Dataset+" "+strings.ReplaceAll(string(d.Condition), "_", " "))
		}
	}
	if dataset, at := nextRefresh(s); len(parts) == 1 && dataset != "" {
		parts = append(parts, "next "+dataset+" on "+at.Local().Format("Mon 15:04"))
	}
	return strings.Join(parts, "; ")
}

// nextRefresh is the schedule's next refresh; an empty name if there is none.
func nextRefresh(s daemon.Status) (dataset string, at time.Time) {
	for _, d := range s.Datasets {
		if !d.Next.IsZero() && (dataset == "" || d.Next.Before(at)) {
			dataset, at = d.Dataset, d.Next
		}
	}
	return dataset, at
}

// passLine is the dataset of a pass, and how much of it is downloaded.
func passLine(d daemon.DatasetStatus) string {
	have, of := d.Bytes, d.Published
	if of <= 0 {
		have, of = d.Pass.Done, d.Pass.Total
	}
	if of <= 0 {
		return d.Dataset + " " + string(d.Pass.Kind)
	}
	line := fmt.Sprintf("%s %d%%", d.Dataset, min(100, have*100/of))
	if d.Pass.Rate > 0 {
		line += " at " + words.Size(d.Pass.Rate) + "/s"
	}
	return line
}
