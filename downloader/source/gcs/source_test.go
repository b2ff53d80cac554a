package gcs_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/manifest"
)

func serveLarge(t *testing.T) (store *lookalike.GCS, s *gcs.Source, want []byte) {
	t.Helper()
	want = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: objectsOf(map[string][]byte{"large.dcm": want})})
	return store, newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true}), want
}

// The client library opens a body that broke off again, as often as it breaks,
// and somebody pays for each time.
func TestABrokenBodyIsOpenedOnce(t *testing.T) {
	for _, kind := range []lookalike.Kind{lookalike.Reset, lookalike.ShortBody} {
		for _, r := range []source.Request{{}, {Offset: 5}, {Offset: 5, Length: 1 << 19}} {
			for _, after := range []int64{0, 1000} {
				store, s, want := serveLarge(t)
				store.Inject(lookalike.Fault{Kind: kind, After: after})
				r.Path = "large.dcm"
				b, err := read(t, s, r)
				if err == nil || !bytes.HasPrefix(want[r.Offset:], b) || int64(len(b)) > after {
					t.Errorf("Open(%+v) gave %d bytes, %v, want at most %d and an error", r, len(b), err, after)
				}
				if kind == lookalike.ShortBody && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("reading = %v, want what broke the body", err)
				}
				if n := store.Counters().Requests; n != 1 {
					t.Errorf("the object was opened %d times, want once", n)
				}
			}
		}
	}
}

func TestAFlippedByteIsFound(t *testing.T) {
	store, s, want := serveLarge(t)
	store.Inject(lookalike.Fault{Kind: lookalike.Corrupt, After: 1000, Times: 1})
	if b, err := read(t, s, source.Request{Path: "large.dcm"}); err == nil || len(b) != len(want) {
		t.Errorf("reading gave %d bytes, %v, want all and an error", len(b), err)
	}
	if b, err := read(t, s, source.Request{Path: "large.dcm"}); err != nil || !bytes.Equal(b, want) {
		t.Errorf("reading again gave %d bytes, %v, want the object", len(b), err)
	}
}

// Wrong bytes that Google has a checksum of are for the manifest to find.
func TestWrongCopy(t *testing.T) {
	_, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: oneFile, Wrong: func(p string) bool { return p == "a.csv" }})
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	if b, err := read(t, s, source.Request{Path: "a.csv"}); err != nil || string(b) == "a\n1\n" {
		t.Errorf("reading gave %q, %v, want other bytes", b, err)
	}
}

func TestGenerationChangesBetweenRanges(t *testing.T) {
	store, s, _ := serveLarge(t)
	o, err := s.Open(t.Context(), source.Request{Ref: sourcetest.Ref, Path: "large.dcm", Length: 1000})
	if err != nil {
		t.Fatalf("Open = %v, want <nil>", err)
	}
	_ = o.Body.Close()
	store.Inject(lookalike.Fault{Kind: lookalike.ChangeETag, Times: 1})
	for _, r := range []source.Request{{Offset: 1000, Length: 1000}, {Offset: 1000}, {Length: 1000}} {
		r.Path, r.Validator = "large.dcm", o.Validator
		if _, err := read(t, s, r); !errors.Is(err, source.ErrChanged) {
			t.Errorf("Open(%+v) = %v, want ErrChanged", r, err)
		}
	}
	if _, err := read(t, s, source.Request{Path: "large.dcm", Offset: 1000, Validator: `"an-etag"`}); !errors.Is(err, source.ErrChanged) {
		t.Errorf("Open under another source's validator = %v, want ErrChanged", err)
	}
}

// The digest in the manifest is that of the bytes as they are stored.
func TestEncodedObjectsComeAsStored(t *testing.T) {
	var stored bytes.Buffer
	z := gzip.NewWriter(&stored)
	_, _ = z.Write(bytes.Repeat([]byte("subject_id,gender\n"), 1000))
	_ = z.Close()
	b := lookalike.Bucket{
		Name: bucketOf, Objects: objectsOf(map[string][]byte{"a.csv.gz": stored.Bytes()}), Encoded: func(string) bool { return true },
	}
	_, endpoint := serveStore(t, b)
	plain, err := (&http.Transport{DisableCompression: true}).RoundTrip(httpGet(t, endpoint+"/"+bucketOf+"/a.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Body.Close() }()
	if text, _ := io.ReadAll(plain.Body); len(text) != 18000 {
		t.Fatalf("a plain client got %d bytes, want the object unpacked", len(text))
	}
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	for _, from := range []int64{0, 10} {
		got, err := read(t, s, source.Request{Path: "a.csv.gz", Offset: from})
		if err != nil || !bytes.Equal(got, stored.Bytes()[from:]) {
			t.Errorf("reading from %d gave %d bytes, %v, want what is stored", from, len(got), err)
		}
	}
}

func httpGet(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOnTheWire(t *testing.T) {
	store, endpoint := serveStore(t, lookalike.Bucket{Name: "elsewhere", Objects: oneFile})
	s := newSource(t, gcs.Options{
		Endpoint: endpoint, Anonymous: true, Bucket: func(manifest.Ref) string { return "elsewhere" },
	})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err != nil {
		t.Fatalf("Open = %v, want <nil>", err)
	}
	c := store.Counters()
	if c.Protocols["HTTP/1.1"] != c.Requests || c.UserAgents["mimicsync/test"] != c.Requests {
		t.Errorf("the requests are %v of %v, want HTTP/1.1 of mimicsync/test", c.Protocols, c.UserAgents)
	}
}

// A token must not follow a redirect.
func TestRedirectIsNotFollowed(t *testing.T) {
	hs, host := unstarted(t)
	requests := 0
	start(t, hs, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		http.Redirect(w, r, "http://"+host+"/elsewhere", http.StatusFound)
	}))
	s := newSource(t, gcs.Options{Endpoint: "http://" + host, Anonymous: true})
	_, err := read(t, s, source.Request{Path: "a.csv"})
	if e, ok := errors.AsType[*source.StatusError](err); !ok || e.Code != http.StatusFound || requests != 1 {
		t.Errorf("Open = %v after %d requests, want status 302 after one", err, requests)
	}
}

// series is a bucket whose objects are computed from their number.
type series int

func (n series) Len() int { return int(n) }

func (n series) At(i int) lookalike.GeneratedFile {
	return lookalike.GeneratedFile{Path: fmt.Sprintf("files/p%07d/100%% + größe.dcm", i), Size: int64(i)}
}

// A bucket may hold a million objects. Their listing is used as it comes.
func TestListingStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("lists 100,000 objects")
	}
	const total = series(100_000)
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: total})
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	before, most := heap(), uint64(0)
	n := 0
	for listed, err := range s.List(t.Context(), sourcetest.Ref) {
		if err != nil {
			t.Fatalf("List = %v after %d objects, want <nil>", err, n)
		}
		if f := total.At(n); listed.Path != f.Path || listed.Size != f.Size {
			t.Fatalf("object %d is %+v, want %+v", n, listed, f)
		}
		if n++; n%20_000 == 0 {
			most = max(most, heap())
		}
	}
	if n != total.Len() {
		t.Errorf("List gave %d objects, want %d", n, total)
	}
	if pages := store.Counters().Listings; pages != 20 {
		t.Errorf("there were %d pages, want 20", pages)
	}
	if grown := int64(most) - int64(before); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB, want a page or two", grown>>20)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestListingMayBeBrokenOff(t *testing.T) {
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: series(20_000)})
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	for listed, err := range s.List(t.Context(), sourcetest.Ref) {
		if err != nil || listed.Path != series(1).At(0).Path {
			t.Errorf("List gave %+v, %v, want the first object", listed, err)
		}
		break
	}
	if pages := store.Counters().Listings; pages != 1 {
		t.Errorf("there were %d pages, want one", pages)
	}
}

func TestListingBreaks(t *testing.T) {
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: series(20_000)})
	store.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusServiceUnavailable, Skip: 2})
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	n := 0
	var last error
	for _, err := range s.List(t.Context(), sourcetest.Ref) {
		if last != nil {
			t.Fatal("List went on after an error")
		}
		if last = err; err == nil {
			n++
		}
	}
	if e, ok := errors.AsType[*source.StatusError](last); !ok || e.Code != http.StatusServiceUnavailable || n != 10_000 {
		t.Errorf("List = %v after %d objects, want status 503 after two pages", last, n)
	}
	if last != nil && strings.Contains(last.Error(), "?") {
		t.Errorf("the error %q has a query", last)
	}
}

// An object that gsutil cp -z has packed is the entry's bytes when it is unpacked:
// whole, whatever part of it is wanted, for parts of what is packed are of no use.
func TestPackedObjectsAreUnpacked(t *testing.T) {
	published := bytes.Repeat([]byte("subject_id,gender\n"), 2000)
	var stored bytes.Buffer
	z := gzip.NewWriter(&stored)
	_, _ = z.Write(published)
	_ = z.Close()
	store, endpoint := serveStore(t, lookalike.Bucket{
		Name: bucketOf, Objects: objectsOf(map[string][]byte{"a.csv": stored.Bytes(), "label.csv": published}), Encoded: func(string) bool { return true },
	})
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	for _, r := range []source.Request{{Path: "a.csv"}, {Path: "a.csv", Offset: 100}, {Path: "a.csv", Length: 10}, {Path: "label.csv"}} {
		r.Ref = sourcetest.Ref
		o, err := s.Open(t.Context(), r)
		if err != nil {
			t.Fatalf("Open(%+v) = %v", r, err)
		}
		got, err := io.ReadAll(o.Body)
		if err = errors.Join(err, o.Body.Close()); err != nil || o.Offset != 0 || !bytes.Equal(got, published) {
			t.Errorf("Open(%+v) gave %d bytes from %d, %v, want the %d that were published", r, len(got), o.Offset, err, len(published))
		}
		if r.Path == "a.csv" && o.Size != -1 {
			t.Errorf("Open(%+v) gives the size %d, want it to be unknown", r, o.Size)
		}
	}
	store.Inject(lookalike.Fault{Kind: lookalike.ShortBody, After: int64(stored.Len() / 2)})
	if _, err := read(t, s, source.Request{Path: "a.csv"}); err == nil {
		t.Error("reading half of what is packed = <nil>, want an error")
	}
}

// A server, or something before it, that knows no ranges sends all: what is there
// starts over, in one request.
func TestAServerThatIgnoresRanges(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 5000)
	store, endpoint := serveStore(t, lookalike.Bucket{Name: bucketOf, Objects: objectsOf(map[string][]byte{"a.csv": content})})
	s := newSource(t, gcs.Options{Endpoint: endpoint, Anonymous: true})
	first, err := s.Open(t.Context(), source.Request{Ref: sourcetest.Ref, Path: "a.csv"})
	check(err)
	check(first.Body.Close())
	store.Inject(lookalike.Fault{Kind: lookalike.IgnoreRange})
	for _, r := range []source.Request{{Offset: 20_000}, {Offset: 20_000, Validator: first.Validator}, {Offset: 20_000, Length: 10, Validator: first.Validator}} {
		store.Reset()
		r.Ref, r.Path = sourcetest.Ref, "a.csv"
		o, err := s.Open(t.Context(), r)
		if err != nil {
			t.Fatalf("Open(%+v) = %v, want the whole", r, err)
		}
		got, err := io.ReadAll(o.Body)
		check(errors.Join(err, o.Body.Close()))
		if o.Offset != 0 || o.Size != int64(len(content)) || o.Validator != first.Validator || o.Modified.IsZero() || !bytes.Equal(got, content) {
			t.Errorf("Open(%+v) = from %d of %d under %q, %d bytes, want the whole", r, o.Offset, o.Size, o.Validator, len(got))
		}
		if n := store.Counters().Requests; n != 1 {
			t.Errorf("%d requests, want one", n)
		}
	}
	// One that breaks off does so as any other.
	store.Inject(lookalike.Fault{Kind: lookalike.ShortBody, After: 30_000})
	if got, err := read(t, s, source.Request{Path: "a.csv", Offset: 20_000}); err == nil || len(got) > 30_000 {
		t.Errorf("a whole that breaks off gave %d bytes, %v, want an error", len(got), err)
	}
}

// What stands between here and the store has pages, and successes that are none.
func TestAnswersOfOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		code       int
		kind, body string
		page       bool
	}{
		"a page as a success":       {200, "text/html", "<html>log in</html>", true},
		"an unnamed page":           {200, "text/plain", "<!DOCTYPE html>", true},
		"a firewall's page":         {403, "text/html", "<html>blocked</html>", true},
		"a page for what is there":  {404, "text/html; charset=utf-8", "<html>where?</html>", true},
		"a login of a network":      {401, "text/html", "<html>who?</html>", true},
		"an error as a success":     {200, "application/xml", "<?xml version='1.0'?><Error><Code>InternalError</Code></Error>", false},
		"a JSON error as a success": {200, "application/json", `{"error": {"code": 500}}`, false},
		"nothing as a success":      {200, "application/json", "", false},
		"half a page of a listing":  {200, "application/json", `{"items": [{"name"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			hs, host := unstarted(t)
			start(t, hs, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				w.WriteHeader(tt.code)
				_, _ = io.WriteString(w, tt.body)
			}))
			s := newSource(t, gcs.Options{Endpoint: "http://" + host, Anonymous: true})
			_, err := read(t, s, source.Request{Path: "a.csv"})
			errs := map[string]error{"Open": err, "List": nil}
			for _, err := range s.List(t.Context(), sourcetest.Ref) {
				errs["List"] = err
			}
			if strings.HasPrefix(tt.body, `{"items`) {
				delete(errs, "Open") // which cannot know that it is no object
			}
			for what, err := range errs {
				_, refused := errors.AsType[*source.AccessError](err)
				if err == nil || refused || errors.Is(err, source.ErrNotExist) || errors.Is(err, source.ErrWebPage) != tt.page {
					t.Errorf("%s = %v, want trouble, ErrWebPage: %v", what, err, tt.page)
				}
			}
		})
	}
}
