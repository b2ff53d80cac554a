package s3_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// TestListNames: names that XML, URLs and S3's own encoding would change.
func TestListNames(t *testing.T) {
	want := map[string]int64{}
	all := map[string][]byte{}
	for i, name := range []string{
		"with space.csv", "plus+plus.csv", "100%.csv", "a%20b.csv", "größe/Ωmega.csv", "a&b<c>.csv", "tab\there", "bell\a", "end ",
	} {
		all[name] = make([]byte, i)
		want[name] = int64(i)
	}
	source := newSource(t, serve(t, open(lookalike.S3Bucket{Objects: objects("mimiciv/3.1/", all)})))
	got := map[string]int64{}
	for l, err := range source.List(t.Context(), mimic) {
		if err != nil {
			t.Fatalf("List = %v, want <nil>", err)
		}
		got[l.Path] = l.Size
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// numbered are objects that nobody has to remember.
type numbered int

func (n numbered) Len() int { return int(n) }

func (n numbered) At(i int) lookalike.GeneratedFile {
	return lookalike.GeneratedFile{Path: fmt.Sprintf("mimiciv/3.1/files/p%09d.dat", i), Size: int64(i)}
}

// TestListMany: a listing is held page by page. The heap would show a tenth of
// it that stayed.
func TestListMany(t *testing.T) {
	if testing.Short() {
		t.Skip("lists 100,000 objects")
	}
	const many = 100_000
	site := open(lookalike.S3Bucket{Objects: numbered(many)})
	site.Record = false
	source := newSource(t, serve(t, site))
	seen, before, most := 0, heap(), uint64(0)
	for l, err := range source.List(t.Context(), mimic) {
		if err != nil {
			t.Fatalf("List after %d = %v, want <nil>", seen, err)
		}
		if l.Size != int64(seen) {
			t.Fatalf("the object %d is %+v, want them in order", seen, l)
		}
		if seen++; seen%20_000 == 0 {
			most = max(most, heap())
		}
	}
	if seen != many {
		t.Errorf("List gave %d objects, want %d", seen, many)
	}
	if grown := int64(most) - int64(before); grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes, want less than 4 MiB", grown)
	}
	if n := site.Counters().Listings; n != many/1000 {
		t.Errorf("List took %d requests, want %d", n, many/1000)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestListBreak: who has enough costs no further page.
func TestListBreak(t *testing.T) {
	site := open(lookalike.S3Bucket{Objects: numbered(5000)})
	for _, err := range newSource(t, serve(t, site)).List(t.Context(), mimic) {
		if err != nil {
			t.Errorf("List = %v, want <nil>", err)
		}
		break
	}
	if n := site.Counters().Requests; n != 1 {
		t.Errorf("the first object took %d requests, want 1", n)
	}
}

// TestListForbidden: an access point refuses every prefix but its own.
func TestListForbidden(t *testing.T) {
	login(t)
	o := amazon(t, controlled())
	o.Locations = map[manifest.Ref]s3.Location{
		{Dataset: "mimiciv"}: {URL: strings.TrimSuffix(arn("mimiciv-v3-1-02"), "{dataset}/{version}/")},
	}
	for l, err := range mustNew(t, o).List(t.Context(), mimic) {
		access, ok := errors.AsType[*source.AccessError](err)
		if !ok || access.Cause != source.CauseWrongPrefix {
			t.Errorf("List = %+v, %v, want a refusal for its prefix", l, err)
		}
	}
}

// TestListLies: a store that names what is elsewhere, or never comes to an end,
// or sends something else.
func TestListLies(t *testing.T) {
	page := func(body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, "<ListBucketResult>%s</ListBucketResult>", body)
		})
	}
	for name, h := range map[string]http.Handler{
		"elsewhere": page("<Contents><Key>mimiciii/1.4/x</Key><Size>1</Size></Contents>"),
		"for ever":  page("<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"),
		"no token":  page("<IsTruncated>true</IsTruncated>"),
		"encoding":  page("<EncodingType>url</EncodingType><Contents><Key>mimiciv/3.1/%zz</Key></Contents>"),
		"no XML": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<html><p>Hello</html>")
		}),
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]int64{}
			var last error
			for l, err := range newSource(t, serve(t, h)).List(t.Context(), mimic) {
				if last = err; err == nil {
					got[l.Path] = l.Size
				}
			}
			if last == nil || len(got) > 0 {
				t.Errorf("List = %v, %v, want an error", maps.Collect(maps.All(got)), last)
			}
		})
	}
}

// TestListFolders: keys that end with a slash are folders as consoles make them.
func TestListFolders(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "<ListBucketResult><Contents><Key>mimiciv/3.1/</Key></Contents><Contents><Key>mimiciv/3.1/hosp/</Key></Contents></ListBucketResult>")
	})
	for l, err := range newSource(t, serve(t, h)).List(t.Context(), mimic) {
		t.Errorf("List gave %+v, %v, want nothing", l, err)
	}
}
