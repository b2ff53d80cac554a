package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/configs"
)

// configPath is the configuration file: the one that was named, which must exist, or the
// one in its usual place if it exists; empty if there is none.
func (a *app) configPath() (path string, named bool) {
	if path := cmp.Or(a.config, os.Getenv("MIMICSYNC_CONFIG")); path != "" {
		return path, true
	}
	return ownFile(configFolder(), "config.yaml"), false
}

// loadConfig reads the configuration file.
func (a *app) loadConfig() (configs.Config, error) {
	path, named := a.configPath()
	if path == "" {
		return configs.Config{}, nil
	}
	c, err := configs.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !named {
			return configs.Config{}, nil
		}
		origin := "--config"
		if a.config == "" {
			origin = "MIMICSYNC_CONFIG"
		}
		err = fmt.Errorf("there is no %s, which %s names; write one with: mimicsync config init %[1]s", path, origin)
	}
	if err != nil {
		return c, &advice.ConfigError{Err: err}
	}
	return c, nil
}

// configFolder and stateFolder are the usual places of mimicsync's own files, empty without
// a home folder.
func configFolder() string { return ownFolder("XDG_CONFIG_HOME", ".config") }
func stateFolder() string  { return ownFolder("XDG_STATE_HOME", ".local/state") }

// ownFolder is a folder of the XDG Base Directory Specification.
func ownFolder(variable, usual string) string {
	base := os.Getenv(variable)
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil || !filepath.IsAbs(home) {
			return ""
		}
		base = filepath.Join(home, usual)
	}
	return filepath.Join(base, "mimicsync")
}

// ownFile is a file in one of these folders, empty if there is none: the current folder
// isn't ours, and may be anybody's.
func ownFile(folder, name string) string {
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, name)
}

// errNoHome is about a file that has no usual place.
var errNoHome = errors.New("there is no home folder: set HOME or XDG_CONFIG_HOME")
