package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
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

// sourceKind is a kind of source: what the commands need to know to open one. A new source
// is a package below downloader/source and a row here.
type sourceKind struct {
	name string
	// ceiling is the most connections to its host, unless the user sets another number.
	ceiling int
	// connections is that number in the configuration of the source, 0 if it isn't set.
	connections func(configs.Config) int
	open        func(ctx context.Context, a *app, connections int) (source.Source, error)
	// price returns what its readers pay; nil if it is free.
	price func(*app, source.Source) (func(manifest.Ref) cost.Price, error)
	// billsProject says that readers may pay for it with a project, which doctor checks.
	billsProject bool
}

// PhysioNet's site serves everybody with ten workers, and users saw connect time-outs at
// 24 connections. The front of an object store is made for crowds.
const (
	physionetConnections = 8
	storeConnections     = 64
)

// sourceKinds are all sources, PhysioNet first.
var sourceKinds = []sourceKind{
	{
		name: physionet.Name, ceiling: physionetConnections,
		connections: func(c configs.Config) int { return c.PhysioNet.Connections },
		open: func(_ context.Context, a *app, connections int) (source.Source, error) {
			return a.openSource(connections)
		},
	},
	{
		name: gcs.Name, ceiling: storeConnections,
		connections: func(c configs.Config) int { return c.GCS.Connections },
		open: func(_ context.Context, a *app, connections int) (source.Source, error) {
			return a.openGCS(connections)
		},
		price: (*app).gcsPrice, billsProject: true,
	},
	{
		name: s3.Name, ceiling: storeConnections,
		connections: func(c configs.Config) int { return c.S3.Connections },
		open: func(ctx context.Context, a *app, connections int) (source.Source, error) {
			return a.openS3(ctx, connections)
		},
		price: (*app).s3Price,
	},
}

// kindOf returns the kind for a name that configs.CheckSources has accepted.
func kindOf(name string) sourceKind {
	return sourceKinds[slices.IndexFunc(sourceKinds, func(k sourceKind) bool { return k.name == name })]
}

// sourcesFlags choose the sources. Only named sources are opened: someone who pulls only
// from PhysioNet needs no Google or AWS login.
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

// openSources opens the sources in order, PhysioNet if none is named, and PhysioNet as the
// authority in any case.
func (a *app) openSources(ctx context.Context) (sources []host.Source, authority *host.Source, err error) {
	site, err := a.openHost(ctx, kindOf(physionet.Name))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range a.sources {
		b := site
		if name != physionet.Name {
			if b, err = a.openHost(ctx, kindOf(name)); err != nil {
				return nil, nil, err
			}
		}
		sources = append(sources, b)
	}
	if len(sources) == 0 {
		sources = append(sources, site)
	}
	return sources, &site, nil
}

// openHost opens a source with as many connections as its host, the configuration, the
// bandwidth and the limit on open files allow.
func (a *app) openHost(ctx context.Context, kind sourceKind) (host.Source, error) {
	named := cmp.Or(a.connections, kind.connections(a.file), a.file.Connections)
	connections := a.limits.bandwidth.Connections(cmp.Or(named, kind.ceiling), cmp.Or(a.idleTimeout, time.Minute))
	connections = a.fitFiles(ctx, connections)
	opened, err := kind.open(ctx, a, connections)
	if err != nil {
		return host.Source{}, err
	}
	b := host.Source{Source: opened, Budget: pace.NewBudget(connections)}
	if kind.price != nil {
		if b.Price, err = kind.price(a, opened); err != nil {
			return host.Source{}, &advice.ConfigError{Err: err}
		}
	}
	if named > 0 {
		b.Budget = pace.NewBudgetAt(connections)
	}
	return b, nil
}

// gcsPrice is the price of reading from Google if a project is set.
func (a *app) gcsPrice(source.Source) (func(manifest.Ref) cost.Price, error) {
	price, err := a.file.GCS.Price.Parse(configs.DefaultGCSPrice)
	if a.billingProject == "" {
		price = cost.Price{}
	}
	return func(manifest.Ref) cost.Price { return price }, err
}

// s3Price is the price of reading from Amazon if the configuration agrees to pay.
func (a *app) s3Price(opened source.Source) (func(manifest.Ref) cost.Price, error) {
	price, err := a.file.S3.Price.Parse(configs.DefaultS3Price)
	payer, ok := opened.(*s3.Source)
	return func(ref manifest.Ref) cost.Price {
		if !ok || !payer.ReaderPays(ref) {
			return cost.Price{}
		}
		return price
	}, err
}

func (a *app) openGCS(connections int) (source.Source, error) {
	o := gcs.Options{
		Bucket: a.bucket, BillingProject: a.billingProject, Anonymous: a.file.GCS.Anonymous, Endpoint: a.file.GCS.Endpoint,
		Connections: connections, DialContext: a.limits.bandwidth.DialContext, Version: version(),
	}
	if emulator := os.Getenv("STORAGE_EMULATOR_HOST"); emulator != "" { // like Google's libraries
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

// bucket is the bucket of a version at Google.
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
