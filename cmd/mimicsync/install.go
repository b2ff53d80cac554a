package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/configs"
	"mimicsync/internal/durable"
)

// installation is a daemon as a service of this machine.
type installation struct {
	app     *app
	manager configs.Manager
	unit    string // path of the unit's file
	system  bool   // a system service
	user    string // its user, for a system service
	dryRun  bool   // print, and change nothing
	act     bool   // run the service manager's commands instead of printing them
}

// place says whose service an installation is.
type place struct {
	user, system bool
	runAs        string
}

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.user, "user", false, "install a user service (default, except for root)")
	cmd.Flags().BoolVar(&p.system, "system", false, "install a system service (default for root)")
}

func (a *app) installCommand() *cobra.Command {
	var p place
	i := &installation{app: a}
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Start the daemon at boot",
		Long: `Install writes a unit for systemd, or for launchd on macOS, and prints the commands that
start it. It never overwrites a file that it didn't write.

The unit doesn't contain the PhysioNet account: save it with mimicsync login as the user
that the service runs as, or pass it as a credential, as the unit explains.`,
		Example: `  mimicsync daemon install --user --mirror ~/physionet --start
  sudo mimicsync daemon install --system --mirror /data/physionet --config /etc/mimicsync/config.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := i.settle(p); err != nil {
				return err
			}
			if !i.system && cmd.Flags().Changed("run-as") {
				return advice.Usagef("--run-as is for a system service: add --system")
			}
			return i.install(cmd.Context())
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&a.mirror, "mirror", defaultMirror, "root `folder` of the mirror")
	cmd.Flags().StringVar(&p.runAs, "run-as", "mimicsync", "the `user` that a system service runs as")
	cmd.Flags().BoolVar(&i.act, "start", false, "start it now and at boot")
	cmd.Flags().BoolVar(&i.dryRun, "dry-run", false, "print the unit; change nothing")
	return cmd
}

func (a *app) uninstallCommand() *cobra.Command {
	var p place
	i := &installation{app: a}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove what install wrote",
		Long:  `Uninstall removes the unit that install wrote. The mirror and its state stay.`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := i.settle(p); err != nil {
				return err
			}
			return i.uninstall(cmd.Context())
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&i.act, "stop", false, "stop the service now")
	cmd.Flags().BoolVar(&i.dryRun, "dry-run", false, "show what would be removed; change nothing")
	return cmd
}

// settle finds the service manager, and the place of its units.
func (i *installation) settle(p place) error {
	if p.user && p.system {
		return advice.Usagef("--user and --system: choose one")
	}
	i.system = p.system || !p.user && os.Geteuid() == 0
	i.user = p.runAs
	home, _ := os.UserHomeDir()
	if !i.system && (configFolder() == "" || runtime.GOOS == "darwin" && !filepath.IsAbs(home)) {
		return &advice.ConfigError{Err: errNoHome}
	}
	switch {
	case runtime.GOOS == "linux" && i.system:
		i.manager, i.unit = configs.Systemd, "/etc/systemd/system/mimicsync.service"
	case runtime.GOOS == "linux":
		i.manager, i.unit = configs.SystemdUser, filepath.Join(filepath.Dir(configFolder()), "systemd", "user", "mimicsync.service")
	case runtime.GOOS == "darwin" && i.system:
		i.manager, i.unit = configs.Launchd, "/Library/LaunchDaemons/mimicsync.plist"
	case runtime.GOOS == "darwin":
		i.manager, i.unit = configs.Launchd, filepath.Join(home, "Library", "LaunchAgents", "mimicsync.plist")
	case runtime.GOOS == "windows":
		return advice.Usagef("install doesn't support Windows: let the Task Scheduler run \"mimicsync daemon\" at startup, with \"run whether user is logged on or not\"")
	default:
		return advice.Usagef("install doesn't support %s: start \"mimicsync daemon\" by its service manager", runtime.GOOS)
	}
	return nil
}

func (i *installation) install(ctx context.Context) error {
	service := configs.Service{User: i.user, Log: i.log()}
	var err error
	if service.Binary, err = os.Executable(); err != nil {
		return err
	}
	if service.Mirror, err = filepath.Abs(i.app.mirror); err != nil {
		return err
	}
	if service.Config, err = i.config(); err != nil {
		return err
	}
	text, err := service.Unit(i.manager)
	if err != nil {
		return &advice.UsageError{Err: err}
	}
	if i.dryRun {
		i.app.ui.Printf("%s", text)
		i.prepare(service)
		return nil
	}
	if err := i.ours(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(i.unit), 0o755); err != nil { //nolint:gosec // all may see which services there are
		return err
	}
	if err := durable.WriteFile(i.unit, []byte(text)); err != nil {
		return fmt.Errorf("write the unit: %w", err)
	}
	if err := os.Chmod(i.unit, 0o644); err != nil { //nolint:gosec // systemd warns of a unit that only root can read
		return err
	}
	i.app.ui.Printf("wrote %s; the mirror is %s\n", i.unit, service.Mirror)
	i.prepare(service)
	return i.finish(ctx, i.starting())
}

// systemConfig is the configuration of a system service.
const systemConfig = "/etc/mimicsync/config.yaml"

// config is the configuration file that the unit names: the one that was named, or the one
// in its usual place, which a user service finds by itself. Another user doesn't see that.
func (i *installation) config() (string, error) {
	path, named := i.app.configPath()
	if named {
		return filepath.Abs(path)
	}
	if !i.system {
		return "", nil
	}
	if _, err := os.Stat(path); err != nil {
		return "", nil // none is needed
	}
	if me, err := user.Current(); err == nil && me.Username == i.user {
		return path, nil
	}
	return "", &advice.UsageError{
		Err: fmt.Errorf("the service runs as %s, which can't read your %s", i.user, path),
		Hint: fmt.Sprintf("give it a copy:\n%smkdir -p %s && install -o %s -m 0600 %s %s\nthen install it with --config %[5]s",
			i.makeUser(), filepath.Dir(systemConfig), i.user, path, systemConfig),
	}
}

// makeUser is the command that creates the service's user, empty if it exists.
func (i *installation) makeUser() string {
	if _, err := user.Lookup(i.user); err == nil || i.manager != configs.Systemd {
		return ""
	}
	return "useradd --system --home-dir /var/lib/mimicsync --shell /usr/sbin/nologin " + i.user + "\n"
}

// log is the file for the daemon's log under launchd.
func (i *installation) log() string {
	if strings.HasPrefix(i.unit, "/Library/") {
		return "/var/log/mimicsync.log"
	}
	return filepath.Join(filepath.Dir(filepath.Dir(i.unit)), "Logs", "mimicsync.log")
}

// prepare says what the service still needs.
func (i *installation) prepare(s configs.Service) {
	i.prepareConfig(s.Config)
	if i.manager != configs.Systemd {
		return
	}
	if line := i.makeUser(); line != "" {
		i.app.ui.Notef("there is no user %s yet; create it with:\n%s", s.User, line)
	}
	if _, err := os.Stat(s.Mirror); err != nil {
		i.app.ui.Notef("there is no folder %s yet; mount its disk, or create it with:\ninstall --directory --owner %s --mode 0700 %[1]s", s.Mirror, s.User)
	}
}

// prepareConfig checks the configuration file that the unit names, if any.
func (i *installation) prepareConfig(path string) {
	if path != "" {
		if fi, err := os.Stat(path); i.system && err == nil && fi.Mode().Perm()&0o077 == 0 && !i.owns(fi) {
			i.app.ui.Notef("only its owner can read %s; make it the service's user: chown %s %[1]s", path, i.user)
		}
		return
	}
	usual, _ := i.app.configPath()
	switch _, err := os.Stat(usual); {
	case i.system:
		i.app.ui.Notef("nothing is scheduled: the service has no configuration file; write one with: mimicsync config init %s\nand install it again with --config %[1]s", systemConfig)
	case err != nil:
		i.app.ui.Notef("nothing is scheduled: there is no configuration file; write one with: mimicsync config init")
	}
}

// owns reports whether a file belongs to the service's user.
func (i *installation) owns(fi fs.FileInfo) bool {
	u, err := user.Lookup(i.user)
	return err == nil && u.Uid == strconv.Itoa(durable.Owner(fi))
}

func (i *installation) uninstall(ctx context.Context) error {
	err := i.ours()
	if errors.Is(err, fs.ErrNotExist) {
		i.app.ui.Notef("there is no %s", i.unit)
		return nil
	}
	if err != nil {
		return err
	}
	if i.dryRun {
		i.app.ui.Printf("would remove %s\n", i.unit)
		return nil
	}
	if err := os.Remove(i.unit); err != nil {
		return err
	}
	// Links that `systemctl enable` made; it can't disable a unit that doesn't exist.
	links, _ := filepath.Glob(filepath.Join(filepath.Dir(i.unit), "*.wants", filepath.Base(i.unit))) // the pattern is valid
	for _, link := range links {
		if err := os.Remove(link); err != nil {
			return err
		}
	}
	i.app.ui.Printf("removed %s\n", i.unit)
	return i.finish(ctx, i.stopping())
}

// ours returns nil if the unit exists and mimicsync wrote it.
func (i *installation) ours() error {
	text, err := os.ReadFile(i.unit)
	if err == nil && !configs.IsUnit(text) {
		return &advice.ConfigError{Err: fmt.Errorf("%s was not written by mimicsync and stays as it is: move it away first", i.unit)}
	}
	return err
}

func (i *installation) systemctl(args ...string) []string {
	if i.manager == configs.SystemdUser {
		return append([]string{"systemctl", "--user"}, args...)
	}
	return append([]string{"systemctl"}, args...)
}

// domain is launchd's name for where a service runs.
func (i *installation) domain() string {
	if strings.HasPrefix(i.unit, "/Library/") {
		return "system"
	}
	return fmt.Sprintf("gui/%d", os.Getuid())
}

// starting are the commands that start the service, now and at each boot.
func (i *installation) starting() [][]string {
	switch i.manager {
	case configs.Launchd:
		return [][]string{{"launchctl", "bootstrap", i.domain(), i.unit}}
	case configs.SystemdUser: // it ends with the user's last session unless they linger
		return [][]string{i.systemctl("daemon-reload"), i.systemctl("enable", "--now", "mimicsync"), {"loginctl", "enable-linger"}}
	}
	return [][]string{i.systemctl("daemon-reload"), i.systemctl("enable", "--now", "mimicsync")}
}

// stopping are the commands that stop it, once its unit is removed.
func (i *installation) stopping() [][]string {
	if i.manager == configs.Launchd {
		return [][]string{{"launchctl", "bootout", i.domain() + "/mimicsync"}}
	}
	return [][]string{i.systemctl("stop", "mimicsync"), i.systemctl("daemon-reload")}
}

// finish runs the commands, or prints them.
func (i *installation) finish(ctx context.Context, commands [][]string) error {
	if !i.act {
		i.next(commands)
		return nil
	}
	for n, c := range commands {
		cmd := exec.CommandContext(ctx, c[0], c[1:]...) //nolint:gosec // of a fixed list
		cmd.Stdout, cmd.Stderr = i.app.ui.Stderr, i.app.ui.Stderr
		if err := cmd.Run(); err != nil {
			if i.manager == configs.SystemdUser {
				i.app.ui.Notef("a user service needs a login session: log in by ssh or at the console, not by su or sudo")
			}
			i.next(commands[n:])
			return fmt.Errorf("%s: %w", strings.Join(c, " "), err)
		}
	}
	return nil
}

// next prints the commands that are left to the user.
func (i *installation) next(commands [][]string) {
	var lines []string
	for _, c := range commands {
		lines = append(lines, strings.Join(c, " "))
	}
	i.app.ui.Lines("hint", "next:\n"+strings.Join(lines, "\n"))
}
