package lookalike_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
)

// faulty serves the demo with one fault.
func faulty(t *testing.T, f lookalike.Fault) *site {
	t.Helper()
	s := lookalike.New(demo())
	s.Inject(f)
	return serve(t, s)
}

func TestStallEndsWithTheClient(t *testing.T) {
	t.Parallel()
	w := faulty(t, lookalike.Fault{Kind: lookalike.Stall, Path: "*.gz", After: 10_000, Times: 1})
	w.get("/ping/") // so that the time below is not spent on a handshake
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	a := w.get(bigFile, func(r *http.Request) { *r = *r.WithContext(ctx) })
	if len(a.body) != 10_000 || !errors.Is(a.err, context.DeadlineExceeded) {
		t.Errorf("got %d bytes and %v, want 10,000 and a deadline", len(a.body), a.err)
	}
	if a := w.get(bigFile); len(a.body) != 100_000 || a.err != nil {
		t.Errorf("after the stall, got %d bytes and %v", len(a.body), a.err)
	}
}

func TestStallEndsByItself(t *testing.T) {
	t.Parallel()
	w := faulty(t, lookalike.Fault{Kind: lookalike.Stall, After: 10_000, Duration: 30 * time.Millisecond})
	start := time.Now()
	a := w.get(bigFile)
	if !bytes.Equal(a.body, contentOf(t, "hosp/admissions.csv.gz")) || time.Since(start) < 30*time.Millisecond {
		t.Errorf("got %d bytes and %v after %v", len(a.body), a.err, time.Since(start))
	}
}

func TestCloseEndsStalls(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.Stall})
	time.AfterFunc(30*time.Millisecond, w.Server.Close)
	if a := w.get(bigFile); a.err == nil {
		t.Error("a stalled body ended without an error")
	}
}

func TestReset(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.Reset, After: 50_000, Times: 1})
	a := w.get(bigFile)
	if !errors.Is(a.err, syscall.ECONNRESET) || len(a.body) > 50_000 {
		t.Errorf("got %d bytes and %v, want a reset connection", len(a.body), a.err)
	}
	w.get(bigFile).want(t, 200)
	if got := w.Counters().Conns; got != 2 {
		t.Errorf("Conns = %d, want 2", got)
	}
}

func TestResetBeforeHeaders(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.Reset, After: -1})
	if _, err := w.try(http.MethodGet, bigFile); err == nil {
		t.Error("got an answer, want none")
	}
}

func TestResetOverHTTP2(t *testing.T) {
	s := lookalike.New(demo())
	s.Inject(lookalike.Fault{Kind: lookalike.Reset, After: 10})
	ts := httptest.NewUnstartedServer(s)
	ts.EnableHTTP2 = true
	ts.StartTLS()
	defer ts.Close()
	w := &site{Server: s, t: t, url: ts.URL, client: ts.Client()}
	w.get("/ping/").want(t, 200)
	if got := s.Counters().Protocols["HTTP/2.0"]; got != 1 {
		t.Errorf("HTTP/2 requests = %d, want 1", got)
	}
	if a, err := w.try(http.MethodGet, bigFile); err == nil && a.err == nil {
		t.Error("the body ended without an error")
	}
}

func TestShortBody(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.ShortBody, After: 99_999})
	a := w.get(bigFile)
	a.want(t, 200, "Content-Length", "100000")
	if !errors.Is(a.err, io.ErrUnexpectedEOF) || len(a.body) != 99_999 {
		t.Errorf("got %d bytes and %v", len(a.body), a.err)
	}
}

func TestStatus(t *testing.T) {
	s := lookalike.New(demo())
	w := serve(t, s)
	for _, code := range []int{401, 403, 404, 429, 500, 502, 503, 504} {
		f := s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: code, RetryAfter: "7", Times: 1})
		a := w.get(bigFile)
		a.want(t, code, "Retry-After", "7", "Etag", "")
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || (code != 401 && len(a.body) == 0) {
			t.Errorf("%d: Content-Type = %q, %d bytes", code, a.Header.Get("Content-Type"), len(a.body))
		}
		w.get(bigFile).want(t, 200)
		if f.Struck() != 1 {
			t.Errorf("%d: Struck() = %d, want 1", code, f.Struck())
		}
	}
}

func TestCorrupt(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.Corrupt, After: 70_000, Times: 1})
	good := contentOf(t, "hosp/admissions.csv.gz")
	bad := bytes.Clone(good)
	bad[70_000] ^= 0xff
	if a := w.get(bigFile, header("Range", "bytes=0-69999")); !bytes.Equal(a.body, good[:70_000]) {
		t.Error("a range without the byte is damaged")
	}
	if a := w.get(bigFile, header("Range", "bytes=60000-")); !bytes.Equal(a.body, bad[60_000:]) {
		t.Error("the range is not damaged at the byte, or not there alone")
	}
	if a := w.get(bigFile); !bytes.Equal(a.body, good) {
		t.Error("the damage has not gone after one strike")
	}
}

func TestHTMLPage(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.HTMLPage, Path: "hosp/*"})
	w.get(bigFile, header("Range", "bytes=5-")).want(t, 200, "Content-Type", "text/html; charset=utf-8", "Etag", "")
	w.get("/files/demo/2.2/LICENSE.txt").want(t, 200, "Content-Type", "text/plain; charset=utf-8")
}

func TestChangeETag(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.ChangeETag, Path: "*.gz", Skip: 1, Times: 1})
	first := w.get(bigFile).Header.Get("Etag")
	a := w.get(bigFile, header("Range", "bytes=5-"), header("If-Range", first))
	a.want(t, 200)
	second := a.Header.Get("Etag")
	if first == second {
		t.Error("the ETag has not changed")
	}
	w.get(bigFile, header("Range", "bytes=5-"), header("If-Range", second)).want(t, 206, "Etag", second)
}

func TestIgnoreRange(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.IgnoreRange, Times: 1})
	w.get(bigFile).want(t, 200)
	w.get(bigFile, header("Range", "bytes=5-")).want(t, 200, "Content-Length", "100000", "Content-Range", "")
	w.get(bigFile, header("Range", "bytes=5-")).want(t, 206)
}

func TestWrongRange(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.WrongRange, After: 3})
	a := w.get(bigFile, header("Range", "bytes=5-9"))
	a.want(t, 206, "Content-Range", "bytes 3-9/100000")
	if !bytes.Equal(a.body, contentOf(t, "hosp/admissions.csv.gz")[3:10]) {
		t.Error("the bytes are not those of the range that was sent")
	}
}

func TestNoLength(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.NoLength})
	a := w.get("/files/demo/2.2/LICENSE.txt")
	a.want(t, 200, "Content-Length", "")
	if a.ContentLength != -1 || string(a.body) != "free\n" {
		t.Errorf("length %d, body %q", a.ContentLength, a.body)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	w := faulty(t, lookalike.Fault{Kind: lookalike.Slow, Rate: 500_000})
	start := time.Now()
	a := w.get(bigFile)
	if got := time.Since(start); got < 180*time.Millisecond || len(a.body) != 100_000 {
		t.Errorf("got %d bytes in %v, want 100,000 in 200ms", len(a.body), got)
	}
}

func TestDelay(t *testing.T) {
	w := faulty(t, lookalike.Fault{Kind: lookalike.Delay, Duration: 50 * time.Millisecond})
	start := time.Now()
	w.get("/content/demo/").want(t, 302)
	if got := time.Since(start); got < 50*time.Millisecond {
		t.Errorf("answered after %v", got)
	}
}

func TestDropSession(t *testing.T) {
	s := lookalike.New(closedProject(lookalike.Credentialed))
	s.AddUser(entitled())
	w := serve(t, s)
	w.keepCookies()
	w.get(closedFile).want(t, 401)
	w.get(closedFile, as("reader", "pässword:1")).want(t, 200)
	s.Inject(lookalike.Fault{Kind: lookalike.DropSession, Times: 1})
	w.get(closedFile, as("reader", "pässword:1")).want(t, 200)
	if got := s.Counters().PasswordChecks; got != 2 {
		t.Errorf("PasswordChecks = %d, want 2", got)
	}
}

// The 401 that opens the conversation must not use up what is meant for the file.
func TestFaultsOfBodiesSpareRefusals(t *testing.T) {
	s := lookalike.New(closedProject(lookalike.Credentialed))
	s.AddUser(entitled())
	f := s.Inject(lookalike.Fault{Kind: lookalike.ShortBody, After: 1, Times: 1})
	w := serve(t, s)
	w.get(closedFile).want(t, 401)
	w.do(http.MethodHead, closedFile, as("reader", "pässword:1")).want(t, 200)
	if f.Struck() != 0 {
		t.Error("a refusal or a HEAD used up the fault")
	}
	if a := w.get(closedFile, as("reader", "pässword:1")); a.err == nil {
		t.Error("the body came whole")
	}
}

func TestFirstMatchWinsAndFaultsEnd(t *testing.T) {
	s := lookalike.New(demo())
	w := serve(t, s)
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 502, Times: 2})
	later := s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 503, Match: func(r *http.Request) bool { return r.Header.Get("Range") != "" }})
	rng := header("Range", "bytes=1-")
	w.get(bigFile, rng).want(t, 502)
	w.get(bigFile, rng).want(t, 502)
	w.get(bigFile, rng).want(t, 503)
	w.get(bigFile).want(t, 200)
	later.Remove()
	w.get(bigFile, rng).want(t, 206)
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 500})
	s.ClearFaults()
	w.get(bigFile).want(t, 200)
	if got := s.Counters().Faults; got != 3 {
		t.Errorf("Faults = %d, want 3", got)
	}
}

func TestPatterns(t *testing.T) {
	const name = "/files/demo/2.2/hosp/deep/x.csv.gz"
	for pattern, want := range map[string]bool{
		"": true, "*.csv.gz": true, "*.csv": false, "hosp/*": false, "hosp/**": true, "deep/*.gz": true, "hosp/**/*.gz": true,
		"/files/demo/**": true, "/files/*/2.2/hosp/deep/x.csv.gz": true, "/hosp/**": false, "**/x.csv.gz": true, "/**": true,
	} {
		s := lookalike.New()
		f := s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 500, Path: pattern})
		serve(t, s).get(name)
		if got := f.Struck() == 1; got != want {
			t.Errorf("pattern %q matches %s: %v, want %v", pattern, name, got, want)
		}
	}
}
