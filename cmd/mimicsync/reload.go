package main

import (
	"fmt"
	"reflect"
	"slices"

	"mimicsync/configs"
	"mimicsync/daemon"
	"mimicsync/downloader/source/physionet"
)

// daemonSources are the sources that a daemon opens: those of its datasets, and PhysioNet
// for other pulls.
func daemonSources(c configs.Config) []string {
	all := c.AllSources(firstOf(c.Sources, []string{physionet.Name}))
	if !slices.Contains(all, physionet.Name) {
		all = append(all, physionet.Name)
	}
	return all
}

// interpret returns a configuration file's settings for the daemon.
func (s *serving) interpret(c configs.Config) (daemon.Settings, error) {
	settings, err := s.app.daemonSettings(c)
	if err != nil {
		return settings, err
	}
	settings.Notifiers, err = notifiers(c, s.logger)
	return settings, err
}

// load reads the configuration file again. The notes say what the daemon can't change while
// it runs.
func (s *serving) load() (daemon.Settings, []string, error) {
	s.config.take()
	c, err := s.app.loadConfig()
	if err != nil {
		return daemon.Settings{}, nil, err
	}
	if isEmpty(c) && s.configured.Load() {
		path, _ := s.app.configPath()
		return daemon.Settings{}, nil, fmt.Errorf("%s is missing or empty; to serve no dataset, write into it: datasets: []", path)
	}
	for _, name := range daemonSources(c) {
		if !slices.Contains(s.app.sources, name) {
			return daemon.Settings{}, nil, fmt.Errorf("the source %s is opened only at startup: restart the daemon", name)
		}
	}
	if _, err := groupID(c.Group); err != nil { // it takes effect, or fails, when the daemon is restarted
		return daemon.Settings{}, nil, err
	}
	settings, err := s.interpret(c)
	if err != nil {
		return settings, nil, err
	}
	s.settings.Store(&settings)
	s.configured.Store(s.configured.Load() || !isEmpty(c))
	return settings, restartNotes(s.app.file, c), nil
}

// isEmpty reports whether a configuration sets nothing: the file is missing, was cut off
// before its first key, or is being written.
func isEmpty(c configs.Config) bool { return reflect.DeepEqual(c, configs.Config{}) }

// restartNotes says which changes take effect only after a restart of the daemon.
func restartNotes(was, is configs.Config) (notes []string) {
	for _, key := range needsRestart(was, is) {
		notes = append(notes, key+" has changed; restart the daemon to apply it")
	}
	return notes
}
