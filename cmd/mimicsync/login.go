package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/daemon/api"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

func (a *app) loginCommand() *cobra.Command {
	var user string
	var fromPipe bool
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Save the PhysioNet password",
		Long: `Login asks for the user name (or e-mail address) and password of your PhysioNet account,
checks them with PhysioNet, and saves them in the system keyring or, without one, in
$XDG_CONFIG_HOME/mimicsync/credentials, readable by you alone (0600). They replace what
was saved for this server. A wrong password is not saved. A running daemon of this
mirror uses them immediately, and retries what waited for a login.`,
		Example: `  mimicsync login
  pass show physionet | mimicsync login --username me --password-stdin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.login(cmd.Context(), user, fromPipe) },
	}
	cmd.Flags().StringVar(&user, "username", "", "`user` or e-mail address; asked for if not given")
	cmd.Flags().BoolVar(&fromPipe, "password-stdin", false, "read the password from standard input, for scripts")
	a.urlFlag(cmd)
	a.mirrorFlag(cmd.Flags())
	return cmd
}

func (a *app) logoutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Remove the saved PhysioNet password",
		Long: `Logout removes what login saved for this server, from the system keyring and the file,
and says from which. The environment and netrc stay as they are. A running daemon of
this mirror forgets the account, too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.logout(cmd.Context()) },
	}
	a.urlFlag(cmd)
	a.mirrorFlag(cmd.Flags())
	return cmd
}

func (a *app) urlFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.physionetURL, "url", "", "`address` of PhysioNet (default MIMICSYNC_PHYSIONET_URL, or https://physionet.org)")
}

func (a *app) login(ctx context.Context, user string, fromPipe bool) error {
	if _, err := a.openSource(1); err != nil { // report a bad address before asking for anything
		return err
	}
	account, err := a.askAccount(ctx, user, fromPipe)
	if err != nil {
		return err
	}
	a.credentials = &account
	source, err := a.openSource(1)
	if err != nil {
		return err
	}
	if err := check(ctx, source); err != nil {
		return fmt.Errorf("%w; nothing was saved", err)
	}
	slow := time.AfterFunc(2*time.Second, func() { a.ui.Notef("waiting for the system keyring, which may need unlocking") })
	defer slow.Stop()
	accounts := a.accounts()
	places, err := accounts.Save(ctx, account)
	if err != nil {
		return fmt.Errorf("save the password: %w", err)
	}
	a.ui.LoggedIn(source.URL(), account.User, places)
	if slices.Contains(accounts.Elsewhere(), physionet.FromEnvironment) {
		a.ui.Notef("%s takes precedence while it is set", physionet.FromEnvironment)
	}
	a.tellDaemon(ctx)
	return nil
}

// tellDaemon makes the daemon that owns the mirror, if there is one, look for the account
// again. The account is saved or removed by now: if a daemon doesn't answer, that is no
// failure.
func (a *app) tellDaemon(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, failure.ErrStalled)
	defer cancel()
	client, err := api.Dial(ctx, a.mirror)
	if errors.Is(err, api.ErrNoDaemon) {
		return
	}
	if err == nil {
		defer client.Close()
		err = client.Reconsider(ctx)
	}
	if err != nil {
		a.ui.Notef("the daemon of %s couldn't be told: %s; tell it with: %s", a.mirror, err, a.ui.Adviser.Command("daemon reload"))
		return
	}
	a.ui.Printf("the daemon of %s now uses it, and retries what waited for an account\n", a.mirror)
}

// check asks the server about the account, for up to half a minute.
func check(ctx context.Context, source *physionet.Source) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, failure.ErrStalled)
	defer cancel()
	_, err := source.Identify(ctx, manifest.Ref{})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", source.URL(), context.Cause(ctx))
	}
	return err
}

// askAccount asks for what the command line leaves open.
func (a *app) askAccount(ctx context.Context, user string, fromPipe bool) (physionet.Credentials, error) {
	account := physionet.Credentials{User: user, From: advice.FromPrompt}
	var err error
	switch {
	case fromPipe && user == "":
		return account, advice.Usagef("--password-stdin needs --username")
	case fromPipe && terminal.StdinIsTerminal():
		return account, advice.Usagef("--password-stdin is for a pipe or a file; without it, you are asked for the password")
	case fromPipe:
		account.From = advice.FromStdin
		account.Password, err = terminal.ReadStdin(ctx)
	case !terminal.StdinIsTerminal():
		return account, advice.Usagef("there is no terminal to ask for the password: use --username USER --password-stdin, or set PHYSIONET_USERNAME and PHYSIONET_PASSWORD")
	default:
		if user == "" {
			account.User, err = a.ui.Ask(ctx, "PhysioNet user: ", terminal.ReadLine)
		}
		if err == nil && account.User != "" {
			account.Password, err = a.ui.Ask(ctx, "Password (not shown): ", terminal.ReadSecret)
		}
	}
	if err != nil {
		return account, err
	}
	return account, checkAccount(account)
}

func checkAccount(c physionet.Credentials) error {
	switch {
	case c.User == "":
		return advice.Usagef("no user was given")
	case strings.Contains(c.User, ":"):
		return advice.Usagef("the user must not contain a colon: HTTP cannot carry it")
	case c.Password == "":
		return advice.Usagef("no password was given")
	case strings.ContainsAny(c.User+c.Password, "\r\n\x00"):
		return advice.Usagef("the user and the password must be one line each")
	}
	return nil
}

func (a *app) logout(ctx context.Context) error {
	accounts := a.accounts()
	places, err := accounts.Forget(ctx)
	a.ui.LoggedOut(accounts.URL, places)
	for _, place := range accounts.Elsewhere() {
		a.ui.Notef("an account stays in %s", place)
	}
	a.tellDaemon(ctx)
	if err == nil && errors.Is(places.Keyring, physionet.ErrKeyringSilent) {
		return places.Keyring
	}
	if err != nil {
		return fmt.Errorf("remove the password: %w", err)
	}
	return nil
}
