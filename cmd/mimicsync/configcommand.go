package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/configs"
	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/internal/loopback"
	"mimicsync/manifest"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Write, check and show the configuration",
		Long: `The configuration is one YAML file for all commands: $XDG_CONFIG_HOME/mimicsync/config.yaml,
or the file named by --config or MIMICSYNC_CONFIG. Only the schedule of mimicsync daemon
needs one.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		// Instead of the root's: init and check are for a file that is missing or has
		// mistakes.
		PersistentPreRun: func(*cobra.Command, []string) { a.started = true },
	}
	cmd.AddCommand(a.configInitCommand(), a.configCheckCommand(), a.configShowCommand())
	return cmd
}

func (a *app) configInitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a configuration file with comments",
		Long: `Init writes a configuration file, readable by you alone (0600), with every field, its
default and an explanation. It never overwrites a file.`,
		Example: `  mimicsync config init
  mimicsync config init /etc/mimicsync/config.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, _ := a.configPath()
			if len(args) == 1 {
				path = args[0]
			}
			if path == "" {
				return &advice.ConfigError{Err: fmt.Errorf("%w, or name the file", errNoHome)}
			}
			if err := writeExample(path); err != nil {
				return &advice.ConfigError{Err: err}
			}
			a.ui.Printf("wrote %s; after editing it, run: mimicsync config check %s\n", path, path)
			return nil
		},
	}
}

// writeExample creates a file that doesn't exist yet.
func writeExample(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s already exists; name another file, or remove it", path)
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(configs.Example); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	return f.Close()
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file, and show what it does",
		Long: `Check reads a configuration file and lists every mistake with its line (exit code 2),
or shows what the daemon will do with it, and when.`,
		Example: `  mimicsync config check
  mimicsync config check draft.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.config = args[0]
			}
			path, _ := a.configPath()
			if path == "" {
				return &advice.ConfigError{Err: fmt.Errorf("%w, or name the file", errNoHome)}
			}
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return &advice.ConfigError{Err: fmt.Errorf("there is no %s; write one with: mimicsync config init%s", path, words.After(strings.Join(args, "")))}
			}
			if err := a.settle(cmd.Flags()); err != nil {
				return err
			}
			settings, err := a.daemonSettings(a.file)
			if err != nil {
				return &advice.ConfigError{Err: fmt.Errorf("%s: %w", path, err)}
			}
			if a.mirror, err = filepath.Abs(a.mirror); err != nil {
				return err
			}
			a.ui.Printf("%s is valid\n", path)
			a.ui.Settings(settings, a.mirror, a.file.Windows)
			if limits := a.limits.ofPass(); limits != "" {
				a.ui.Printf("limits    of each pass: %s\n", limits)
			}
			a.checkSurroundings(settings)
			return nil
		},
	}
}

// checkSurroundings warns of things that a daemon would lack here, or that may be mistakes.
// It is no error: the daemon may run elsewhere, or as another user.
func (a *app) checkSurroundings(s daemon.Settings) {
	listen := a.file.Listen
	if listen == nil {
		listen = []string{configs.DefaultListen}
	}
	for _, address := range listen {
		host, _, _ := net.SplitHostPort(address) // the address is valid
		a.ui.Printf("page      http://%s/\n", address)
		if !loopback.Is(host) {
			a.ui.Notef("%s can be reached from other machines without TLS: put a proxy in front of it, or listen on %s", address, configs.DefaultListen)
		}
	}
	for _, d := range s.Datasets {
		if _, known := manifest.Lookup(d.Ref.Dataset); !known {
			a.ui.Notef("%s is not a dataset that this build knows: check its name with: mimicsync datasets --remote", d.Ref.Dataset)
		}
	}
	if _, err := groupID(a.file.Group); err != nil {
		a.ui.Notef("on this machine, no command would work with it: %v", err)
	}
	if _, err := notifiers(a.file, nil); err != nil {
		a.ui.Notef("on this machine, a daemon wouldn't start with it: %v", err)
	}
	for _, argv := range [][]string{a.file.Hooks.OnComplete, a.file.Hooks.OnFailure} {
		if len(argv) == 0 {
			continue
		}
		if _, err := exec.LookPath(argv[0]); err != nil {
			a.ui.Notef("hooks: %v", err)
		}
	}
	if a.file.TokenFile != "" {
		if _, err := api.Token(a.mirror, a.file.TokenFile); err != nil {
			a.ui.Notef("on this machine, a daemon wouldn't start with it: %v", err)
		}
	}
}
