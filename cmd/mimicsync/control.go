package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/downloader/pace"
	"mimicsync/manifest"
)

// controlCommands are those of `mimicsync daemon` that steer one which runs.
func (a *app) controlCommands() []*cobra.Command {
	all := []*cobra.Command{
		a.control("pause [DATASET]", "End passes in good order, and start none until resume",
			`Pause ends the passes of a dataset, or of all, in good order and lets none begin by
itself. It holds until resume, also when the daemon is started anew.`,
			"  mimicsync daemon pause mimic-cxr-jpg", cobra.MaximumNArgs(1), a.pause),
		a.control("resume [DATASET]", "Undo pause, and go on with what was interrupted",
			`Resume lets the passes of a dataset, or of all, begin again, and goes on with those
that pause ended. A dataset that was paused by its name is resumed by its name.`,
			"  mimicsync daemon resume", cobra.MaximumNArgs(1), a.resume),
		a.control("cancel DATASET", "End the pass of a dataset in good order",
			`Cancel ends the pass that runs; what has come is kept, and the next pass goes on
with it. That is the one of the schedule, if there is one.`,
			"  mimicsync daemon cancel mimic-cxr-jpg", cobra.ExactArgs(1), a.cancel),
		a.control("bwlimit RATE", "Limit what is received, until the configuration is reloaded",
			`Bwlimit changes how much all passes together may receive in a second: 10M, 512k, off,
or a timetable. It holds until the configuration is reloaded or the daemon is started
anew; to keep it, write it into the configuration as bwlimit.`,
			"  mimicsync daemon bwlimit 2M\n  mimicsync daemon bwlimit '08:00,2M 19:00,off'", cobra.ExactArgs(1), a.setBWLimit),
		a.control("reload", "Read the configuration again",
			`Reload makes the daemon read its configuration file again, look for accounts anew, and
try again at once what waited for a login or an agreement. A bad file leaves the
configuration in force as it is.`,
			"  mimicsync daemon reload", cobra.NoArgs, a.reload),
	}
	return append(all, a.tokenCommand())
}

// control is a command that asks the daemon of the mirror for something.
func (a *app) control(use, short, long, example string, args cobra.PositionalArgs,
	do func(ctx context.Context, client *api.Client, args []string) error,
) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := api.Dial(cmd.Context(), a.mirror)
			if errors.Is(err, api.ErrNoDaemon) {
				err = cmp.Or(checkMirror(a.mirror, false), err) // one that waits for its mirror runs, and answers nobody
			}
			if err != nil {
				return err
			}
			defer client.Close()
			return do(cmd.Context(), client, args)
		},
	}
	a.mirrorFlag(cmd.Flags())
	return cmd
}

// named is the dataset that the command line names, empty if none.
func named(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	ref, err := manifest.ParseRef(args[0])
	return ref.Dataset, err
}

func (a *app) pause(ctx context.Context, client *api.Client, args []string) error {
	dataset, err := named(args)
	if err != nil {
		return err
	}
	if err := client.Pause(ctx, dataset); err != nil {
		return err
	}
	a.ui.Printf("%s: paused; go on with: %s%s\n", cmp.Or(dataset, "all datasets"), a.ui.Adviser.Command("daemon resume"), words.After(dataset))
	return nil
}

func (a *app) resume(ctx context.Context, client *api.Client, args []string) error {
	dataset, err := named(args)
	if err != nil {
		return err
	}
	if err := client.Resume(ctx, dataset); err != nil {
		return err
	}
	a.ui.Printf("%s: resumed\n", cmp.Or(dataset, "all datasets"))
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if status.Paused {
		a.ui.Notef("it waits all the same: all datasets are paused; go on with: %s", a.ui.Adviser.Command("daemon resume"))
		return nil
	}
	for _, d := range status.Datasets {
		if dataset == "" && d.Condition == daemon.Paused {
			a.ui.Notef("%s is still paused by its name; go on with: %s", d.Dataset, a.ui.Adviser.Command("daemon resume", d.Dataset))
		}
	}
	return nil
}

func (a *app) cancel(ctx context.Context, client *api.Client, args []string) error {
	dataset, err := named(args)
	if err != nil {
		return err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	for _, d := range status.Datasets {
		if d.Dataset == dataset && d.Pass != nil {
			if err := client.Cancel(ctx, d.Pass.ID); err != nil {
				return err
			}
			a.ui.Printf("%s: canceled; what has come is kept\n", dataset)
			return nil
		}
	}
	return &advice.UsageError{Err: fmt.Errorf("%s: no pass runs", dataset), Hint: "see what runs with: " + a.ui.Adviser.Command("status")}
}

func (a *app) setBWLimit(ctx context.Context, client *api.Client, args []string) error {
	if _, err := pace.ParseTimetable(args[0]); err != nil {
		return &advice.UsageError{Err: err, Hint: "see: mimicsync daemon bwlimit --help"}
	}
	if err := client.BWLimit(ctx, args[0]); err != nil {
		return err
	}
	a.ui.Printf("the limit is %s, until the configuration is reloaded\n", args[0])
	return nil
}

func (a *app) reload(ctx context.Context, client *api.Client, _ []string) error {
	notes, err := client.Reload(ctx)
	if err != nil {
		return err
	}
	for _, note := range notes {
		a.ui.Notef("%s", note)
	}
	a.ui.Printf("the configuration is reloaded\n")
	return nil
}

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print the token of the control API and the page",
		Long: `Token prints what changes need over TCP, and reading from another machine: log in
with it on the daemon's page, or send it as Authorization: Bearer. It is made when it
is asked for first, and kept in .mimicsync/token in the mirror, unless token_file of
the configuration names another file.`,
		Example: `  curl -H "Authorization: Bearer $(mimicsync daemon token)" -X POST http://127.0.0.1:8765/api/v1/reload`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkMirror(a.mirror, false); err != nil {
				return err
			}
			token, err := api.Token(a.mirror, a.file.TokenFile)
			if err != nil {
				return &advice.ConfigError{Err: err}
			}
			_, err = fmt.Fprintln(a.ui.Stdout, token)
			return err
		},
	}
	a.mirrorFlag(cmd.Flags())
	return cmd
}
