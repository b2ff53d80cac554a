//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	"mimicsync/downloader"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// outcome is what a client says it has done.
type outcome struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// libraryPass runs one pass, or plans one, as `mimicsync pull` does, and prints the same JSON. It is what is measured where
// the command cannot be built, and where a profile is wanted.
func libraryPass(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("pass", flag.ContinueOnError)
	dataset := flags.String("dataset", demo.String(), "what to fetch")
	dir := flags.String("dir", "", "the mirror")
	connections := flags.Int("connections", 16, "ceiling")
	dry := flags.Bool("dry-run", false, "plan only")
	from := flags.String("source", physionet.Name, "where the files come from")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ref, err := manifest.ParseRef(*dataset)
	if err != nil {
		return err
	}
	stop, err := startProfile()
	if err != nil {
		return err
	}
	defer stop()
	place, err := store.Locate(*dir, "")
	if err != nil {
		return err
	}
	state, err := store.Open(place, "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	tree, err := tree.Open(*dir, tree.Options{Network: place.Network != ""})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	source, authority, err := passSources(ctx, *from, *connections)
	if err != nil {
		return err
	}
	syncer, err := downloader.New(downloader.Options{Tree: tree, Store: state, Sources: []host.Source{source}, Authority: &authority})
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if *dry {
		plan, err := syncer.Plan(ctx, ref, manifest.Selection{})
		return errors.Join(err, out.Encode(plan))
	}
	result, err := syncer.Pull(ctx, ref, manifest.Selection{}, new(progress.Progress))
	return errors.Join(err, out.Encode(map[string]any{"passes": []*report.Report{result}}))
}

// passSources opens the source of the files and the authority, as the command does.
func passSources(ctx context.Context, from string, connections int) (source, authority host.Source, err error) {
	url := os.Getenv("MIMICSYNC_PHYSIONET_URL")
	site, err := physionet.New(physionet.Options{URL: url, Find: physionet.Accounts{URL: url}.Find, Version: "bench", Connections: connections})
	authority = host.Source{Source: site, Budget: pace.NewBudgetAt(connections)}
	if err != nil || from == physionet.Name {
		return authority, authority, err
	}
	source.Budget = pace.NewBudgetAt(connections)
	switch from {
	case gcs.Name:
		source.Source, err = gcs.New(gcs.Options{Endpoint: os.Getenv(gcsVar), Anonymous: true, Connections: connections, Version: "bench"}) //nolint:contextcheck // it asks nobody
	case s3.Name:
		source.Source, err = s3.New(ctx, s3.Options{Connections: connections})
	default:
		err = fmt.Errorf("there is no source %q", from)
	}
	return source, authority, err
}

// profileVar names a folder. Where it is set, the bare loop and libraryPass leave their profiles there.
const profileVar = "MIMICSYNC_BENCH_PROFILE"

// startProfile begins a profile, if one is wanted. The function that it returns ends it.
func startProfile() (func(), error) {
	dir := os.Getenv(profileVar)
	if dir == "" {
		return func() {}, nil
	}
	prefix := filepath.Join(dir, fmt.Sprintf("%s-%d.", os.Args[1], os.Getpid()))
	f, err := os.Create(prefix + "cpu") //nolint:gosec // the folder that the person at the keyboard named
	if err != nil {
		return nil, err
	}
	runtime.SetBlockProfileRate(10_000)
	runtime.SetMutexProfileFraction(10)
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
		for _, name := range []string{"block", "mutex", "allocs"} {
			if f, err := os.Create(prefix + name); err == nil { //nolint:gosec // as above; a profile that is missing shows by itself
				_ = pprof.Lookup(name).WriteTo(f, 0)
				_ = f.Close()
			}
		}
	}, nil
}
