package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/configs"
	"mimicsync/downloader/cost"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// The ceilings of DESIGN 4. PhysioNet's site serves everybody with ten workers,
// and users saw connect time-outs at 24; a store's front is made for crowds.
const (
	physionetConnections = 8
	storeConnections     = 64
)

// sourcesFlags choose the sources. Only those that are named are opened: who
// pulls from PhysioNet alone is not asked for a Google or AWS login.
func (a *app) sourcesFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&a.sources, "source", []string{physionet.Name}, "where to fetch from, in order of preference: `names` from "+strings.Join(configs.SourceNames, ", "))
	f.StringVar(&a.billingProject, "billing-project", "", "the Google Cloud `project` that pays for reads from gcs")
}

// settleSources fills in what the command line left open, and checks it.
func (a *app) settleSources(given func(string) bool) error {
	if !given("source") {
		a.sources = a.file.Sources
	}
	if !given("billing-project") {
		a.billingProject = a.file.GCS.BillingProject
	}
	if err := configs.CheckSources(a.sources); err != nil {
		return advice.Usagef("--source: %w", err)
	}
	return nil
}

// openSources opens the sources in order, PhysioNet if none is named, and
// PhysioNet as the authority in any case.
func (a *app) openSources(ctx context.Context) (sources []host.Source, authority *host.Source, err error) {
	site, err := a.budgeted(ctx, physionet.Name, func(connections int) (source.Source, error) { return a.openSource(connections) })
	if err != nil {
		return nil, nil, err
	}
	for _, name := range a.sources {
		b := site
		switch name {
		case gcs.Name:
			b, err = a.budgeted(ctx, name, a.openGCS)
		case s3.Name:
			b, err = a.budgeted(ctx, name, func(connections int) (source.Source, error) { return a.openS3(ctx, connections) })
		}
		if err != nil {
			return nil, nil, err
		}
		sources = append(sources, b)
	}
	if len(sources) == 0 {
		sources = append(sources, site)
	}
	return sources, &site, nil
}

// budgeted opens a source with as many connections as its host, the
// configuration, the bandwidth and the limit on open files allow.
func (a *app) budgeted(ctx context.Context, name string, open func(connections int) (source.Source, error)) (host.Source, error) {
	ceiling, own := storeConnections, a.file.S3.Connections
	switch name {
	case physionet.Name:
		ceiling, own = physionetConnections, a.file.PhysioNet.Connections
	case gcs.Name:
		own = a.file.GCS.Connections
	}
	named := cmp.Or(a.connections, own, a.file.Connections)
	connections := a.limits.bandwidth.Connections(cmp.Or(named, ceiling), cmp.Or(a.idleTimeout, time.Minute))
	connections = a.fitFiles(ctx, connections)
	source, err := open(connections)
	if err != nil {
		return host.Source{}, err
	}
	b := host.Source{Source: source, Budget: pace.NewBudget(connections)}
	if b.Price, err = a.price(source); err != nil {
		return host.Source{}, &advice.ConfigError{Err: err}
	}
	if named > 0 {
		b.Budget = pace.NewBudgetAt(connections)
	}
	return b, nil
}

// price is what the reader pays: at Google if somebody is named to pay, at Amazon
// where that was agreed to.
func (a *app) price(source source.Source) (func(manifest.Ref) cost.Price, error) {
	switch source := source.(type) {
	case *gcs.Source:
		price, err := a.file.GCS.Price.Parse(configs.DefaultGCSPrice)
		if a.billingProject == "" {
			price = cost.Price{}
		}
		return func(manifest.Ref) cost.Price { return price }, err
	case *s3.Source:
		price, err := a.file.S3.Price.Parse(configs.DefaultS3Price)
		return func(ref manifest.Ref) cost.Price {
			if !source.ReaderPays(ref) {
				return cost.Price{}
			}
			return price
		}, err
	}
	return nil, nil //nolint:nilnil // PhysioNet itself is free
}

func (a *app) openGCS(connections int) (source.Source, error) {
	o := gcs.Options{
		Bucket: a.bucket, BillingProject: a.billingProject, Anonymous: a.file.GCS.Anonymous, Endpoint: a.file.GCS.Endpoint,
		Connections: connections, DialContext: a.limits.bandwidth.DialContext, Version: version(),
	}
	if emulator := os.Getenv("STORAGE_EMULATOR_HOST"); emulator != "" { // as Google's libraries read it
		if !strings.Contains(emulator, "://") {
			emulator = "http://" + emulator
		}
		o.Endpoint, o.Anonymous = emulator, true
	}
	if endpoint := os.Getenv("MIMICSYNC_GCS_ENDPOINT"); endpoint != "" {
		o.Endpoint, o.Anonymous = endpoint, a.file.GCS.Anonymous
	}
	source, err := gcs.New(o)
	if err != nil {
		return nil, &advice.ConfigError{Err: err}
	}
	return source, nil
}

// bucket is that of a version at Google.
func (a *app) bucket(ref manifest.Ref) string {
	buckets := a.file.GCS.Buckets
	return cmp.Or(buckets[ref.String()], buckets[ref.Dataset], gcs.DefaultBucket(ref))
}

func (a *app) openS3(ctx context.Context, connections int) (source.Source, error) {
	o := s3.Options{
		Locations: map[manifest.Ref]s3.Location{}, Endpoint: a.file.S3.Endpoint, PlainHTTP: a.file.S3.PlainHTTP,
		Connections: connections, DialContext: a.limits.bandwidth.DialContext,
	}
	for key, l := range a.file.S3.Locations {
		var ref manifest.Ref
		if key != configs.AllOthers {
			var err error
			if ref, err = manifest.ParseRef(key); err != nil {
				return nil, &advice.ConfigError{Err: fmt.Errorf("s3.locations: %w", err)}
			}
		}
		o.Locations[ref] = s3.Location(l)
	}
	source, err := s3.New(ctx, o)
	if err != nil {
		return nil, &advice.ConfigError{Err: err}
	}
	return source, nil
}
