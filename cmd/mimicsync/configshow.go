package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mimicsync/configs"
)

func (a *app) configShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration in effect, and where each value comes from",
		Long: `Show prints the configuration that a command with the same flags would use: flags take
precedence over the environment, the environment over the file, the file over the
defaults. Secrets are not shown.`,
		Example: `  mimicsync config show
  mimicsync config show --bwlimit 10M --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.settle(cmd.Flags()); err != nil {
				return err
			}
			return a.showConfig(cmd.Flags())
		},
	}
	a.mirrorFlags(cmd.Flags())
	a.sourceFlags(cmd.Flags())
	a.limits.passFlags(cmd.Flags())
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object")
	return cmd
}

func (a *app) showConfig(f *pflag.FlagSet) error {
	path, _ := a.configPath()
	text, err := configs.Read(path) // no place for one is no file
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	force, err := configs.NewInForce(text, filepath.Base(path), a.overrides(f))
	if err != nil {
		return err
	}
	if a.json {
		return a.ui.JSON(force)
	}
	b, err := force.YAML()
	if err != nil {
		return err
	}
	a.ui.Printf("%s", b)
	return nil
}

// overrides are what the command line and the environment decide, of which the
// former come last.
func (a *app) overrides(f *pflag.FlagSet) []configs.Override {
	var all []configs.Override
	for _, v := range []struct{ path, variable string }{
		{"mirror", "MIMICSYNC_MIRROR"},
		{"physionet.url", "MIMICSYNC_PHYSIONET_URL"},
		{"gcs.endpoint", "STORAGE_EMULATOR_HOST"},
		{"gcs.endpoint", "MIMICSYNC_GCS_ENDPOINT"},
	} {
		value := os.Getenv(v.variable)
		if v.path != "mirror" { // which is a path
			value = withoutPassword(value)
		}
		if value != "" {
			all = append(all, configs.Override{Path: v.path, Value: value, From: v.variable})
		}
	}
	if value := os.Getenv("AWS_ENDPOINT_URL_S3"); value != "" && a.file.S3.Endpoint == "" { // as the AWS tools have it
		all = append(all, configs.Override{Path: "s3.endpoint", Value: withoutPassword(value), From: "AWS_ENDPOINT_URL_S3"})
	}
	for _, v := range []struct{ path, flag string }{
		{"mirror", "mirror"},
		{"state", "state"},
		{"connections", "connections"},
		{"physionet.connections", "connections"},
		{"gcs.connections", "connections"},
		{"s3.connections", "connections"},
		{"idle_timeout", "idle-timeout"},
		{"bwlimit", "bwlimit"},
		{"max_transfer", "max-transfer"},
		{"max_duration", "max-duration"},
		{"max_cost", "max-cost"},
		{"durability", "durability"},
		{"include", "include"},
		{"exclude", "exclude"},
		{"sources", "source"},
		{"gcs.billing_project", "billing-project"},
		{"log.format", "log-format"},
	} {
		flag := f.Lookup(v.flag)
		if !flag.Changed {
			continue
		}
		var value any = flag.Value.String()
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			value = list.GetSlice()
		}
		if v.flag == "connections" {
			value = a.connections
		}
		all = append(all, configs.Override{Path: v.path, Value: value, From: "--" + v.flag})
	}
	return all
}

// withoutPassword hides the user and the password of an address, also of one that is
// none: what stands before an @ may be half a password.
func withoutPassword(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "", address
	} else {
		scheme += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		return scheme + "REDACTED" + rest[at:]
	}
	return address
}
