package s3_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// fetch reads an object to its end.
func fetch(t *testing.T, s source.Source, r source.Request) ([]byte, error) {
	t.Helper()
	if r.Ref == (manifest.Ref{}) {
		r.Ref = mimic
	}
	o, err := s.Open(t.Context(), r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(o.Body)
	return b, errors.Join(err, o.Body.Close())
}

const large = "hosp/large.csv.gz"

// open is a public store with one big object among the small ones.
func open(b lookalike.S3Bucket) *lookalike.S3 {
	b.Public = true
	if b.Objects == nil {
		b.Objects = lookalike.Generated([]lookalike.GeneratedFile{
			{Path: "mimiciv/3.1/" + large, Size: 1 << 20},
			{Path: "mimiciv/3.1/empty.csv", Data: []byte{}},
			{Path: "mimiciv/3.1/" + manifest.Name, Data: data[manifest.Name]},
		})
	}
	return store(b)
}

// TestCut: a body that breaks off is an error after one request; the SDK
// resumes nothing behind the transfer's back, whatever the environment asks of it.
func TestCut(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "5")
	t.Setenv("AWS_RETRY_MODE", "adaptive")
	site := open(lookalike.S3Bucket{})
	src := newSource(t, serve(t, site))
	for _, kind := range []lookalike.Kind{lookalike.ShortBody, lookalike.Reset} {
		site.Reset()
		fault := site.Inject(lookalike.Fault{Kind: kind, After: 500_000})
		b, err := fetch(t, src, source.Request{Path: large})
		if err == nil || len(b) > 500_000 {
			t.Errorf("reading a body that was cut gave %d bytes and %v, want an error and no more than 500000", len(b), err)
		}
		if n := site.Counters().Requests; n != 1 {
			t.Errorf("a body that was cut took %d requests, want 1", n)
		}
		fault.Remove()
	}
}

// TestOneAttempt: whatever goes wrong, the Source asks once.
func TestOneAttempt(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "5")
	site := open(lookalike.S3Bucket{})
	src := newSource(t, serve(t, site))
	for _, f := range []lookalike.Fault{
		{Kind: lookalike.Status, Code: 503},
		{Kind: lookalike.Status, Code: 500},
		{Kind: lookalike.Status, Code: 429},
		{Kind: lookalike.Reset, After: -1},
		{Kind: lookalike.Status, Code: 400, Reason: "RequestTimeout"},
	} {
		// A connection that was used before may have been closed by the store
		// meanwhile, and net/http itself makes good for that.
		from := src
		if f.Kind == lookalike.Reset {
			from = newSource(t, serve(t, site))
		}
		site.Reset()
		fault := site.Inject(f)
		if _, err := fetch(t, from, source.Request{Path: large}); err == nil {
			t.Errorf("Open with %+v = <nil>, want an error", f)
		}
		if n := site.Counters().Requests; n != 1 {
			t.Errorf("Open with %+v took %d requests, want 1", f, n)
		}
		fault.Remove()
	}
}

// TestFlippedByte: where the store has a checksum, a byte that changes on its
// way is noticed before the digest of a terabyte is.
func TestFlippedByte(t *testing.T) {
	site := open(lookalike.S3Bucket{Checksums: true})
	src := newSource(t, serve(t, site))
	if _, err := fetch(t, src, source.Request{Path: large}); err != nil {
		t.Errorf("Open = %v, want <nil>", err)
	}
	site.Inject(lookalike.Fault{Kind: lookalike.Corrupt, After: 700_000})
	if _, err := fetch(t, src, source.Request{Path: large}); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("reading a flipped byte = %v, want an error about the checksum", err)
	}
	// A range has none, and must not be judged by that of the whole.
	if b, err := fetch(t, src, source.Request{Path: large, Offset: 1 << 19}); err != nil || len(b) != 1<<19 {
		t.Errorf("Open of a range = %d bytes, %v, want %d", len(b), err, 1<<19)
	}
}

// TestRangesArePinned: every range says which object it belongs to, and an
// object that was replaced in between is never mixed with the old one.
func TestRangesArePinned(t *testing.T) {
	site := open(lookalike.S3Bucket{})
	src := newSource(t, serve(t, site))
	o, err := src.Open(t.Context(), source.Request{Ref: mimic, Path: large, Length: 1000})
	if err != nil {
		t.Fatal(err)
	}
	_ = o.Body.Close()
	site.Reset()
	for _, r := range []source.Request{{Offset: 1000}, {Offset: 1000, Length: 10}, {Length: 10}} {
		r.Path, r.Validator = large, o.Validator
		if _, err := fetch(t, src, r); err != nil {
			t.Errorf("Open(%+v) = %v, want <nil>", r, err)
		}
	}
	for _, r := range site.Requests() {
		if r.IfMatch != o.Validator || r.Status != http.StatusPartialContent {
			t.Errorf("the range %s was asked for with If-Match %q and got %d, want %q and 206", r.Range, r.IfMatch, r.Status, o.Validator)
		}
	}
	site.Inject(lookalike.Fault{Kind: lookalike.ChangeETag, Times: 1})
	_, err = fetch(t, src, source.Request{Path: large, Offset: 1000, Validator: o.Validator})
	if !errors.Is(err, source.ErrChanged) {
		t.Errorf("Open of an object that was replaced = %v, want ErrChanged", err)
	}
}

// TestStoreThatIgnoresConditions: some stores do not know If-Match; what they
// send says that it is something else.
func TestStoreThatIgnoresConditions(t *testing.T) {
	site := open(lookalike.S3Bucket{})
	src := newSource(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-Match")
		site.ServeHTTP(w, r)
	})))
	_, err := fetch(t, src, source.Request{Path: large, Offset: 1000, Validator: `"another"`})
	if !errors.Is(err, source.ErrChanged) {
		t.Errorf("Open = %v, want ErrChanged", err)
	}
}

func TestStoreThatIgnoresRanges(t *testing.T) {
	site := open(lookalike.S3Bucket{})
	site.Inject(lookalike.Fault{Kind: lookalike.IgnoreRange})
	o, err := newSource(t, serve(t, site)).Open(t.Context(), source.Request{Ref: mimic, Path: large, Offset: 1000})
	if err != nil {
		t.Fatalf("Open = %v, want <nil>", err)
	}
	defer func() { _ = o.Body.Close() }()
	if o.Offset != 0 || o.Size != 1<<20 {
		t.Errorf("Open gave an object from %d of %d bytes, want it whole", o.Offset, o.Size)
	}
}

func TestWrongRange(t *testing.T) {
	site := open(lookalike.S3Bucket{})
	site.Inject(lookalike.Fault{Kind: lookalike.WrongRange, After: 5000})
	_, err := fetch(t, newSource(t, serve(t, site)), source.Request{Path: large, Offset: 1000})
	if !errors.Is(err, source.ErrNoRange) {
		t.Errorf("Open = %v, want %v", err, source.ErrNoRange)
	}
}

// TestStartOfAnEmptyObject: S3 has no range of an object without bytes.
func TestStartOfAnEmptyObject(t *testing.T) {
	src := newSource(t, serve(t, open(lookalike.S3Bucket{})))
	if b, err := fetch(t, src, source.Request{Path: "empty.csv", Length: 1000}); err != nil || len(b) != 0 {
		t.Errorf("Open(empty.csv, its first 1000) = %d bytes, %v, want none, <nil>", len(b), err)
	}
}

// TestStoredCompressed: an object that was uploaded with a Content-Encoding
// comes as it is stored; so is it in the manifest.
func TestStoredCompressed(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("subject_id\n1\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{"a.csv.gz": packed.Bytes()}
	src := newSource(t, serve(t, open(lookalike.S3Bucket{ContentEncoding: "gzip", Objects: objects("mimiciv/3.1/", all)})))
	if b, err := fetch(t, src, source.Request{Path: "a.csv.gz"}); err != nil || !bytes.Equal(b, packed.Bytes()) {
		t.Errorf("Open = %x, %v, want the stored bytes %x", b, err, packed.Bytes())
	}
}

// TestWrongClock: the store's answer tells the time, and signatures are made
// by that: a NAS with a dead battery gets its data.
func TestWrongClock(t *testing.T) {
	login(t)
	for _, off := range []time.Duration{-3 * time.Hour, 20 * time.Minute} {
		site := open(lookalike.S3Bucket{})
		site.Now = func() time.Time { return time.Now().Add(off) }
		src := newSource(t, serve(t, site), s3.Location{URL: s3.Open.URL})
		if _, err := fetch(t, src, source.Request{Path: large}); err != nil {
			t.Errorf("Open with a clock that is %v off = %v, want <nil>", off, err)
		}
		if n := site.Counters().Requests; n != 2 {
			t.Errorf("Open with a clock that is %v off took %d requests, want 2", off, n)
		}
	}
}

// TestHopelessClock: where that does not help, the person learns by how much
// the clock is wrong.
func TestHopelessClock(t *testing.T) {
	login(t)
	for off, want := range map[time.Duration]string{
		-95 * time.Minute: "this machine's clock is 1h35m ahead of the store's",
		20 * time.Minute:  "this machine's clock is 20m behind the store's",
		0:                 "this machine's clock is right",
	} {
		site := open(lookalike.S3Bucket{})
		site.Now = func() time.Time { return time.Now().Add(off) }
		site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 403, Reason: "RequestTimeTooSkewed"})
		src := newSource(t, serve(t, site), s3.Location{URL: s3.Open.URL})
		_, err := fetch(t, src, source.Request{Path: large})
		access := expectAccess(t, err, source.BadCredentials, source.CauseClock)
		if !strings.Contains(access.Error(), want) {
			t.Errorf("Open = %q, want it to say %q", access, want)
		}
	}
}

// TestBusy: a store that has too much to do says for how long to leave it alone.
func TestBusy(t *testing.T) {
	site := open(lookalike.S3Bucket{})
	site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: 503, RetryAfter: "7"})
	_, err := fetch(t, newSource(t, serve(t, site)), source.Request{Path: large})
	status, ok := errors.AsType[*source.StatusError](err)
	if !ok || status.RetryAfter != 7*time.Second {
		t.Fatalf("Open = %#v, want a StatusError with 7 s to wait", err)
	}
	if want := "s3://physionet-open/mimiciv/3.1/" + large; status.URL != want {
		t.Errorf("Open = %v, want the URL %s", err, want)
	}
}

// TestRedirectIsNotFollowed: it would take signed headers to whom it names.
func TestRedirectIsNotFollowed(t *testing.T) {
	login(t)
	t.Setenv("AWS_SESSION_TOKEN", marker)
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	t.Cleanup(thief.Close)
	src := newSource(t, serve(t, http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect)), s3.Location{URL: s3.Open.URL})
	_, err := fetch(t, src, source.Request{Path: large})
	if !errors.Is(err, source.ErrWebPage) { // it is not the store's, which says where its bucket is
		t.Errorf("Open = %v, want ErrWebPage", err)
	}
	tellsNothing(t, err.Error())
}

// TestSecretsStayInside: no error and no print of a Source tells them.
func TestSecretsStayInside(t *testing.T) {
	login(t)
	t.Setenv("AWS_SESSION_TOKEN", marker)
	site := open(lookalike.S3Bucket{})
	src := newSource(t, serve(t, site), s3.Location{URL: s3.Open.URL})
	tellsNothing(t, fmt.Sprintf("%v %+v %#v %s", src, src, src, src))
	for _, f := range []lookalike.Fault{
		{Kind: lookalike.Status, Code: 400, Reason: "InvalidRequest"},
		{Kind: lookalike.Status, Code: 403, Reason: "SignatureDoesNotMatch"},
		{Kind: lookalike.Reset, After: -1},
		{Kind: lookalike.Status, Code: 404, Reason: "NoSuchBucket"},
	} {
		fault := site.Inject(f)
		_, err := fetch(t, src, source.Request{Path: large})
		tellsNothing(t, fmt.Sprintf("%v %+v", err, err))
		fault.Remove()
	}
	closed := httptest.NewServer(site)
	closed.Close()
	_, err := fetch(t, newSource(t, closed.URL, s3.Location{URL: s3.Open.URL}), source.Request{Path: large})
	tellsNothing(t, fmt.Sprintf("%v %+v", err, err))
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "x-id") {
		t.Errorf("Open with nobody there = %v, want: connection refused", err)
	}
}

// TestHTTP1: the bytes come over several connections, so HTTP/2 is not offered.
func TestHTTP1(t *testing.T) {
	login(t)
	site := controlled()
	o := amazon(t, site)
	o.Locations = map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-02")}}
	if _, err := fetch(t, mustNew(t, o), source.Request{Path: manifest.Name}); err != nil {
		t.Fatal(err)
	}
	if p := site.Counters().Protocols; p["HTTP/1.1"] == 0 || len(p) != 1 {
		t.Errorf("requests came as %v, want HTTP/1.1 alone", p)
	}
}
