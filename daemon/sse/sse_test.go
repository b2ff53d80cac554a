package sse_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mimicsync/daemon/sse"
)

func TestEventsArriveOneByOne(t *testing.T) {
	sent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := sse.Start(w, time.Minute)
		for _, send := range []func() error{
			func() error { return out.Event("status", []byte(`{"ok":true}`)) },
			func() error { return out.Event("", []byte(`{}`)) },
			out.Comment,
		} {
			if err := send(); err != nil {
				t.Error(err)
			}
		}
		close(sent)
		<-r.Context().Done() // the stream stays open
	}))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	<-sent
	const want = "event: status\ndata: {\"ok\":true}\n\ndata: {}\n\n:\n\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
		t.Errorf("the stream is %q, %v, want %q", got, err, want)
	}
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type: %s", kind)
	}
}

// Whoever doesn't read is cut off, so that nothing waits for them.
func TestASlowReaderIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := sse.Start(w, 10*time.Millisecond)
		big := make([]byte, 1<<20)
		for i := range big {
			big[i] = '1'
		}
		for {
			if err := out.Event("", big); err != nil {
				ended <- err
				return
			}
		}
	}))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := <-ended; err == nil {
		t.Error("the writer goes on")
	}
}
