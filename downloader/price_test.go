package downloader_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"mimicsync/downloader"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
	"mimicsync/store"
)

func TestMoneyIsExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		micros     downloader.Money
		shown, raw string
	}{
		"0":              {0, "$0.00", "0"},
		"$20":            {20_000_000, "$20.00", "20"},
		"0.12":           {120_000, "$0.12", "0.12"},
		".5":             {500_000, "$0.50", "0.5"},
		"0.0004":         {400, "<$0.01", "0.0004"},
		"1234.567891":    {1_234_567_891, "$1,234.57", "1234.567891"},
		"9999999.999999": {9_999_999_999_999, "$10,000,000.00", "9999999.999999"},
	} {
		m, err := downloader.ParseMoney(text)
		if err != nil || m != want.micros {
			t.Errorf("ParseMoney(%q) = %d, %v, want %d", text, m, err, want.micros)
		}
		if got := m.String(); got != want.shown {
			t.Errorf("%q is shown as %s, want %s", text, got, want.shown)
		}
		if raw, err := json.Marshal(m); err != nil || string(raw) != want.raw {
			t.Errorf("%q in JSON is %s, %v, want %s", text, raw, err, want.raw)
		}
	}
	for _, text := range []string{"", "$", ".", "5.", "-1", "+1", "1e3", "1,000", "0.0000001", "5 EUR", "99999999999999999999", "off"} {
		if m, err := downloader.ParseMoney(text); err == nil {
			t.Errorf("ParseMoney(%q) = %v, want an error", text, m)
		}
	}
}

func TestWhatBytesAndRequestsCost(t *testing.T) {
	t.Parallel()
	google := downloader.Price{PerGB: 120_000, Per10000Requests: 4000}
	for _, tt := range []struct {
		price           downloader.Price
		bytes, requests int64
		want            downloader.Money
	}{
		{google, 0, 0, 0},
		{google, 1, 0, 1}, // rounded up
		{google, 0, 1, 1},
		{google, 570e9, 377_110, 68_400_000 + 150_844},
		{google, 600e15, 0, 72_000_000_000_000},
		{downloader.Price{}, 1e15, 1e9, 0},
		{downloader.Price{PerGB: math.MaxInt64}, math.MaxInt64, math.MaxInt64, math.MaxInt64},
		{downloader.Price{PerGB: math.MaxInt64, Per10000Requests: math.MaxInt64}, 1e9, 1e4, math.MaxInt64},
	} {
		if got := tt.price.Cost(tt.bytes, tt.requests); got != tt.want {
			t.Errorf("%+v.Cost(%d, %d) = %d, want %d", tt.price, tt.bytes, tt.requests, got, tt.want)
		}
	}
}

// dear gives a source a price of a dollar a megabyte, and ten cents a request.
func dear(b downloader.Budgeted) downloader.Budgeted {
	b.Price = func(manifest.Ref) downloader.Price {
		return downloader.Price{PerGB: 1e9, Per10000Requests: 1e9}
	}
	return b
}

func dollars(n int64) *downloader.Money {
	m := downloader.Money(n * 1e6)
	return &m
}

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
		sources: []downloader.Budgeted{dear(g.source), authority}, authority: &authority, maxCost: dollars(5), connections: 1, log: &log,
	})
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 60, Fetched: 60})
	paid, free := report.Sources[0], report.Sources[1]
	if paid.Files < 20 || paid.Files > 25 || paid.Files+free.Files != 60 || paid.Failed != 0 {
		t.Errorf("sources = %+v, want at most 25 files from the one that costs money, and all others from the free one", report.Sources)
	}
	if want := "the limit is reached: $5.00 spent at gcs"; paid.Dropped != want || !errors.Is(paid.Err, downloader.ErrLimit) {
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
	r := newRig(t, rigOptions{sources: []downloader.Budgeted{dear(g.source)}, authority: &authority, maxCost: dollars(3)})
	report, err := r.tryPull(t.Context())
	if !errors.Is(err, downloader.ErrLimit) || report.State != store.Incomplete || report.Files.Failed != 0 || report.Left == 0 {
		t.Fatalf("Pull = %v, %+v, want %v and an incomplete pass without a failure", err, report, downloader.ErrLimit)
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
	r := newRig(t, rigOptions{sources: []downloader.Budgeted{dear(g.source)}, authority: &authority, maxCost: dollars(10)})
	report, err := r.tryPull(t.Context())
	cost, ok := errors.AsType[*downloader.CostError](err)
	if !ok || cost.Cost != 11_000_000 || report.State != store.Failed {
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
	r := newRig(t, rigOptions{sources: []downloader.Budgeted{dear(g.source), authority}, authority: &authority, maxCost: dollars(0)})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 5, Fetched: 5})
	if n := g.Counters().Requests; n != 0 {
		t.Errorf("%d requests to the source that costs money", n)
	}
}
