package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/daemon"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [DATASET[@VERSION]]",
		Short: "Show what the mirror has and what its daemon does",
		Long: `Status shows, for each version in the mirror, how much is downloaded and verified, how
the last pass ended, and how much is in quarantine. It reads a copy of the state file,
not the data: it needs no write access, and works while a pull runs. If a daemon owns
the mirror, status also shows what runs now, what it waits for and until when, what comes
next, and what needs your attention.`,
		Example: `  mimicsync status --mirror /data/physionet`,
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: completeOneDataset,
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd.Context(), args) },
	}
	a.mirrorFlags(cmd.Flags())
	cmd.Flags().BoolVar(&a.json, "json", false, "print it as one JSON object")
	return cmd
}

func (a *app) status(ctx context.Context, args []string) (err error) {
	o, err := a.findOwner(ctx)
	if err != nil {
		return err
	}
	if o != nil {
		defer o.Close()
		return o.status(ctx, args)
	}
	if err := checkMirror(a.mirror, false); err != nil {
		return err
	}
	m, err := a.openReadOnly(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	refs, err := m.known(args)
	if err != nil {
		return err
	}
	all := []terminal.VersionStatus{}
	for _, ref := range refs {
		s, err := m.versionStatus(ref)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	aside, err := tree.QuarantineOf(a.mirror, manifest.Ref{})
	if err != nil && !errors.Is(err, fs.ErrPermission) { // a reader need not see it
		return err
	}
	if a.json {
		return a.ui.JSON(map[string]any{"mirror": a.mirror, "datasets": all, "quarantine": aside})
	}
	a.ui.Status(all, a.mirror)
	a.ui.Aside(aside, a.mirror)
	if owner, ok := store.OwnerOf(a.mirror); ok {
		a.ui.Notef("%s has been using it since %s: pid %d on %s", owner.Command, owner.Started.Local().Format(time.DateTime), owner.PID, owner.Host)
	}
	if lost := unknownOf(a.mirror, refs); len(args) == 0 && len(lost) > 0 {
		a.ui.Lines("hint", fmt.Sprintf("the state has no record of the files of %s; if the state file was lost, rebuild it from the mirror with:\n"+
			"%s", lost[0], a.ui.Adviser.Command("verify", "--rebuild")))
	}
	return nil
}

func (m *mirror) versionStatus(ref manifest.Ref) (terminal.VersionStatus, error) {
	v, _, err := m.store.Version(ref)
	if err != nil {
		return terminal.VersionStatus{}, err
	}
	s := terminal.VersionStatus{
		Dataset: ref.Dataset, Version: ref.Version, Entries: v.Manifest.Entries, Published: v.Bytes, Manifest: v.Manifest.Fetched,
	}
	if v.Selection != nil {
		s.Selection = *v.Selection
	}
	if s.Files, s.Bytes, err = m.store.Totals(v.ID); err != nil {
		return s, err
	}
	s.Last, err = daemon.LastPassOf(m.store, ref)
	return s, err
}
