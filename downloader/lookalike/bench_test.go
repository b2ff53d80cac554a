package lookalike_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"mimicsync/downloader/lookalike"
)

// BenchmarkSmallFiles fetches 4 KiB files over TLS by 16 connections, with the client on the same machine.
func BenchmarkSmallFiles(b *testing.B) {
	files := lookalike.CXR(20_000, nil)
	s := lookalike.New(lookalike.Project{Slug: "cxr", Versions: []lookalike.Version{{Version: "1.0", Files: lookalike.Generated(files)}}})
	benchmark(b, s, func(i int) string { return "/files/cxr/1.0/" + files[i%len(files)].Path })
}

// BenchmarkServeContent is the same work done by net/http alone: what BenchmarkSmallFiles is measured against.
func BenchmarkServeContent(b *testing.B) {
	files := lookalike.CXR(20_000, nil)
	fsys := http.FS(lookalike.Generated(files))
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := fsys.Open(r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		defer func() { _ = f.Close() }()
		w.Header().Set("Content-Type", "image/jpeg")
		http.ServeContent(w, r, r.URL.Path, demoTime, f)
	})
	benchmark(b, h, func(i int) string { return "/" + files[i%len(files)].Path })
}

func benchmark(b *testing.B, h http.Handler, path func(i int) string) {
	ts := httptest.NewUnstartedServer(h)
	ts.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // the client drops handshakes that it no longer needs
	ts.StartTLS()
	defer ts.Close()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: ts.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		MaxIdleConnsPerHost: 16,
		DisableCompression:  true,
	}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	b.SetParallelism(8) // times GOMAXPROCS
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := client.Get(ts.URL + path(int(next.Add(1))))
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
				b.Errorf("status %d: %v", res.StatusCode, err)
			}
			_ = res.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkRead is how fast generated content is made.
func BenchmarkRead(b *testing.B) {
	g := lookalike.Generated([]lookalike.GeneratedFile{{Path: "big", Size: 64 << 20}})
	b.SetBytes(64 << 20)
	buf := make([]byte, 64<<10)
	for b.Loop() {
		f, err := g.Open("big")
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = f.Read(buf)
		}
	}
}
