package s3_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/s3"
	"mimicsync/downloader/source/sourcetest"
)

var prefix = sourcetest.Ref.Dataset + "/" + sourcetest.Ref.Version + "/"

func TestContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, all map[string][]byte) sourcetest.Fixture {
		return fixture(t, store(lookalike.S3Bucket{Public: true, Objects: objects(prefix, all)}))
	})
}

// TestContractWithKey is the contract with signed requests, checksums and
// somebody who pays.
func TestContractWithKey(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	login(t)
	payer := s3.Location{URL: "s3://private/{dataset}/{version}", RequesterPays: true}
	sourcetest.Run(t, func(t *testing.T, all map[string][]byte) sourcetest.Fixture {
		return fixture(t, store(lookalike.S3Bucket{
			Name: "private", Readers: []string{keyID}, Objects: objects(prefix, all), RequesterPays: true, Checksums: true,
		}), payer)
	})
}

func fixture(t *testing.T, site *lookalike.S3, l ...s3.Location) sourcetest.Fixture {
	t.Helper()
	hang := &hanger{Handler: site}
	endpoint := serve(t, hang)
	t.Cleanup(site.Close)
	inject := func(path string, f lookalike.Fault) {
		f.Path, f.Times = prefix+path, 1
		site.Inject(f)
	}
	return sourcetest.Fixture{
		Source: newSource(t, endpoint, l...),
		Cut: func(path string, after int64) {
			inject(path, lookalike.Fault{Kind: lookalike.ShortBody, After: after})
		},
		Stall: func(path string, after int64) {
			inject(path, lookalike.Fault{Kind: lookalike.Stall, After: after})
		},
		Hang: func(path string) { hang.paths.Store(prefix+path, true) },
	}
}

// hanger keeps requests waiting until the client goes away.
type hanger struct {
	http.Handler

	paths sync.Map // the ends of the paths whose next request waits
}

func (h *hanger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if _, ok := h.paths.LoadAndDelete(key); ok {
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // a mere return would be an answer, which may overtake the client's leave
	}
	h.Handler.ServeHTTP(w, r)
}

// TestContractOfAnotherServer keeps the look-alike honest: the same contract
// with a server that others wrote.
func TestContractOfAnotherServer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	sourcetest.Run(t, func(t *testing.T, all map[string][]byte) sourcetest.Fixture {
		backend := fill(t, all)
		hang := &hanger{Handler: withConditions(gofakes3.New(backend).Server(), backend)}
		return sourcetest.Fixture{
			Source: newSource(t, serve(t, hang)),
			Hang:   func(path string) { hang.paths.Store(prefix+path, true) },
		}
	})
}

// fill is a bucket of another server, with what is given by path.
func fill(t *testing.T, all map[string][]byte) gofakes3.Backend {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	meta := map[string]string{"Last-Modified": "Mon, 15 Jan 2024 12:00:00 GMT"}
	for path, data := range all {
		if _, err := backend.PutObject(bucket, prefix+path, meta, bytes.NewReader(data), int64(len(data)), nil); err != nil {
			t.Fatal(err)
		}
	}
	return backend
}

// TestListOfAnotherServer takes several pages, with names that an encoding
// could change.
func TestListOfAnotherServer(t *testing.T) {
	all, want, got := map[string][]byte{}, map[string]int64{}, map[string]int64{}
	for i := range 2500 {
		path := fmt.Sprintf("files/p%04d a+b%%20 größe&.csv", i)
		all[path], want[path] = make([]byte, i%7), int64(i%7)
	}
	source := newSource(t, serve(t, gofakes3.New(fill(t, all)).Server()))
	for l, err := range source.List(t.Context(), sourcetest.Ref) {
		if err != nil {
			t.Fatalf("List = %v, want <nil>", err)
		}
		got[l.Path] = l.Size
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// withConditions adds If-Match to a server that does not know it.
func withConditions(h http.Handler, backend gofakes3.Backend) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if match := r.Header.Get("If-Match"); match != "" {
			o, err := backend.HeadObject(name, key)
			if err == nil && match != gofakes3.FormatETag(o.Hash) {
				http.Error(w, "<Error><Code>PreconditionFailed</Code></Error>", http.StatusPreconditionFailed)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}
