package downloader_test

import (
	"errors"
	"strings"
	"testing"

	"mimicsync/downloader"
	"mimicsync/downloader/cost"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
	"mimicsync/store"
)

// The first source costs money, and another one does not: when the limit is
// reached, the pass goes on without the first, and is complete.
func TestMaxCostLeavesTheRestToAFreeSource(t *testing.T) {
	t.Parallel()
	files := manyFiles(60, 100_000) // 10 cents each for the bytes, and 10 for the request
	g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{}, files...)
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	var log strings.Builder
	r := newRig(t, rigOptions{
		sources: []host.Source{dear(g.source), authority}, authority: &authority, maxCost: dollars(5), connections: 1, log: &log,
	})
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 60, Fetched: 60})
	paid, free := report.Sources[0], report.Sources[1]
	if paid.Files < 20 || paid.Files > 25 || paid.Files+free.Files != 60 || paid.Failed != 0 {
		t.Errorf("sources = %+v, want at most 25 files from the one that costs money, and all others from the free one", report.Sources)
	}
	if want := "the limit is reached: $5.00 spent at gcs"; paid.Dropped != want || !errors.Is(paid.Err, failure.ErrLimit) {
		t.Errorf("dropped = %q, want %q", paid.Dropped, want)
	}
	if n := strings.Count(log.String(), "source dropped"); n != 1 {
		t.Errorf("%d messages about a dropped source, want one", n)
	}
	r.has(files...)
}

// Where every source costs money the limit ends the pass in good order, in the
// middle of a file too, and the next command goes on from there.
func TestMaxCostEndsAPassInGoodOrder(t *testing.T) {
	t.Parallel()
	files := []lookalike.GeneratedFile{file("a", 6*mega), file("b", 1000)}
	g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{NoList: true}, files...)
	p := newSite(t, nil, unsized(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{dear(g.source)}, authority: &authority, maxCost: dollars(3)})
	report, err := r.tryPull(t.Context())
	if !errors.Is(err, failure.ErrLimit) || report.State != store.Incomplete || report.Files.Failed != 0 || report.Left == 0 {
		t.Fatalf("Pull = %v, %+v, want %v and an incomplete pass without a failure", err, report, failure.ErrLimit)
	}
	first := r.arrived.Fetched.Load()
	if first < 2*mega || first > 4*mega {
		t.Errorf("%d bytes for 3 dollars, want about 2.9 MB", first)
	}
	r.options.maxCost = nil
	r.reopen()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Fetched: 2 - report.Files.Fetched, Present: report.Files.Fetched})
	if second := r.arrived.Fetched.Load(); first+second != 6*mega+1000 {
		t.Errorf("%d and %d bytes were fetched, want each once", first, second)
	}
	r.has(files...)
}

// A pass that is known to cost more does not start.
func TestAPassThatIsKnownToCostMoreDoesNotStart(t *testing.T) {
	t.Parallel()
	files := manyFiles(10, 1_000_000)
	g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{}, files...)
	p := newSite(t, nil, unsized(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{dear(g.source)}, authority: &authority, maxCost: dollars(10)})
	report, err := r.tryPull(t.Context())
	refused, ok := errors.AsType[*downloader.CostError](err)
	if !ok || refused.Cost != 11_000_000 || report.State != store.Failed {
		t.Fatalf("Pull = %v, %+v, want that it would cost 11 dollars", err, report)
	}
	if got, want := err.Error(), "fetching demo@1.0 from gcs would cost about $11.00, and the limit is $10.00"; got != want {
		t.Errorf("Pull = %q, want %q", got, want)
	}
	if n := r.arrived.Fetched.Load(); n != 0 {
		t.Errorf("%d bytes were fetched", n)
	}
	r.options.maxCost = dollars(11)
	r.reopen()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 10, Fetched: 10})
}

// Nothing may be spent: the source that costs money is not asked for one file.
func TestAMaxCostOfNothing(t *testing.T) {
	t.Parallel()
	files := manyFiles(5, 1000)
	g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{}, files...)
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{dear(g.source), authority}, authority: &authority, maxCost: dollars(0)})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 5, Fetched: 5})
	if n := g.Counters().Requests; n != 0 {
		t.Errorf("%d requests to the source that costs money", n)
	}
}

// dear gives a source a price of a dollar a megabyte, and ten cents a request.
func dear(b host.Source) host.Source {
	b.Price = func(manifest.Ref) cost.Price {
		return cost.Price{PerGB: 1e9, Per10000Requests: 1e9}
	}
	return b
}

func dollars(n int64) *cost.Money {
	m := cost.Money(n * 1e6)
	return &m
}
