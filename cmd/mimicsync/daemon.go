package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/configs"
	"mimicsync/daemon"
	"mimicsync/downloader/failure"
	"mimicsync/store"
)

func (a *app) daemonCommand() *cobra.Command {
	var listen []string
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Keep the mirror fresh: run the schedule, the control API and the page",
		Long: `Daemon runs until stopped. It refreshes datasets as the configuration file schedules
them. You control it by its page, its API, and by pull, plan, status, verify and prune,
which go through the daemon that owns the mirror. Without a configuration file nothing
is scheduled.

The daemon reloads a changed configuration file within a minute, or immediately on
SIGHUP; an invalid file changes nothing. SIGTERM and SIGINT shut it down within ten
seconds, a second one immediately: everything fetched is saved at once. If the mirror's
disk isn't mounted, the daemon waits and writes nothing.

Under systemd, a credential named physionet holds the PhysioNet account, in the format
of --credentials.

To start it at boot, see: mimicsync daemon install`,
		Example: `  mimicsync daemon --mirror /data/physionet
  mimicsync daemon --config /etc/mimicsync/config.yaml --listen 127.0.0.1:8765
  mimicsync daemon install --user --mirror /data/physionet --start`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.daemon(cmd.Context(), listen) },
	}
	a.mirrorFlags(cmd.Flags())
	a.credentialsFlag(cmd.Flags())
	cmd.Flags().StringArrayVar(&listen, "listen", nil, "`address` of the page and the API (default "+configs.DefaultListen+"); may be repeated")
	cmd.AddCommand(a.installCommand(), a.uninstallCommand())
	cmd.AddCommand(a.controlCommands()...)
	return cmd
}

// secondDaemonError means that the mirror has a daemon already.
type secondDaemonError struct{ *store.LockedError }

// Advice implements advice.Advised.
func (e *secondDaemonError) Advice(a advice.Adviser) advice.Advice {
	return advice.Advice{Code: advice.ExitOwned, Hint: "it is already running; see: " + a.Command("status")}
}

// secondDaemon returns the *secondDaemonError of an error, nil if it isn't one: status
// doesn't show a daemon on another machine.
func secondDaemon(err error) error {
	locked, ok := errors.AsType[*store.LockedError](err)
	if !ok || locked.Owner.Command != advice.DaemonOwner || !locked.Owner.Here() {
		return nil
	}
	return &secondDaemonError{locked}
}

// endTime is how long a daemon may take to end. Service managers and people kill a process
// that takes longer than ten seconds.
const endTime = 9 * time.Second

func (a *app) daemon(ctx context.Context, listen []string) error {
	hangups := hangups(ctx)
	s, err := a.newServing(listen, hangups)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		s.manager.stopping()
		s.logger.InfoContext(ctx, "daemon stops")
		select {
		case err = <-ended:
		case <-time.After(endTime): // the process ends here, with everything that still runs
			return fmt.Errorf("the daemon didn't shut down within %s and was stopped; verified files are saved", endTime)
		}
	}
	if second := secondDaemon(err); second != nil {
		return second
	}
	if ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, context.Canceled)) {
		return nil // it was told to end
	}
	return err
}

// systemCredentials is the account from the service manager, see LoadCredential in
// systemd.exec(5).
func systemCredentials() string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, "physionet")
	if _, err := os.Stat(path); err != nil { //nolint:gosec // the service manager names it
		return ""
	}
	return path
}

// announce tells the user who started the daemon what they need to know.
func (s *serving) announce(d *daemon.Daemon, addresses []string) {
	next := "nothing; datasets are scheduled in a configuration file, see: mimicsync config init"
	if dataset, at := nextRefresh(d.Status()); dataset != "" {
		next = dataset + " on " + at.Local().Format("Mon 2006-01-02 15:04")
	}
	if !s.app.logsText() { // a program reads the log
		s.logger.Info("daemon started", "program", version(), "mirror", s.app.mirror, "addresses", addresses, "token_file", s.tokenFile(), "next", next)
		return
	}
	s.app.ui.Notef("the daemon serves the mirror %s", s.app.mirror)
	for _, address := range addresses {
		s.app.ui.Notef("the page is at http://%s/", address)
	}
	if len(addresses) > 0 {
		s.app.ui.Notef("changes there need the token in %s", s.tokenFile())
	}
	s.app.ui.Notef("next: %s", next)
}

// explain is Advise for errors in a daemon: what it will retry by itself needs no advice.
func (s *serving) explain(err error) (why, cure string) {
	space, ok := errors.AsType[*failure.SpaceError](err)
	switch a := s.app.ui.Adviser.Advise(err); {
	case ok && space.Published > 0:
		return err.Error(), "free space on the mirror's disk; the daemon continues automatically. If the published size is wrong, fetch anyway with: " + s.app.ui.Adviser.Command("pull", "--include", "'**'")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), a.Code == advice.ExitNoSpace:
		return err.Error(), "free space on the mirror's disk; the daemon continues automatically"
	case a.Code == advice.ExitIncomplete, a.Code == advice.ExitInterrupted:
		return err.Error(), ""
	default:
		return err.Error(), a.Hint
	}
}
