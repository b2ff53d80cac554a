package downloader_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// One entry is broken for good, and its host is well: it costs a few tries, and no
// other entry waits for it.
func TestABrokenEntryIsNoTroubleOfItsHost(t *testing.T) {
	const bad = "p03/0003.dat"
	for _, tt := range []struct {
		name    string
		err     error // nil: a wrong digest
		reason  failure.Reason
		counted int // tries that count
	}{
		{"a web page", source.ErrWebPage, failure.ReasonNetwork, 4},
		{"a wrong digest", nil, failure.ReasonChecksum, 4},
		{"a refusal", forbidden, failure.ReasonDenied, 3},
		{"an error of the server", status(500), failure.ReasonNetwork, 8},
		{"a gateway in between", status(504), failure.ReasonNetwork, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 60)
			f.answer = func(r source.Request) error {
				if r.Path == bad {
					return tt.err
				}
				return nil
			}
			if tt.err == nil {
				f.spoil = func(r source.Request, o *source.Object) {
					if r.Path == bad {
						replaced(o, "other bytes")
					}
				}
			}
			inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
				report := r.patiently()
				wantFiles(t, report, store.Incomplete, store.Files{Total: 60, Fetched: 59, Failed: 1})
				if got := reasonOf(report, bad); got != string(tt.reason) {
					t.Errorf("it failed because of %q, want %q", got, tt.reason)
				}
				// Of three failures in a row, the last makes the host suspect, and does not count.
				if n := f.askedFor(bad); n < tt.counted || n > tt.counted*3/2 {
					t.Errorf("%d requests for it, want %d that count, and at most half as many that do not", n, tt.counted)
				}
				if report.Elapsed > 3*time.Minute {
					t.Errorf("the pass took %v", report.Elapsed)
				}
				t.Logf("%d requests for it, %d in all, %v", f.askedFor(bad), f.requests(), report.Elapsed)
			})
		})
	}
}

// Something on the way packs all that passes, in a way that is not undone here: that is
// said of each file after one request, within seconds, and not taken for a spell.
func TestWhatIsPackedOnTheWayIsNamed(t *testing.T) {
	f := newFickle("physionet", 70)
	f.befall(sick(fmt.Errorf("https://physionet.org/x.csv: %w", &source.EncodingError{Encoding: "deflate"})))
	inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
		report := r.patiently()
		wantFiles(t, report, store.Incomplete, store.Files{Total: 70, Failed: 70})
		failed := report.Failures[0]
		if failed.Reason != string(failure.ReasonNetwork) || !strings.Contains(failed.Detail, `"deflate"`) {
			t.Errorf("%+v, want the network's, and the encoding named", failed)
		}
		if n := f.requests(); n > 72 || report.Elapsed > 10*time.Second {
			t.Errorf("%d requests in %v, want one for each file", n, report.Elapsed)
		}
	})
}

// For four minutes everything is a 502, or refused, or a page: all wait, one asks, and
// no file fails.
func TestASpellOfTroubleCostsNoFileAndFewRequests(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error // nil: wrong digests
		lasts time.Duration
		most  int // requests in it
	}{
		{"a gateway without its server", badGateway, 4 * time.Minute, 39},
		{"an unavailable server", status(503), 4 * time.Minute, 39},
		{"too many requests", status(429), 4 * time.Minute, 39},
		{"a web page", source.ErrWebPage, 7 * time.Minute, 39},
		{"refusals", forbidden, 110 * time.Second, 25},
		{"a login that is doubted", &source.AccessError{Denial: source.BadCredentials, Source: "physionet", User: "ada"}, 80 * time.Second, 25},
		{"wrong digests", nil, 20 * time.Second, 25},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 400)
			inFakeTime(t, budgeted(8, f), func(t *testing.T, r *rig) {
				during := 0
				later(200*time.Millisecond, func() {
					f.requests()
					if tt.err != nil {
						f.befall(sick(tt.err))
						return
					}
					f.mu.Lock()
					defer f.mu.Unlock()
					f.spoil = func(r source.Request, o *source.Object) {
						if r.Path != manifest.Name {
							replaced(o, "a page that says text/plain")
						}
					}
				})
				later(200*time.Millisecond+tt.lasts, func() {
					during = f.requests()
					f.befall(nil)
					f.mu.Lock()
					defer f.mu.Unlock()
					f.spoil = nil
				})
				report := r.patiently()
				wantFiles(t, report, store.Complete, store.Files{Total: 400, Fetched: 400})
				if during == 0 || during > tt.most {
					t.Errorf("%d requests in %v of trouble, want at most %d", during, tt.lasts, tt.most)
				}
				if report.Elapsed > tt.lasts+90*time.Second {
					t.Errorf("the pass ended %v after the trouble", report.Elapsed-tt.lasts)
				}
				t.Logf("%d requests in %v; done %v after it", during, tt.lasts, report.Elapsed-tt.lasts)
			})
		})
	}
}

// A server takes files out that the mirror has, and others that it lacks: what the host
// could be compared by is gone as well, which is no trouble of the host.
func TestWhatCameBeforeIsGone(t *testing.T) {
	f := newFickle("physionet", 6)
	inFakeTime(t, budgeted(1, f), func(t *testing.T, r *rig) {
		wantFiles(t, r.pull("p00/**", "p01/**", "p02/**"), store.Complete, store.Files{Total: 3, Fetched: 3})
		gone := []string{"p00/0000.dat", "p02/0002.dat", "p03/0003.dat", "p04/0004.dat", "p05/0005.dat"}
		f.befall(func(r source.Request) error {
			if slices.Contains(gone, r.Path) {
				return fmt.Errorf("%s: %w", r.Path, source.ErrNotExist)
			}
			return nil
		})
		report := r.patiently()
		wantFiles(t, report, store.Incomplete, store.Files{Total: 6, Present: 3, Failed: 3})
		if report.Elapsed > 20*time.Second {
			t.Errorf("it took %v to say that three files are gone", report.Elapsed)
		}
	})
}

// Trouble that does not end ends the pass, by its reason in words and for programs.
func TestTroubleThatLastsEndsThePass(t *testing.T) {
	f := newFickle("physionet", 300)
	inFakeTime(t, budgeted(6, f), func(t *testing.T, r *rig) {
		later(150*time.Millisecond, func() { f.requests(); f.befall(sick(badGateway)) })
		report, err := r.tryPull(t.Context())
		if !errors.Is(err, failure.ErrNoService) || report.State != store.Failed && report.State != store.Incomplete {
			t.Errorf("Pull = %v, %v, want %v", report.State, err, failure.ErrNoService)
		}
		for _, failed := range report.Failures {
			if failed.Reason != string(failure.ReasonNetwork) {
				t.Errorf("%s failed because of %q", failed.Path, failed.Reason)
			}
		}
		if report.Elapsed < 30*time.Minute || report.Elapsed > 32*time.Minute {
			t.Errorf("the pass took %v, want half an hour", report.Elapsed)
		}
		if n := f.requests(); n > 60 {
			t.Errorf("%d requests in half an hour of trouble", n)
		}
	})
}

// The trouble of a host is that of all who ask it: two datasets do not ask twice as
// often.
func TestTwoDatasetsWaitForOneHost(t *testing.T) {
	other := manifest.Ref{Dataset: "notes", Version: "2.1"}
	f := newFickle("physionet", 300)
	f.publish(other, numberedObjects(300, "notes"))
	inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
		during := 0
		later(200*time.Millisecond, func() { f.requests(); f.befall(sick(badGateway)) })
		later(200*time.Millisecond+4*time.Minute, func() { during = f.requests(); f.befall(nil) })
		var passes sync.WaitGroup
		for _, ref := range []manifest.Ref{demo, other} {
			passes.Go(func() {
				report, err := r.run(t.Context(), ref, new(progress.Progress))
				if err != nil || report.Files.Fetched != 300 {
					t.Errorf("%s: %+v, %v", ref, report.Files, err)
				}
			})
		}
		passes.Wait()
		if during == 0 || during > 39 {
			t.Errorf("%d requests of both in four minutes of trouble, want at most 39", during)
		}
		t.Logf("%d requests", during)
	})
}

// A pass that begins when the host has been in trouble for hours has a patience of
// its own.
func TestAPassHasAPatienceOfItsOwn(t *testing.T) {
	f := newFickle("physionet", 50)
	inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
		later(60*time.Millisecond, func() { f.befall(sick(badGateway)) })
		if _, err := r.tryPull(t.Context()); !errors.Is(err, failure.ErrNoService) {
			t.Fatalf("the first pass: %v", err)
		}
		time.Sleep(3 * time.Hour)
		later(11*time.Minute, func() { f.befall(nil) })
		report := r.patiently()
		if report.State != store.Complete || report.Files.Failed > 0 {
			t.Errorf("the second pass: %v, %+v", report.State, report.Files)
		}
		if report.Elapsed < 10*time.Minute || report.Elapsed > 14*time.Minute {
			t.Errorf("it took %v, want some eleven minutes", report.Elapsed)
		}
	})
}

// A store that is up and sick is left for the next source within minutes.
func TestASickStoreIsLeftForTheNextSource(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		most time.Duration
	}{
		{"unavailable", status(503), 3 * time.Minute},
		{"broken", status(500), 3 * time.Minute},
		{"behind a proxy that wants a password", &source.ProxyError{Code: 407}, 3 * time.Minute},
		{"refusing all", &source.AccessError{Denial: source.Forbidden, Cause: source.CauseNotGranted, Source: "s3", Ref: demo}, 3 * time.Minute},
		{"a portal", source.ErrWebPage, 3 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sickStore, well := newFickle("s3", 2000), newFickle("physionet", 2000)
			sickStore.answer = func(source.Request) error { return tt.err }
			sources := budgeted(8, sickStore, well)
			synctestRig(t, sources, &sources[1], func(t *testing.T, r *rig) {
				report := r.patiently()
				wantFiles(t, report, store.Complete, store.Files{Total: 2000, Fetched: 2000})
				if report.Elapsed > tt.most {
					t.Errorf("the pass took %v, want at most %v", report.Elapsed, tt.most)
				}
				t.Logf("%v, %d requests to the store: %s", report.Elapsed, sickStore.requests(), report.Sources[0].Dropped)
			})
		})
	}
}

// A host that recovers for one answer in a hundred is no host that is well, and does
// not keep a pass for ever either.
func TestAHostThatIsSickAgainAndAgain(t *testing.T) {
	f := newFickle("physionet", 500)
	inFakeTime(t, budgeted(8, f), func(t *testing.T, r *rig) {
		for i := range 12 {
			begin := 100*time.Millisecond + time.Duration(i)*time.Minute
			later(begin, func() { f.befall(sick(fmt.Errorf("spell %d: %w", i, badGateway))) })
			later(begin+45*time.Second, func() { f.befall(nil) })
		}
		wantFiles(t, r.patiently(), store.Complete, store.Files{Total: 500, Fetched: 500})
	})
}
