package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"mimicsync/configs"
	"mimicsync/daemon"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

// daemonSettings are a configuration file's settings for the daemon, without the notifiers.
// --bwlimit takes precedence over the file, after a reload, too.
func (a *app) daemonSettings(c configs.Config) (daemon.Settings, error) {
	s := daemon.Settings{BWLimit: cmp.Or(a.limits.bwlimit, c.BWLimit)}
	var err error
	if s.Windows, err = daemon.ParseWindows(c.Windows, c.Timezone); err != nil {
		return s, fmt.Errorf("windows: %w", err)
	}
	if s.MaxDuration, err = configs.ParseMaxDuration(cmp.Or(c.MaxDuration, configs.Off)); err != nil {
		return s, fmt.Errorf("max_duration: %w", err)
	}
	if s.Scrub, err = c.DaemonScrub(); err != nil {
		return s, fmt.Errorf("scrub: %w", err)
	}
	for _, d := range c.Datasets {
		dataset, err := a.daemonDataset(c, d)
		if err != nil {
			return s, fmt.Errorf("datasets: %s: %w", d.Name, err)
		}
		s.Datasets = append(s.Datasets, dataset)
	}
	return s, nil
}

// daemonDataset is a dataset of the file with its inherited settings.
func (a *app) daemonDataset(c configs.Config, d configs.Dataset) (daemon.Dataset, error) {
	ref, err := d.Ref()
	if err != nil {
		return daemon.Dataset{}, err
	}
	selection, err := manifest.NewSelection(firstOf(d.Include, c.Include), firstOf(d.Exclude, c.Exclude))
	if err != nil {
		return daemon.Dataset{}, err
	}
	schedule, err := c.ScheduleOf(d, a.jitterKey(ref.Dataset))
	return daemon.Dataset{
		Ref: ref, Selection: selection, Schedule: schedule, KeepOld: d.KeepOldVersions,
		Sources: firstOf(d.Sources, c.Sources, []string{physionet.Name}),
	}, err
}

// jitterKey differs from machine to machine: not all machines should ask PhysioNet at the
// same time, and not only all datasets of one.
func (a *app) jitterKey(dataset string) string {
	host, _ := os.Hostname() // without it, the mirror's folder must do
	mirror, err := filepath.Abs(a.mirror)
	if err != nil {
		mirror = a.mirror
	}
	return host + "\x00" + mirror + "\x00" + dataset
}

// firstOf returns the first list that isn't empty.
func firstOf(lists ...[]string) []string {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}
