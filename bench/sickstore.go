//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
)

// sickStoreGoal is how long a pull may take that asks a store first which is of no use.
const sickStoreGoal = 3 * time.Minute

// sickStoreResult is what `bench sickstore` finds.
type sickStoreResult struct {
	Machine   machine `json:"machine"`
	Code      int     `json:"code"` // that the store answers
	Files     int64   `json:"files"`
	Seconds   float64 `json:"seconds"`
	Store     int64   `json:"store_requests"`
	PhysioNet int64   `json:"physionet_requests"`
}

// measureSickStore pulls what PhysioNet has from a store that is up and answers nothing but an error, with PhysioNet behind it.
func measureSickStore(flags *flag.FlagSet) func(context.Context, *stage) (result, error) {
	r := &sickStoreResult{}
	flags.IntVar(&r.Code, "code", http.StatusServiceUnavailable, "what the store answers to everything")
	n := flags.Int("n", 2000, "files of 32 to 96 bytes")
	return func(ctx context.Context, s *stage) (_ result, err error) {
		r.Machine = thisMachine(s)
		if err := s.needsCommand(); err != nil {
			return nil, err
		}
		site, err := startGenerated(ctx, s, "-n", strconv.Itoa(*n))
		if err != nil {
			return nil, err
		}
		defer site.close()
		store := lookalike.NewS3()
		store.Inject(lookalike.Fault{Kind: lookalike.Status, Code: r.Code})
		url, shut, err := s.serveSite(store, &store.Host)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, shut()) }()
		if err := s.sickStorePull(ctx, site, url, r); err != nil {
			return nil, err
		}
		r.Store = store.Counters().Requests
		return r, nil
	}
}

func (s *stage) sickStorePull(ctx context.Context, site *generatedServer, storeURL string, r *sickStoreResult) error {
	mirror := filepath.Join(s.dir, "mirror")
	cmd := s.command(ctx, s.client, "pull", demo.String(), "--mirror", mirror, "--source", s3.Name+","+physionet.Name, "--progress", "plain")
	cmd.Env = append(cmd.Env, "MIMICSYNC_PHYSIONET_URL="+site.about.URL, s3Var+"="+storeURL)
	cmd.Stdout = os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the pull: %w", err)
	}
	served, err := site.tally()
	r.Files, r.Seconds, r.PhysioNet = site.about.Files, time.Since(start).Seconds(), served.Requests
	tree := filepath.Join(mirror, demo.Dataset, demo.Version)
	return errors.Join(err, s.verify(ctx, site.about.Manifest, tree, r.Files, false, new(run)))
}

func (r *sickStoreResult) print() {
	r.Machine.print()
	fmt.Printf("%d files from a store that answers %d to everything, else from PhysioNet: %.1f s, %d requests to the store, %d to PhysioNet\n",
		r.Files, r.Code, r.Seconds, r.Store, r.PhysioNet)
	fmt.Printf("within %v: %.1f s, %s\n", sickStoreGoal, r.Seconds, reached(r.Seconds <= sickStoreGoal.Seconds()))
}
