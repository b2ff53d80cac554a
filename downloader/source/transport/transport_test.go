package transport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mimicsync/downloader/source/transport"
)

// A source gets the bytes that the server has: over HTTP/1.1, and not unpacked on the way.
func TestBytesArriveAsTheyAre(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("the request is %s with Accept-Encoding %q", r.Proto, r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "not really gzip")
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	tr := transport.New(transport.Options{Connections: 3, Idle: time.Minute})
	defer tr.CloseIdleConnections()
	tr.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	response, err := (&http.Client{Transport: tr}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "not really gzip" {
		t.Errorf("the body is %q, %v", body, err)
	}
	if tr.MaxConnsPerHost != 3 {
		t.Errorf("MaxConnsPerHost = %d, want 3", tr.MaxConnsPerHost)
	}
}
