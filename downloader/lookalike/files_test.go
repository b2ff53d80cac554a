package lookalike_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
)

const bigFile = "/files/demo/2.2/hosp/admissions.csv.gz"

func contentOf(t *testing.T, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(demoFiles, name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFileHeaders(t *testing.T) {
	w := serve(t, lookalike.New(demo()))
	etag := fmt.Sprintf(`"%x-%x"`, demoTime.Unix(), 100_000)
	a := w.get(bigFile)
	a.want(t, 200, "Content-Type", "application/gzip", "Content-Length", "100000", "Etag", etag,
		"Last-Modified", demoTime.Format(http.TimeFormat), "Accept-Ranges", "bytes",
		"Content-Disposition", "inline; filename=admissions.csv.gz", "Content-Encoding", "", "Vary", "")
	if a.Header.Get("Content-Security-Policy") == "" {
		t.Error("no Content-Security-Policy")
	}
	if !bytes.Equal(a.body, contentOf(t, "hosp/admissions.csv.gz")) {
		t.Error("the bytes differ from the file's")
	}
	w.get(bigFile+"?download").want(t, 200, "Content-Disposition", "attachment; filename=admissions.csv.gz")
	head := w.do(http.MethodHead, bigFile)
	head.want(t, 200, "Etag", etag, "Content-Length", "100000")
	w.get("/files/demo/2.2/hosp/patients.csv").want(t, 200, "Content-Type", "text/plain; charset=utf-8")
	w.get("/files/demo/2.2/hosp/a%20b+c&d.txt").want(t, 200, "Content-Disposition", "inline; filename=a b+c&d.txt")
	w.get("/files/demo/2.2//hosp//patients.csv").want(t, 200)
	w.get("/files/demo/2.2/.hidden").want(t, 200)
}

func TestRanges(t *testing.T) {
	w := serve(t, lookalike.New(demo()))
	data := contentOf(t, "hosp/admissions.csv.gz")
	tests := []struct {
		header, contentRange string
		status, from, to     int
	}{
		{"bytes=0-", "bytes 0-99999/100000", 206, 0, 100000},
		{"bytes=99990-400000", "bytes 99990-99999/100000", 206, 99990, 100000},
		{"bytes=7-7", "bytes 7-7/100000", 206, 7, 8},
		{"bytes=-10", "bytes 99990-99999/100000", 206, 99990, 100000},
		{"bytes=-400000", "bytes 0-99999/100000", 206, 0, 100000},
		{"items=0-5", "", 200, 0, 100000},
	}
	for _, tt := range tests {
		a := w.get(bigFile, header("Range", tt.header))
		a.want(t, tt.status, "Content-Range", tt.contentRange, "Content-Length", fmt.Sprint(tt.to-tt.from))
		if !bytes.Equal(a.body, data[tt.from:tt.to]) {
			t.Errorf("%s: the bytes differ", tt.header)
		}
	}
	for _, bad := range []string{"bytes=100000-", "bytes=5-2", "bytes=-0", "bytes=x-", "bytes=5"} {
		a := w.get(bigFile, header("Range", bad))
		a.want(t, 416, "Content-Range", "bytes */100000", "Etag", "", "Last-Modified", "", "Content-Type", "text/html")
	}
	w.get("/files/demo/2.2/empty.csv", header("Range", "bytes=0-")).want(t, 200, "Content-Length", "0", "Content-Range", "")
	a := w.get(bigFile, header("Range", "bytes=0-1,5-6"))
	a.want(t, 206)
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "multipart/byteranges") {
		t.Errorf("several ranges: Content-Type = %q", a.Header.Get("Content-Type"))
	}
}

func TestConditions(t *testing.T) {
	w := serve(t, lookalike.New(demo()))
	etag := w.get(bigFile).Header.Get("Etag")
	modified := demoTime.Format(http.TimeFormat)
	later := demoTime.Add(time.Hour).Format(http.TimeFormat)
	rng := header("Range", "bytes=10-")
	tests := []struct {
		name, header, value string
		status              int
	}{
		{"same ETag", "If-Range", etag, 206},
		{"other ETag", "If-Range", `"1-2"`, 200},
		{"weak ETag", "If-Range", "W/" + etag, 200},
		{"same date", "If-Range", modified, 206},
		{"later date", "If-Range", later, 200},
		{"same ETag", "If-None-Match", etag, 304},
		{"one of several", "If-None-Match", `"1-2", W/` + etag, 304},
		{"any", "If-None-Match", "*", 304},
		{"other ETag", "If-None-Match", `"1-2"`, 206},
		{"same date", "If-Modified-Since", modified, 304},
		{"later date is not the same", "If-Modified-Since", later, 206},
		{"same ETag", "If-Match", etag, 206},
		{"other ETag", "If-Match", `"1-2"`, 412},
	}
	for _, tt := range tests {
		t.Run(tt.header+" "+tt.name, func(t *testing.T) {
			a := w.get(bigFile, rng, header(tt.header, tt.value))
			a.want(t, tt.status)
			if tt.status == 304 {
				a.want(t, 304, "Etag", etag, "Content-Type", "", "Content-Length", "")
			}
		})
	}
}

func TestHTMLIsCompressed(t *testing.T) {
	w := serve(t, lookalike.New(demo()))
	etag := w.get("/files/demo/2.2/README.html").Header.Get("Etag")
	a := w.get("/files/demo/2.2/README.html", header("Accept-Encoding", "gzip"), header("Range", "bytes=5-"))
	a.want(t, 200, "Content-Encoding", "gzip", "Etag", "W/"+etag, "Accept-Ranges", "", "Content-Length", "")
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(plain, contentOf(t, "README.html")) {
		t.Errorf("decompressed, %d bytes and %v", len(plain), err)
	}
	w.get("/files/demo/2.2/README.html", header("Range", "bytes=5-")).want(t, 206, "Content-Encoding", "")
	w.get(bigFile, header("Accept-Encoding", "gzip")).want(t, 200, "Content-Encoding", "", "Content-Length", "100000")
}

func TestDirectoryWithoutSlash(t *testing.T) {
	w := serve(t, lookalike.New(demo(), closedProject(lookalike.Restricted)))
	w.AddUser(entitled())
	w.get("/files/demo/2.2").want(t, 301, "Location", "/files/demo/2.2/")

	w.get("/files/demo/2.2/hosp").want(t, 301, "Location", w.url+"/static/published-projects/demo/2.2/hosp/")
	w.get("/static/published-projects/demo/2.2/hosp/").want(t, 200)

	w.get("/files/closed/2.2/hosp", as("reader", "pässword:1")).want(t, 301, "Location", w.url+"/protected/published-projects/closed/2.2/hosp/")
	w.get("/protected/published-projects/closed/2.2/hosp/", as("reader", "pässword:1")).want(t, 404)
	w.get("/static/published-projects/closed/2.2/hosp/patients.csv", as("reader", "pässword:1")).want(t, 404)
}

func TestManifestFollowsTheVersion(t *testing.T) {
	p := demo()
	w := serve(t, lookalike.New(p))
	manifest := "/files/demo/2.2/SHA256SUMS.txt"
	first := w.get(manifest)
	first.want(t, 200, "Content-Type", "text/plain; charset=utf-8")
	if want := demoFiles.Manifest(); !bytes.Equal(first.body, want) {
		t.Errorf("manifest = %q, want %q", first.body, want)
	}
	w.get(manifest, header("If-None-Match", first.Header.Get("Etag"))).want(t, 304)

	// The same length and the same date: the ETag changes all the same.
	p.Versions[0].Manifest = bytes.Replace(first.body, []byte("LICENSE"), []byte("LICENCE"), 1)
	w.Publish(p)
	w.get(manifest, header("If-None-Match", first.Header.Get("Etag"))).want(t, 200)

	p.Versions[0].Manifest = nil
	w.Publish(p)
	w.get(manifest).want(t, 404)
}

func TestFilesFromDisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte("1,2,3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "a.csv"), demoTime, demoTime); err != nil {
		t.Fatal(err)
	}
	sums, err := lookalike.Sums(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	p := lookalike.Project{Slug: "disk", Versions: []lookalike.Version{{Version: "1.0", Files: os.DirFS(dir), Manifest: sums}}}
	w := serve(t, lookalike.New(p))
	a := w.get("/files/disk/1.0/a.csv", header("Range", "bytes=2-"))
	a.want(t, 206, "Last-Modified", demoTime.Format(http.TimeFormat))
	if string(a.body) != "2,3\n" {
		t.Errorf("body = %q", a.body)
	}
}
