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

// controlCommands are the commands of `mimicsync daemon` that control a running daemon.
func (a *app) controlCommands() []*cobra.Command {
	all := []*cobra.Command{
		a.control("pause [DATASET]", "Stop passes, and start none until resume",
			`Pause stops the passes of a dataset, or of all, and starts no more. It lasts until
resume, even if the daemon restarts.`,
			"  mimicsync daemon pause mimic-cxr-jpg", cobra.MaximumNArgs(1), a.pause),
		a.control("resume [DATASET]", "Undo pause, and continue interrupted passes",
			`Resume allows passes of a dataset, or of all, again, and continues those that pause
stopped. A dataset that was paused by name must be resumed by name.`,
			"  mimicsync daemon resume", cobra.MaximumNArgs(1), a.resume),
		a.control("cancel DATASET", "Stop the pass of a dataset",
			`Cancel stops the running pass of a dataset. Everything fetched is kept; the next pass,
as scheduled, continues from there.`,
			"  mimicsync daemon cancel mimic-cxr-jpg", cobra.ExactArgs(1), a.cancel),
		a.control("bwlimit RATE", "Limit the bandwidth until the configuration is reloaded",
			`Bwlimit sets how many bytes per second all passes together may receive: 10M, 512k,
off, or a timetable. It lasts until the configuration is reloaded or the daemon restarts;
to keep it, set bwlimit in the configuration.`,
			"  mimicsync daemon bwlimit 2M\n  mimicsync daemon bwlimit '08:00,2M 19:00,off'", cobra.ExactArgs(1), a.setBWLimit),
		a.control("reload", "Read the configuration again",
			`Reload makes the daemon read its configuration file and the accounts again, and retry
immediately what waited for a login or an agreement. An invalid file changes nothing.`,
			"  mimicsync daemon reload", cobra.NoArgs, a.reload),
	}
	return append(all, a.tokenCommand())
}

// control is a command that sends a request to the mirror's daemon.
func (a *app) control(use, short, long, example string, args cobra.PositionalArgs,
	do func(ctx context.Context, client *api.Client, args []string) error,
) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := api.Dial(cmd.Context(), a.mirror)
			if errors.Is(err, api.ErrNoDaemon) {
				err = cmp.Or(checkMirror(a.mirror, false), err) // a daemon that waits for its mirror answers nobody
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
	a.ui.Printf("%s: paused; resume with: %s%s\n", cmp.Or(dataset, "all datasets"), a.ui.Adviser.Command("daemon resume"), words.After(dataset))
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
		a.ui.Notef("it still waits, because all datasets are paused; resume with: %s", a.ui.Adviser.Command("daemon resume"))
		return nil
	}
	for _, d := range status.Datasets {
		if dataset == "" && d.Condition == daemon.Paused {
			a.ui.Notef("%s is still paused by name; resume with: %s", d.Dataset, a.ui.Adviser.Command("daemon resume", d.Dataset))
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
			a.ui.Printf("%s: canceled; everything fetched is kept\n", dataset)
			return nil
		}
	}
	return &advice.UsageError{Err: fmt.Errorf("%s: no pass is running", dataset), Hint: "see what is running with: " + a.ui.Adviser.Command("status")}
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
		Long: `Token prints the token that the API requires over TCP for changes, and for all requests
from other machines: enter it on the daemon's page, or send it as Authorization: Bearer.
It is created on first use, in .mimicsync/token in the mirror, or in the file that
token_file in the configuration names.`,
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
