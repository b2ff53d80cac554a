package main

import (
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"mimicsync/configs"
)

// setting is a value that a person can set, under all its names. What follows from it:
// what config show prints, which changes a running daemon applies, and which flags a
// daemon that owns the mirror refuses. Defaults and explanations are in
// configs/example.yaml; tests compare the table with it, with the flags and with the help.
type setting struct {
	key    string   // in the configuration file; empty if it can't be set there
	flag   string   // takes precedence over env; empty if there is none
	env    []string // take precedence over the file, the later over the earlier
	reload bool     // a running daemon applies a change; otherwise it must be restarted
	owned  bool     // a daemon decides it for its mirror: commands that go through one refuse the flag
}

var settings = []setting{
	{key: "mirror", flag: "mirror", env: []string{"MIMICSYNC_MIRROR"}},
	{key: "state", flag: "state", owned: true},
	{key: "connections", flag: "connections", owned: true},
	{key: "idle_timeout", flag: "idle-timeout", owned: true},
	{key: "bwlimit", flag: "bwlimit", reload: true, owned: true},
	{key: "max_transfer", flag: "max-transfer", owned: true},
	{key: "max_duration", flag: "max-duration", reload: true, owned: true},
	{key: "max_cost", flag: "max-cost", owned: true},
	{key: "durability", flag: "durability", owned: true},
	{key: "file_mode"},
	{key: "dir_mode"},
	{key: "group"},
	{key: "include", flag: "include", reload: true},
	{key: "exclude", flag: "exclude", reload: true},
	{key: "sources", flag: "source", reload: true}, // one that was not opened at the start needs a restart, see load
	{key: "physionet.url", env: []string{"MIMICSYNC_PHYSIONET_URL"}},
	{key: "physionet.connections", flag: "connections"},
	{key: "gcs.endpoint", env: []string{"STORAGE_EMULATOR_HOST", "MIMICSYNC_GCS_ENDPOINT"}},
	{key: "gcs.connections", flag: "connections"},
	{key: "gcs.billing_project", flag: "billing-project", owned: true},
	{key: "s3.endpoint", env: []string{"AWS_ENDPOINT_URL_S3"}},
	{key: "s3.connections", flag: "connections"},
	{key: "datasets", reload: true},
	{key: "schedule", reload: true},
	{key: "timezone", reload: true},
	{key: "jitter", reload: true},
	{key: "windows", reload: true},
	{key: "scrub", reload: true},
	{key: "listen"},
	{key: "token_file"},
	{key: "hosts"},
	{key: "webhooks", reload: true},
	{key: "mail", reload: true},
	{key: "hooks", reload: true},
	{key: "log.format", flag: "log-format"},
	{key: "log.level"},
	{flag: "credentials", owned: true},
	{flag: "rate", owned: true},
}

// overrides are the settings that the environment and the command line decide, the latter
// last.
func (a *app) overrides(f *pflag.FlagSet) []configs.Override {
	var all []configs.Override
	for _, s := range settings {
		for _, name := range s.env {
			value := os.Getenv(name)
			if s.key != "mirror" { // the others are addresses
				value = withoutPassword(value)
			}
			// As the AWS tools have it, the file goes before this variable.
			if value == "" || s.key == "s3.endpoint" && a.file.S3.Endpoint != "" {
				continue
			}
			all = append(all, configs.Override{Path: s.key, Value: value, From: name})
		}
	}
	for _, s := range settings {
		flag := f.Lookup(s.flag)
		if flag == nil || !flag.Changed || s.key == "" {
			continue
		}
		var value any = flag.Value.String()
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			value = list.GetSlice()
		}
		if s.flag == "connections" {
			value = a.connections
		}
		all = append(all, configs.Override{Path: s.key, Value: value, From: "--" + s.flag})
	}
	return all
}

// needsRestart names the keys of the file that differ and that a running daemon doesn't
// apply.
func needsRestart(was, is configs.Config) (keys []string) {
	before, after := reflect.ValueOf(was), reflect.ValueOf(is)
	for i := range before.NumField() {
		key := before.Type().Field(i).Tag.Get("yaml")
		if !reloads(key) && !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}

// reloads reports whether a running daemon applies a change of a key, or of all below it.
func reloads(key string) bool {
	return !slices.ContainsFunc(settings, func(s setting) bool {
		return !s.reload && (s.key == key || strings.HasPrefix(s.key, key+"."))
	})
}

// isOwned reports whether a daemon decides what a flag is about.
func isOwned(flag string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.owned && s.flag == flag })
}
