package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/daemon/sse"
	"mimicsync/downloader/lookalike"
	"mimicsync/manifest"
)

// readEvent reads one event.
func readEvent(t *testing.T, r *bufio.Reader) (event, data string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the events ended: %v", err)
		}
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
		case "event":
			event = value
		case "data":
			return event, value
		}
	}
}

// readPass reads events up to the end of a pass.
func readPass(t *testing.T, r *bufio.Reader) (p daemon.PassStatus) {
	t.Helper()
	for {
		if event, data := readEvent(t, r); event == "pass" {
			must(t, json.Unmarshal([]byte(data), &p))
			return p
		}
	}
}

// A page is opened while a pass waits behind another one, and a later one runs. It
// hears of the end of each.
func TestEventsTellOfPassesThatWait(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, client := l.run(t)
	l.Inject(lookalike.Fault{Kind: lookalike.Delay, Path: "/files/**", Duration: time.Hour})
	var asked []int64
	for _, request := range []PullRequest{{Dataset: "demo", Version: "1.0"}, {Dataset: "demo", Version: "2.0"}, {Dataset: "other", Version: "1.0"}} {
		id, err := client.Pull(t.Context(), request)
		must(t, err)
		asked = append(asked, id)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addresses()[0]+Prefix+"/events", nil)
	must(t, err)
	for running := 0; running < 2; { // demo's first and other's
		status, err := client.Status(ctx)
		must(t, err)
		running = len(slices.DeleteFunc(status.Datasets, func(d daemon.DatasetStatus) bool { return d.Pass == nil }))
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	stream := bufio.NewReader(response.Body)
	readEvent(t, stream)
	var ended []int64
	for _, id := range []int64{asked[1], asked[0], asked[2]} {
		must(t, client.Cancel(ctx, id))
		ended = append(ended, readPass(t, stream).ID)
	}
	if want := []int64{asked[1], asked[0], asked[2]}; !slices.Equal(ended, want) {
		t.Errorf("the passes that ended are %d, want %d", ended, want)
	}
}

// patientWriter is a connection that takes what comes.
type patientWriter struct{ *httptest.ResponseRecorder }

func (patientWriter) SetWriteDeadline(time.Time) error { return nil }

// More passes end between two looks than the daemon keeps. Who looks hears of
// those that are kept, and of what follows.
func TestEventsAfterMorePassesThanAreKept(t *testing.T) {
	t.Parallel()
	d := idleDaemon(t)
	w := patientWriter{httptest.NewRecorder()}
	stream := &stream{s: &Server{daemon: d}, out: sse.Start(w, writeWait)}
	stream.begin()
	ends := func(times int) {
		t.Helper()
		w.Body.Reset()
		for range times {
			id, err := d.Pull(daemon.PullRequest{Ref: manifest.Ref{Dataset: "demo"}})
			must(t, err)
			must(t, d.Cancel(id))
		}
		must(t, stream.update())
	}
	for _, c := range []struct{ ends, told int }{{250, 100}, {1, 1}, {0, 0}} {
		ends(c.ends)
		if told := strings.Count(w.Body.String(), "event: pass\n"); told != c.told {
			t.Errorf("of %d passes that ended, %d were told, want %d", c.ends, told, c.told)
		}
	}
}
