package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/configs"
	"mimicsync/downloader"
	"mimicsync/downloader/source/physionet"
)

// defaultMirror is the folder that `wget -r` fills, so that an interrupted wget is
// continued in place.
const defaultMirror = "physionet.org/files"

// app is one run of the program.
type app struct {
	ui      *terminal.UI
	flags   *pflag.FlagSet // of the running command
	started bool           // a command runs: errors are no longer about its usage
	code    int            // exit code of a command that reported its results itself

	// Flags. Those not given are set from the environment, the configuration file and the
	// defaults, in this order.
	config      string
	mirror      string
	state       string
	sources     []string // physionet if empty
	include     []string
	exclude     []string
	connections int
	idleTimeout time.Duration
	limits      limits

	billingProject string
	acceptManifest bool
	changes        string // file of --changes
	json           bool
	progress       string
	quiet          bool
	verbose        bool
	logFormat      string

	file configs.Config

	serves    bool                // runs as a daemon, which reports in its log
	saidFiles bool                // the warning about few open files was given
	observer  downloader.Observer // of all passes; may be nil

	credentialsFile string // of --credentials

	// The server and account of the demo, and the server that login names; without them,
	// those of the environment and so on.
	physionetURL string
	credentials  *physionet.Credentials
}

func newApp(stdout, stderr io.Writer) *app {
	return &app{ui: terminal.New(stdout, stderr, advice.Adviser{Account: keptFile()})}
}

const longHelp = `mimicsync keeps a verified mirror of MIMIC and other PhysioNet datasets.

It fetches missing files, resumes after any interruption, and checks every byte
against the SHA256SUMS.txt that PhysioNet publishes. A file under its final name is
complete and verified.

Exit codes:
  0    complete and verified
  1    unexpected error
  2    usage or configuration; also: a folder that can't be used as a mirror
  3    incomplete: some entries failed, or a limit was reached, all others are verified;
       also: the server could not be reached, or sent web pages and errors instead of
       files; the mirror's disk failed or is missing; its state file is damaged; the
       manifest must be accepted
  4    access: not logged in, wrong password, agreement unsigned, no such dataset
  5    integrity: some entry has the wrong digest at every source, again
       after a pause, and the manifest still says so
  6    no space
  7    the mirror is owned by another process that cannot be asked
  130  interrupted; state saved

If a dataset needs a PhysioNet account, mimicsync looks for it in this order: the file
named by --credentials, the environment, the account saved by mimicsync login (in the
system keyring, or without one in $XDG_CONFIG_HOME/mimicsync/credentials), ~/.netrc.

Environment:
  PHYSIONET_USERNAME, PHYSIONET_PASSWORD   the PhysioNet account
  NETRC                                    a file to use instead of ~/.netrc
  MIMICSYNC_MIRROR                         --mirror
  MIMICSYNC_CONFIG                         --config
  MIMICSYNC_PHYSIONET_URL                  an address instead of https://physionet.org
  GOOGLE_APPLICATION_CREDENTIALS           the Google login, for --source gcs
  MIMICSYNC_GCS_ENDPOINT                   an address instead of Google's; also STORAGE_EMULATOR_HOST
  AWS_PROFILE and other AWS_...            the AWS login, for --source s3
  AWS_ENDPOINT_URL_S3                      a store instead of Amazon's
  SSL_CERT_FILE, HTTPS_PROXY, NO_COLOR     as usual`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "mimicsync",
		Short:         "A verified mirror of MIMIC and other PhysioNet datasets",
		Long:          longHelp,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noSuchCommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			if tellsOfItself(cmd) {
				return nil
			}
			if err := a.settle(cmd.Flags()); err != nil {
				return err
			}
			a.tellForeign()
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("mimicsync {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVar(&a.config, "config", "", "configuration `file` (default $XDG_CONFIG_HOME/mimicsync/config.yaml, if it exists)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print results and errors only")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log every step to stderr")
	f.StringVar(&a.logFormat, "log-format", "", "log `format`: text or json (default text on a terminal, otherwise json)")
	root.AddCommand(a.pullCommand(), a.planCommand(), a.statusCommand(), a.verifyCommand(), a.pruneCommand(), a.doctorCommand(), a.datasetsCommand(),
		a.loginCommand(), a.logoutCommand(), a.configCommand(), a.daemonCommand(),
		a.demoCommand(), a.versionCommand(), a.manCommand())
	root.SetFlagErrorFunc(suggestFlag)
	completeFlags(root)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // else the name of any shell is right
	}
	return root
}

// helpCommand is cobra's, but unknown commands are an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return &advice.UsageError{Err: fmt.Errorf("there is no command %q", strings.Join(args, " ")), Hint: "see: mimicsync help"}
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// tellsOfItself reports whether a command is only about the program: it works despite a bad
// configuration.
func tellsOfItself(cmd *cobra.Command) bool {
	if !cmd.HasParent() {
		return true
	}
	for ; cmd.HasParent(); cmd = cmd.Parent() {
		switch cmd.Name() {
		case "help", "version", "man", "completion", cobra.ShellCompRequestCmd:
			return true
		}
	}
	return false
}

// mirrorFlags are for every command that opens a mirror.
func (a *app) mirrorFlags(f *pflag.FlagSet) {
	a.mirrorFlag(f)
	f.StringVar(&a.state, "state", "", "`folder` for the state file, if the mirror is on a file server")
}

// mirrorFlag is for every command that names a mirror.
func (a *app) mirrorFlag(f *pflag.FlagSet) {
	f.StringVar(&a.mirror, "mirror", defaultMirror, "root `folder` of the mirror")
}

// credentialsFlag is for every command that may need the account.
func (a *app) credentialsFlag(f *pflag.FlagSet) {
	f.StringVar(&a.credentialsFile, "credentials", "", "read the PhysioNet account from this `file`, in netrc format: machine physionet.org login USER password PASSWORD")
}

// sourceFlags are for every command that uses sources.
func (a *app) sourceFlags(f *pflag.FlagSet) {
	a.sourcesFlags(f)
	f.StringArrayVar(&a.include, "include", nil, "fetch only files that match this `glob` (** crosses folders); may be repeated")
	f.StringArrayVar(&a.exclude, "exclude", nil, "skip files that match this `glob`; may be repeated")
	f.IntVar(&a.connections, "connections", 0, "open up to `N` connections to each host (default: starts at 2, adapts up to 8, or 64 for object stores)")
	f.DurationVar(&a.idleTimeout, "idle-timeout", time.Minute, "drop a connection that delivers nothing for this `time`")
	a.limits.bandwidthFlag(f)
	a.credentialsFlag(f)
}

// settle fills in what the command line left open, and checks it.
func (a *app) settle(f *pflag.FlagSet) error {
	var err error
	if a.file, err = a.loadConfig(); err != nil {
		return err
	}
	given := func(name string) bool { return f.Lookup(name) != nil && f.Changed(name) }
	a.flags = f
	if given("mirror") {
		if a.mirror == "" {
			return advice.Usagef("--mirror: it must name a folder")
		}
		a.ui.Adviser.Mirror = a.mirror
	} else {
		a.mirror = cmp.Or(os.Getenv("MIMICSYNC_MIRROR"), a.file.Mirror, defaultMirror)
	}
	if !given("state") {
		a.state = a.file.State
	}
	if !given("idle-timeout") && a.file.IdleTimeout != 0 {
		a.idleTimeout = time.Duration(a.file.IdleTimeout)
	}
	if !given("include") {
		a.include = a.file.Include
	}
	if !given("exclude") {
		a.exclude = a.file.Exclude
	}
	if !given("log-format") {
		a.logFormat = a.file.Log.Format
	}
	if f.Lookup("source") != nil {
		if err := a.settleSources(given); err != nil {
			return err
		}
	}
	if err := a.limits.settle(a.file); err != nil {
		return err
	}
	return a.check()
}

func (a *app) check() error {
	switch {
	case a.quiet && a.verbose:
		return advice.Usagef("--quiet and --verbose: one or the other")
	case a.flags.Changed("connections") && (a.connections < 1 || a.connections > 256):
		return advice.Usagef("--connections %d: it must be from 1 to 256", a.connections)
	case a.idleTimeout < time.Second && (a.idleTimeout != 0 || a.flags.Changed("idle-timeout")):
		return advice.Usagef("--idle-timeout %s: less than a second would cut off slow but working connections", a.idleTimeout)
	}
	switch {
	case a.progress != "" && !slices.Contains(flagValues["progress"], a.progress):
		return advice.Usagef("--progress %s: it must be auto, bar, plain or none", a.progress)
	case a.logFormat != "" && !slices.Contains(flagValues["log-format"], a.logFormat):
		return advice.Usagef("--log-format %s: it must be text or json", a.logFormat)
	}
	return nil
}

// version is the version of the build: the tag of a release, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.ui.Stdout, "mimicsync", version())
			return err
		},
	}
}
