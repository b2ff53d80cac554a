package downloader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// The authors mend a version in place while a pass runs, once or twice: the pass goes
// on by the manifest that is published, and counts each file once.
func TestAManifestIsMadeAnewInMidPass(t *testing.T) {
	for _, editions := range []int{1, 2} {
		t.Run(fmt.Sprint(editions), func(t *testing.T) {
			f := newFickle("physionet", 300)
			inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
				for i := range editions {
					later(200*time.Millisecond+time.Duration(i)*90*time.Second, func() {
						f.publish(demo, numberedObjects(300, fmt.Sprintf("edition %d", i+2)))
					})
				}
				if editions == 2 { // the second one finds the pass at work
					later(300*time.Millisecond, func() { f.befall(sick(badGateway)) })
					later(100*time.Second, func() { f.befall(nil) })
				}
				report := r.patiently()
				wantFiles(t, report, store.Complete, store.Files{Total: 300, Fetched: 300})
				want := fmt.Sprintf("edition %d 299\n", editions+1)
				if got := string(r.read("p05/0299.dat")); got != want {
					t.Errorf("the mirror has %q, want %q", got, want)
				}
			})
		})
	}
}

// Two files in seven are others by the manifest that is made anew: those that came
// before and are still right were fetched, once, and not found in the mirror.
func TestAPassByTwoManifestsCountsWhatItFetched(t *testing.T) {
	f := newFickle("physionet", 210)
	inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
		later(300*time.Millisecond, func() {
			objects := numberedObjects(210, "first")
			for path, data := range numberedObjects(210, "second") {
				if path < "p01/" || path > "p06/" {
					objects[path] = data
				}
			}
			f.publish(demo, objects)
		})
		report := r.patiently()
		wantFiles(t, report, store.Complete, store.Files{Total: 210, Fetched: 210})
		if report.Bytes.Present > 0 || report.Bytes.Fetched == 0 {
			t.Errorf("bytes = %+v, want all fetched", report.Bytes)
		}
	})
}

// Files are taken out of a version in place, some or one, and the manifest is made anew
// with that or a little later: the pass goes on by it.
func TestFilesAreTakenOutInMidPass(t *testing.T) {
	for _, tt := range []struct {
		name  string
		out   int           // files
		later time.Duration // the manifest
	}{
		{"many at once", 24, 0},
		{"one, the last", 1, 0},
		{"the manifest follows", 20, 300 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 280)
			inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
				later(150*time.Millisecond, func() {
					objects := numberedObjects(280, "first")
					before := sumsOf(objects)
					for i := 280 - tt.out; i < 280; i++ {
						delete(objects, fmt.Sprintf("p%02d/%04d.dat", i%7, i))
					}
					if tt.later == 0 {
						f.publish(demo, objects)
						return
					}
					after := sumsOf(objects)
					objects[manifest.Name] = before
					f.publish(demo, objects)
					later(tt.later, func() {
						objects[manifest.Name] = after
						f.publish(demo, objects)
					})
				})
				report := r.patiently()
				left := int64(280 - tt.out)
				if report.State != store.Complete || report.Files.Total != left || report.Files.Failed > 0 {
					t.Errorf("the pass is %v: %+v, want %d files complete", report.State, report.Files, left)
				}
			})
		})
	}
}

// A manifest that is another one at each request cannot be followed: the pass says so
// within a minute, and has nothing that is not of its manifest.
func TestAManifestThatChangesAtEachRequest(t *testing.T) {
	for _, tt := range []struct {
		name string
		has  bool // a file of each entry, the wrong one
	}{{"other files", true}, {"no files", false}} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 40)
			var edition atomic.Int64
			f.answer = func(r source.Request) error {
				switch {
				case r.Path == manifest.Name:
					f.publish(demo, numberedObjects(40, fmt.Sprintf("edition %d", edition.Add(1))))
				case !tt.has:
					return source.ErrNotExist
				}
				return nil
			}
			f.spoil = func(r source.Request, o *source.Object) {
				if r.Path != manifest.Name {
					replaced(o, "of the edition before\n")
				}
			}
			inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
				report, err := r.tryPull(t.Context())
				if !errors.Is(err, failure.ErrManifestChanges) || report.State == store.Complete || report.Files.Fetched > 0 {
					t.Errorf("the pass is %v: %+v, %v, want %v", report.State, report.Files, err, failure.ErrManifestChanges)
				}
				if n := f.requests(); n > 150 || report.Elapsed > time.Minute {
					t.Errorf("%d requests in %v", n, report.Elapsed)
				}
				t.Logf("%v after %v and %d manifests: %v", report.State, report.Elapsed, edition.Load(), err)
			})
		})
	}
}

// A connection breaks at two thirds, and what follows is a refusal of each range, by
// whatever answer: the object comes as a whole.
func TestRangesThatAreRefused(t *testing.T) {
	big := bytes.Repeat([]byte("subject_id,hadm_id\n"), 60_000)
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"without a Content-Range", source.ErrNoRange},
		{"with 400", status(http.StatusBadRequest)},
		{"with 403", forbidden},
		{"with 500", status(500)},
		{"with 501", status(501)},
		{"with 503", status(503)},
		{"as if it were not there", fmt.Errorf("https://physionet.org/files/demo/1.0/big.csv: %w", source.ErrNotExist)},
		{"by no answer", &failure.UnansweredError{After: 5 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 30)
			objects := numberedObjects(30, "first")
			objects["big.csv"] = big
			f.publish(demo, objects)
			f.versions[demo].Cut("big.csv", int64(len(big))*2/3)
			f.answer = func(r source.Request) error {
				if r.Offset > 0 {
					return tt.err
				}
				return nil
			}
			inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
				report := r.patiently()
				wantFiles(t, report, store.Complete, store.Files{Total: 31, Fetched: 31})
				t.Logf("%d requests for it, in %v", f.askedFor("big.csv"), report.Elapsed)
			})
		})
	}
}

// The answers to requests for a part are what they should be, and bring nothing, or
// next to nothing.
func TestRangesThatBringNothing(t *testing.T) {
	big := bytes.Repeat([]byte("hadm_id,charttime\n"), 70_000)
	for _, tt := range []struct {
		name  string
		bring int64 // bytes
		cut   bool
	}{{"no bytes", 0, false}, {"cut at once", 0, true}, {"cut after a few bytes", 9, true}} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 12)
			objects := numberedObjects(12, "first")
			objects["big.csv"] = big
			f.publish(demo, objects)
			f.versions[demo].Cut("big.csv", int64(len(big))/2)
			f.spoil = func(r source.Request, o *source.Object) {
				if r.Offset == 0 {
					return
				}
				body := struct {
					io.Reader
					io.Closer
				}{io.LimitReader(o.Body, tt.bring), o.Body}
				if o.Body = body; tt.cut {
					o.Body = shortBody{body}
				}
			}
			inFakeTime(t, budgeted(3, f), func(t *testing.T, r *rig) {
				report := r.patiently()
				wantFiles(t, report, store.Complete, store.Files{Total: 13, Fetched: 13})
				t.Logf("%d requests for it, in %v", f.askedFor("big.csv"), report.Elapsed)
			})
		})
	}
}

// A line that breaks after each half megabyte is no refusal of ranges: nothing comes
// twice.
func TestRangesThatBreakOffGoOn(t *testing.T) {
	big := bytes.Repeat([]byte("stay_id,caregiver_id\n"), 400_000)
	f := newFickle("physionet", 1)
	f.publish(demo, map[string][]byte{"big.csv": big})
	f.spoil = func(r source.Request, o *source.Object) {
		if r.Path == "big.csv" {
			o.Body = shortBody{struct {
				io.Reader
				io.Closer
			}{io.LimitReader(o.Body, 500_000), o.Body}}
		}
	}
	inFakeTime(t, budgeted(1, f), func(t *testing.T, r *rig) {
		report := r.patiently()
		wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
		if came := r.arrived.Fetched.Load(); came != int64(len(big)) || report.Bytes.Discarded > 0 {
			t.Errorf("%d bytes came for %d, and %d were discarded", came, len(big), report.Bytes.Discarded)
		}
	})
}

// Ranges are refused because all is: what came stays.
func TestAPartialOutlivesAnOutage(t *testing.T) {
	big := bytes.Repeat([]byte("subject_id,hadm_id\n"), 60_000)
	f := newFickle("physionet", 30)
	objects := numberedObjects(30, "first")
	objects["big.csv"] = big
	f.publish(demo, objects)
	f.versions[demo].Cut("big.csv", int64(len(big))*3/4)
	inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
		f.answer = func(r source.Request) error {
			if r.Offset > 0 {
				f.befall(sick(status(500)))
				later(6*time.Minute, func() { f.befall(nil) })
				return status(500)
			}
			return nil
		}
		report := r.patiently()
		wantFiles(t, report, store.Complete, store.Files{Total: 31, Fetched: 31})
		if report.Bytes.Discarded > 0 {
			t.Errorf("%d bytes were thrown away", report.Bytes.Discarded)
		}
	})
}

// shortBody ends before the length that was announced.
type shortBody struct{ io.ReadCloser }

func (b shortBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// A server announces more than there is, and the digest is right; or says that nothing
// has changed, which nobody asked.
func TestAnswersThatAreOddAndRight(t *testing.T) {
	t.Run("a length that is too large", func(t *testing.T) {
		f := newFickle("physionet", 20)
		f.spoil = func(r source.Request, o *source.Object) {
			if r.Path != manifest.Name {
				o.Size, o.Body = o.Size+11, shortBody{o.Body}
			}
		}
		inFakeTime(t, budgeted(2, f), func(t *testing.T, r *rig) {
			wantFiles(t, r.patiently(), store.Complete, store.Files{Total: 20, Fetched: 20})
		})
	})
	t.Run("not modified", func(t *testing.T) {
		f := newFickle("physionet", 20)
		var said atomic.Int64
		f.answer = func(r source.Request) error {
			if r.Path != manifest.Name && said.Add(1) < 6 {
				return source.ErrNotModified
			}
			return nil
		}
		inFakeTime(t, budgeted(2, f), func(t *testing.T, r *rig) {
			wantFiles(t, r.patiently(), store.Complete, store.Files{Total: 20, Fetched: 20})
		})
	})
}

// publisher is a fickle source that knows the size of its versions.
type publisher struct {
	*fickle

	size int64
}

func (p *publisher) PublishedSize(context.Context, manifest.Ref) (int64, error) { return p.size, nil }

func (p *publisher) Latest(context.Context, string) (string, error) { return demo.Version, nil }

// A manifest that lists itself, and one that ends after a whole line while it is
// written: the one is complete without itself, the other is no version yet.
func TestAManifestThatIsBeingWritten(t *testing.T) {
	f := newFickle("physionet", 0)
	objects := numberedObjects(200, "first")
	total := int64(0)
	for _, data := range objects {
		total += int64(len(data))
	}
	whole := append(sumsOf(objects), fmt.Sprintf("%064d  %s\n", 0, manifest.Name)...)
	objects[manifest.Name] = bytes.Join(bytes.SplitAfter(whole, []byte("\n"))[:120], nil)
	f.publish(demo, objects)
	f.spoil = func(_ source.Request, o *source.Object) { o.Modified = time.Now() }
	inFakeTime(t, budgeted(4, &publisher{f, total + int64(len(whole))}), func(t *testing.T, r *rig) {
		_, err := r.tryPull(t.Context())
		if _, unfinished := errors.AsType[*failure.UnfinishedManifestError](err); !unfinished || !errors.Is(err, source.ErrNotPublished) {
			t.Errorf("Pull = %v, want that the manifest is not finished", err)
		}
		objects[manifest.Name] = whole
		f.publish(demo, objects)
		wantFiles(t, r.patiently(), store.Complete, store.Files{Total: 200, Present: 120, Fetched: 80})
	})
}
