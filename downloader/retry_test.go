package downloader_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// Whatever goes wrong once on the way of a file, the pass ends with the right
// bytes, and with as few requests as it takes.
func TestATroubledTransferEndsRight(t *testing.T) {
	t.Parallel()
	const size = 300_000
	for _, tt := range []struct {
		name  string
		fault lookalike.Fault
	}{
		{"stall in the body", lookalike.Fault{Kind: lookalike.Stall, After: 100_000}},
		{"stall before the headers", lookalike.Fault{Kind: lookalike.Delay}},
		{"reset in the body", lookalike.Fault{Kind: lookalike.Reset, After: 100_000}},
		{"reset before the headers", lookalike.Fault{Kind: lookalike.Reset, After: -1}},
		{"short body", lookalike.Fault{Kind: lookalike.ShortBody, After: 100_000}},
		{"short by one byte", lookalike.Fault{Kind: lookalike.ShortBody, After: size - 1}},
		{"status 502", lookalike.Fault{Kind: lookalike.Status, Code: http.StatusBadGateway}},
		{"status 500", lookalike.Fault{Kind: lookalike.Status, Code: http.StatusInternalServerError}},
		{"status 503", lookalike.Fault{Kind: lookalike.Status, Code: http.StatusServiceUnavailable}},
		{"a wrong byte", lookalike.Fault{Kind: lookalike.Corrupt, After: 123_456}},
		{"a web page with status 200", lookalike.Fault{Kind: lookalike.HTMLPage}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			f := file("hosp/a.csv", size)
			s := newSite(t, nil, project(f, file("b", 1000)))
			tt.fault.Path, tt.fault.Times = "a.csv", 1
			fault := s.Inject(tt.fault)
			r := newRig(t, rigOptions{site: s, idle: 2 * time.Second})

			report := r.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 2, Fetched: 2})
			r.has(f)
			if fault.Struck() != 1 {
				t.Errorf("the fault struck %d times, want 1", fault.Struck())
			}
			s.wantGets(t, f.Path, 2)
		})
	}
}

// Bytes that came before the connection broke are not asked for again.
func TestABrokenConnectionGoesOnWhereItStopped(t *testing.T) {
	slow(t)
	f := file("a.csv", 2<<20)
	s := newSite(t, nil, project(f))
	s.Inject(lookalike.Fault{Kind: lookalike.ShortBody, Path: "a.csv", After: 1_500_000, Times: 1})
	r := newRig(t, rigOptions{site: s})

	r.pull()
	r.has(f)
	again := s.gets("a.csv")
	if len(again) != 2 || again[1].Range != "bytes=1500000-" || again[1].IfRange == "" || again[1].Status != http.StatusPartialContent {
		t.Errorf("requests %+v, want the second to ask for the rest, on condition that it is the same file", again)
	}
}

// The server says how long to wait, and that is how long nobody asks.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			slow(t)
			f := file("a.csv", 1000)
			s := newSite(t, nil, project(f))
			s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: code, RetryAfter: "2", Path: "a.csv", Times: 1})
			r := newRig(t, rigOptions{site: s})

			report := r.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
			if report.Elapsed < 2*time.Second {
				t.Errorf("the pass took %v, and the server had asked for 2 s", report.Elapsed)
			}
			s.wantGets(t, "a.csv", 2)
		})
	}
}

// A file that is wrong at the source never reaches the mirror, and the source
// is not asked for it for ever.
func TestAFileThatIsAlwaysCorruptIsReported(t *testing.T) {
	slow(t)
	good := file("b.csv", 5000)
	s := newSite(t, nil, project(file("a.csv", 50_000), good))
	s.Inject(lookalike.Fault{Kind: lookalike.Corrupt, Path: "a.csv", After: 10})
	r := newRig(t, rigOptions{site: s})

	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 2, Fetched: 1, Failed: 1})
	if got := reasonOf(report, "a.csv"); got != string(failure.ReasonChecksum) {
		t.Errorf("reason = %q, want checksum", got)
	}
	if n := len(s.gets("a.csv")); n > 4 {
		t.Errorf("%d requests for the corrupt file, want at most 4", n)
	}
	if want := int64(len(s.gets("a.csv")) * 50_000); report.Bytes.Discarded != want {
		t.Errorf("discarded %d bytes, want %d", report.Bytes.Discarded, want)
	}
	r.lacks("a.csv")
	r.has(good)
}

// A login page in place of every file is a failure of each, with a reason.
func TestAWebPageIsNotACSV(t *testing.T) {
	slow(t)
	s := newSite(t, nil, project(file("a.csv", 5000), file("page.html", 300)))
	s.Inject(lookalike.Fault{Kind: lookalike.HTMLPage, Path: "a.csv"})
	r := newRig(t, rigOptions{site: s})

	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 2, Fetched: 1, Failed: 1})
	if len(report.Failures) != 1 || report.Failures[0].Reason != string(failure.ReasonNetwork) || !strings.Contains(report.Failures[0].Detail, "web page") {
		t.Errorf("failures = %+v, want one that speaks of a web page", report.Failures)
	}
	r.lacks("a.csv")
}

func TestAFileWithoutALengthIsFetched(t *testing.T) {
	t.Parallel()
	f := file("a.csv", 700_000)
	s := newSite(t, nil, project(f))
	s.Inject(lookalike.Fault{Kind: lookalike.NoLength, Path: "a.csv"})
	r := newRig(t, rigOptions{site: s})

	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	s.wantGets(t, "a.csv", 1)
}

// One file that the server lost ends nothing but itself.
func TestAMissingFileIsReportedAndTheRestFetched(t *testing.T) {
	t.Parallel()
	a, c := file("a", 1000), file("c", 1000)
	s := newSite(t, nil, handmade(sums(a, file("b", 77), c), a, c))
	r := newRig(t, rigOptions{site: s})

	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 3, Fetched: 2, Failed: 1})
	if got := reasonOf(report, "b"); got != string(failure.ReasonNotFound) {
		t.Errorf("reason = %q, want not_found", got)
	}
	s.wantGets(t, "b", 2) // once more, for others came
	r.has(a, c)

	// The next pass asks for that one alone, and gets it when it is back.
	s.Publish(project(a, file("b", 77), c))
	s.Reset()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 3, Present: 2, Fetched: 1})
	if got := s.Counters().Files; got != 1 {
		t.Errorf("%d files were fetched, want 1", got)
	}
}

// A single byte in four hours is a stall; a slow line is not.
func TestASlowLineIsNotAStall(t *testing.T) {
	slow(t)
	f := file("a.csv", 40_000)
	s := newSite(t, nil, project(f))
	s.Inject(lookalike.Fault{Kind: lookalike.Slow, Path: "a.csv", Rate: 16_000})
	r := newRig(t, rigOptions{site: s, idle: time.Second})

	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	s.wantGets(t, "a.csv", 1)
	r.has(f)
}
