package main

import (
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mimicsync/configs"
)

// TestEverySettingIsDeclared tells whoever adds a field to the configuration which row is
// missing, and finds rows of fields that are gone.
func TestEverySettingIsDeclared(t *testing.T) {
	fields := reflect.TypeFor[configs.Config]()
	var keys []string
	for field := range fields.Fields() {
		key := field.Tag.Get("yaml")
		keys = append(keys, key)
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.key == key || strings.HasPrefix(s.key, key+".") }) {
			t.Errorf("%s of configs.Config has no row in settings", key)
		}
	}
	for _, s := range settings {
		if top, _, _ := strings.Cut(s.key, "."); s.key != "" && !slices.Contains(keys, top) {
			t.Errorf("%s in settings is no field of configs.Config", s.key)
		}
	}
}

// TestSettingsAreInTheExample: example.yaml is where a user reads of a setting, and has
// its default.
func TestSettingsAreInTheExample(t *testing.T) {
	for _, s := range settings {
		name := s.key[strings.LastIndexByte(s.key, '.')+1:]
		line := regexp.MustCompile(`(?m)^\s*#?\s*` + regexp.QuoteMeta(name) + `:`) // some are commented out
		if s.key != "" && !line.Match(configs.Example) {
			t.Errorf("%s is not in configs/example.yaml", s.key)
		}
	}
}

func TestSettingsHaveTheirFlagsAndVariables(t *testing.T) {
	flags := map[string]bool{}
	var collect func(*cobra.Command)
	collect = func(c *cobra.Command) {
		for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		}
		for _, sub := range c.Commands() {
			collect(sub)
		}
	}
	collect(newApp(io.Discard, io.Discard).rootCommand())
	for _, s := range settings {
		if s.flag != "" && !flags[s.flag] {
			t.Errorf("no command has the flag --%s of settings", s.flag)
		}
		for _, name := range s.env {
			if !strings.Contains(longHelp, name) {
				t.Errorf("mimicsync help does not explain %s", name)
			}
		}
	}
}
