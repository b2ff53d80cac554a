package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/doctor"
	"mimicsync/configs"
	"mimicsync/downloader/source"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [DATASET[@VERSION]]",
		Short: "Find out why access fails, and how to fix it",
		Long: `Doctor checks whether each source can be reached, which account it sees, whether you
may read the dataset, and whether the mirror's folder is usable. For each failed check it
names the page to open or the command to type. Without a dataset it checks the rest.

It makes at most seven requests to a source, fetches no file, and limits each check to ten
seconds. The exit code is 0 if at least one source serves the dataset, otherwise 4.`,
		Example: `  mimicsync doctor mimiciv
  mimicsync doctor mimic-cxr-jpg@2.1.0 --mirror /data/physionet.org/files
  mimicsync doctor mimiciv --json | jq '.groups[].checks[] | select(.state=="failed") | .cure'`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeOneDataset,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("source") {
				a.sources = configs.SourceNames
			}
			return a.doctor(cmd.Context(), args)
		},
	}
	a.mirrorFlags(cmd.Flags())
	a.sourcesFlags(cmd.Flags())
	cmd.Flags().Lookup("source").DefValue = strings.Join(configs.SourceNames, ",")
	a.credentialsFlag(cmd.Flags())
	cmd.Flags().BoolVar(&a.json, "json", false, "print the findings as one JSON object")
	return cmd
}

func (a *app) doctor(ctx context.Context, args []string) (err error) {
	result := doctor.Diagnosis{From: []string{}, Groups: []doctor.Group{}}
	if a.json { // in every case, for programs that read it
		defer func() { err = errors.Join(err, a.ui.JSON(result.With(err))) }()
	}
	refs, err := parseRefs(args)
	if err != nil {
		return err
	}
	d := &doctor.Doctor{
		Mirror: a.mirror, Candidates: a.candidates(ctx), Physionet: a.physionetAddress(), Limit: doctor.CheckLimit,
		Adviser: a.ui.Adviser, Check: func() error { return checkMirror(a.mirror, false) }, IsAway: func(err error) bool { return errors.As(err, new(*awayError)) },
	}
	if len(refs) > 0 {
		d.Ref, d.Wanted = refs[0], true
	}
	answered := a.noteWait(strings.Join(a.sources, ", "), doctor.CheckLimit)
	result = d.Examine(ctx)
	answered()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !a.json {
		result.Print(a.ui)
	}
	if !result.OK {
		a.code = advice.ExitAccess
	}
	return nil
}

// candidates are the named sources, or all sources.
func (a *app) candidates(ctx context.Context) (list []doctor.Candidate) {
	for _, name := range a.sources {
		kind := kindOf(name)
		opened, err := kind.open(ctx, a, 1)
		c := doctor.Candidate{Name: name, Err: err, BillsProject: kind.billsProject}
		c.Source, _ = opened.(source.Diagnoser) // every source is one
		list = append(list, c)
	}
	return list
}
