package downloader_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
	"mimicsync/store"
)

// fromStore is a mirror of the files that fetches from a store, and has but the
// manifest from PhysioNet.
func fromStore(t *testing.T, store host.Source, files ...lookalike.GeneratedFile) *rig {
	t.Helper()
	authority := newSite(t, nil, handmade(sums(files...))).source(t, physionet.Credentials{}, 4)
	return newRig(t, rigOptions{sources: []host.Source{store}, authority: &authority})
}

// eachStore runs a story at a copy at Amazon, and at one at Google.
func eachStore(t *testing.T, story func(t *testing.T, host *lookalike.Host, source host.Source), files ...lookalike.GeneratedFile) {
	t.Helper()
	t.Run("s3", func(t *testing.T) {
		a := newAmazon(t, nil, files...)
		story(t, &a.Host, a.source)
	})
	t.Run("gcs", func(t *testing.T) {
		g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{}, files...)
		story(t, &g.Host, g.source)
	})
}

// A big file is replaced at the store while parts of it are on their way: what
// came of the former one is not mixed with the rest.
func TestABigObjectChangesAtAStore(t *testing.T) {
	slow(t)
	f := file("big.csv", 48*mega)
	files := append([]lookalike.GeneratedFile{f}, manyFiles(12, 1000)...)
	eachStore(t, func(t *testing.T, host *lookalike.Host, source host.Source) {
		host.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: 6 * mega, Path: f.Path, Match: func(r *http.Request) bool { return !isPart(r) }})
		fault := host.Inject(lookalike.Fault{Kind: lookalike.ChangeETag, Path: f.Path, Match: isPart, Times: 1})
		r := fromStore(t, source, files...)
		report := r.pull()
		wantFiles(t, report, store.Complete, store.Files{Total: 13, Fetched: 13})
		r.has(files...)
		if fault.Struck() != 1 || report.Bytes.Discarded == 0 || report.Bytes.Discarded > 48*mega {
			t.Errorf("the object changed %d times, and %d bytes were discarded, want once, and what had come", fault.Struck(), report.Bytes.Discarded)
		}
	}, files...)
}

// Names hold what addresses give a meaning to.
func TestNamesThatAddressesMustQuote(t *testing.T) {
	t.Parallel()
	var files []lookalike.GeneratedFile
	for _, name := range []string{
		"a b.csv", "a+b.csv", "a%b.csv", "a%2Bb.csv", "a%20b.csv", "a&b=c.csv", "a#b.csv", "a?b.csv", "ünï/日本.csv", "e\u0301.csv", "a;b,c@d:e!$'()*~.csv",
	} {
		files = append(files, file("hosp/"+name, 1000))
	}
	eachStore(t, func(t *testing.T, _ *lookalike.Host, source host.Source) {
		r := fromStore(t, source, files...)
		n := int64(len(files))
		wantFiles(t, r.pull(), store.Complete, store.Files{Total: n, Fetched: n})
		r.has(files...)
	}, files...)
}

// What is stored with Content-Encoding gzip has the digest of the stored bytes,
// and is not unpacked on its way, nor when a transfer goes on.
func TestEncodedObjectsAreMirroredAsTheyAreStored(t *testing.T) {
	slow(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(content(t, file("noise", 2*mega))) // a buffer takes all
	must(t, z.Close())
	f := lookalike.GeneratedFile{Path: "a.csv.gz", Data: packed.Bytes()}
	broken := lookalike.Fault{Kind: lookalike.Reset, After: mega, Times: 1}

	t.Run("s3", func(t *testing.T) {
		a := newAmazon(t, nil, f)
		a.AddBucket(lookalike.S3Bucket{Name: "demo-copy", Public: true, ContentEncoding: "gzip", Objects: lookalike.Generated([]lookalike.GeneratedFile{f})})
		a.Inject(broken)
		r := fromStore(t, a.source, f)
		wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
		r.has(f)
	})
	t.Run("gcs", func(t *testing.T) {
		g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{Encoded: func(string) bool { return true }}, f)
		g.Inject(broken)
		r := fromStore(t, g.source, f)
		wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
		r.has(f)
	})
}

// turning is a source for which something changes with its nth request.
type turning struct {
	source.Source

	n    atomic.Int64
	at   int64
	turn func()
}

func (s *turning) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	if s.n.Add(1) == s.at {
		s.turn()
	}
	return s.Source.Open(ctx, r)
}

// The login at Google ends in the middle of a pass, as it does after some hours:
// that is said with its cure, and the rest comes from the next source.
func TestTheGoogleLoginExpiresInMidPass(t *testing.T) {
	const robot = "robot@the-lab.iam.gserviceaccount.com"
	files := manyFiles(60, 3000)
	g := newGoogle(t, gcs.Options{}, lookalike.Bucket{Readers: []string{robot}}, files...)
	g.logIn(t, strings.TrimPrefix(fmt.Sprint(g.source.Source), "gcs at "))
	g.source.Source = &turning{Source: g.source.Source, at: 21, turn: func() {
		g.PutAccount(lookalike.Account{Email: robot, Expired: true})
		g.DropSessions()
	}}
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{g.source, authority}, authority: &authority})

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 60, Fetched: 60})
	r.has(files...)
	google, rest := report.Sources[0], report.Sources[1]
	if google.Files < 16 || google.Files > 20 || google.Files+rest.Files != 60 {
		t.Errorf("sources = %+v, want about 20 files from the first, and the others from the second", report.Sources)
	}
	access, ok := errors.AsType[*source.AccessError](google.Err)
	if !ok || access.Cause != source.CauseLoginExpired || !strings.Contains(google.Dropped, "gcloud auth application-default login") {
		t.Errorf("dropped = %q, want that the login has expired, and how to log in", google.Dropped)
	}
}

// signed is a copy at Amazon for which requests are signed.
func signed(t *testing.T, setup func(*lookalike.S3), files ...lookalike.GeneratedFile) *amazon {
	t.Helper()
	const key = "AKIAIOSFODNN7EXAMPLE"
	t.Setenv("AWS_ACCESS_KEY_ID", key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of the look-alike, which does not check it")
	a := newAmazon(t, setup, files...)
	a.AddKey(lookalike.S3Key{ID: key, Identity: "arn:aws:iam::123456789012:user/ada"})
	a.AddBucket(lookalike.S3Bucket{Name: "demo-copy", Readers: []string{key}, Objects: lookalike.Generated(files)})
	source, err := s3.New(t.Context(), s3.Options{
		Endpoint: serve(t, a.S3), Connections: 4, Locations: map[manifest.Ref]s3.Location{demo: {URL: "s3://demo-copy/"}},
	})
	must(t, err)
	a.source.Source = source
	return a
}

// This machine's clock is wrong: requests are signed by the store's. Where that
// does not help, the source is dropped, and what is to set is said.
func TestAWrongClockAndSignatures(t *testing.T) {
	files := manyFiles(40, 3000)
	a := signed(t, func(s *lookalike.S3) {
		s.Now = func() time.Time { return time.Now().Add(95 * time.Minute) }
	}, files...)
	r := fromStore(t, a.source, files...)
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 40, Fetched: 40})
	r.has(files...)

	a = signed(t, func(s *lookalike.S3) {
		s.Now = func() time.Time { return time.Now().Add(95 * time.Minute) }
	}, files...)
	a.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden, Reason: "RequestTimeTooSkewed", Skip: 20})
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r = newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority})
	result := r.pull()
	wantFiles(t, result, store.Complete, store.Files{Total: 40, Fetched: 40})
	access, ok := errors.AsType[*source.AccessError](result.Sources[0].Err)
	if !ok || access.Cause != source.CauseClock || !strings.Contains(result.Sources[0].Dropped, "clock is 1h35m behind the store's") {
		t.Errorf("dropped = %q, want by how much the clock is wrong", result.Sources[0].Dropped)
	}
	if !slices.ContainsFunc(result.Sources, func(s report.SourceReport) bool { return s.Name == "physionet" && s.Files > 0 }) {
		t.Errorf("sources = %+v, want the rest from PhysioNet", result.Sources)
	}
}

// Outside its hours, a daemon holds no connection; the next request opens one.
func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	f := file("a", 1000)
	story := func(t *testing.T, host *lookalike.Host, src host.Source) {
		r := fromStore(t, src, f)
		read := func() int64 {
			t.Helper()
			object, err := src.Open(t.Context(), source.Request{Ref: demo, Path: f.Path})
			must(t, err)
			_, err = io.Copy(io.Discard, object.Body)
			must(t, errors.Join(err, object.Body.Close()))
			return host.Counters().Conns
		}
		before := read()
		for range 100 { // a connection is idle a moment after its answer was read
			time.Sleep(5 * time.Millisecond)
			r.syncer.CloseIdleConnections()
			if read() > before {
				return
			}
		}
		t.Error("a request found a connection after those that are idle were closed")
	}
	eachStore(t, story, f)
	t.Run("physionet", func(t *testing.T) {
		s := newSite(t, nil, project(f))
		story(t, &s.Host, s.source(t, physionet.Credentials{}, 4))
	})
}
